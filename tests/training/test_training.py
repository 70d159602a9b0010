"""How the starter is taught: what is held out, what the model is shown, and that training can be carried on."""

import dataclasses
import gzip
import json
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import stopping
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.loading import adapter, starter
from training import chat, cores, data, evaluate, holes
from training.model import SCALE, Taught
from training.others import Others
from training.train import ALONE, CHAT_EVERY, CHAT_WEIGHT, WARM_UP, Learner, Steps, _token_ids, rate, train, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def state(starter, tmp_path_factory):
    """What `python -m training data` leaves, but small: our own files, a model of random weights, one question."""
    state = tmp_path_factory.mktemp("state")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.2, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).half().save_pretrained(state / "plain")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copyfile(starter / name, state / "plain" / name)
    shutil.copyfile(data.TOKENS, state / "plain" / data.TOKENS.name)
    paths = [path for path in sorted((ROOT / "lsp_server").rglob("*.py")) if path.stat().st_size >= data.BYTES[0]]
    files = [data.File(str(path), "python", path.read_text()) for path in paths]
    held_out = [data.File(name, "python", "x = 1\n" * 100) for name in data.HELD_OUT.read_text().splitlines()[:20]]
    with gzip.open(state / "corpus.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(dataclasses.asdict(file)) + "\n" for file in (*files, *held_out))
    measured, other = (
        json.dumps({"ids": [*range(first, first + 20), *range(300, 320)], "answer": 20}) + "\n" for first in (100, 200)
    )
    (state / "chat.jsonl").write_text(measured * (chat.HELD_OUT_ANSWERS + 1) + other * 6)
    return state


@pytest.fixture(scope="module")
def tokenizer(state):
    return CodeLlamaTokenizer.from_pretrained(state / "plain")


def cuts(state, count, kind=None):
    files, rng, found = data.corpus(state, held_out=False), random.Random(1), []
    while len(found) < count:
        cut = holes.hole(rng.choice(files), rng, kind or rng.choice(list(holes.KINDS)), 300, 150)
        found += [cut] if cut is not None else []
    return found


def test_no_held_out_file_is_trained_on(state):
    names = set(data.HELD_OUT.read_text().splitlines())
    trained, held_out = data.corpus(state, held_out=False), data.corpus(state, held_out=True)
    assert names.isdisjoint(file.name for file in trained)
    assert len(held_out) == 20
    assert len(trained) > 50


def test_whole_packages_are_held_out_in_every_language():
    names = data.HELD_OUT.read_text().splitlines()
    whole = [source for source in data.sources() if source.use == "hold out"]
    assert {source.language for source in whole} == set(data.ENDINGS)
    for source in whole:
        assert any(name.startswith(f"{source.manager} {source.package} {source.version} ") for name in names)
    assert all(source.licence and source.version for source in data.sources())


def test_a_text_is_kept_once(tmp_path, monkeypatch):
    """Under one of its names, in whichever packages it is; otherwise a held-out file might be trained on."""
    twice, once = "x = 1\n" * 100, "y = 2\n" * 100
    for name, text in {"a/1.py": twice, "a/2.py": twice, "a/3.py": once, "b/4.py": twice}.items():
        path = tmp_path / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    packages = [data.Source("pip", name, "1", "python", "MIT", "hold out") for name in ("a", "b")]
    monkeypatch.setattr(data, "sources", lambda: packages)
    monkeypatch.setattr(data, "HELD_OUT", tmp_path / "held_out.txt")
    data.collect(tmp_path)
    assert sorted(file.text for file in data.corpus(tmp_path, held_out=True)) == [twice, once]


def test_no_question_that_is_measured_is_trained_on(state):
    trained, measured = (chat.load(state, held_out=held_out) for held_out in (False, True))
    assert len(measured) == chat.HELD_OUT_ANSWERS
    assert [ids[:first] for ids, first in trained] == [list(range(200, 220))] * 6


def test_a_hole_is_cut_out_of_its_file(state):
    texts = {file.name: file.text for file in data.corpus(state, held_out=False)}
    for cut in cuts(state, 200):
        assert cut.prefix + cut.middle + cut.suffix in texts[cut.name]
        if cut.kind in ("line", "rest"):
            assert "\n" not in cut.middle
            assert cut.suffix.startswith("\n")
        if cut.kind == "block":
            assert 2 <= len(cut.middle.split("\n")) <= 5
            assert all(line.strip() for line in cut.middle.split("\n"))


def test_an_example_is_the_products_prompt_and_the_hole(state, tokenizer):
    """Control tokens in a layout's order, the text in between unchanged, and the targets end with the hole."""
    tokens = tokenizer.infill_tokens
    seen = set()
    for number, cut in enumerate(cuts(state, 200)):
        ids, first = holes.example(cut, tokenizer, random.Random(number))
        order = [each for each in ids if each in tokens.ids]
        layout = (
            "psm"
            if order == [tokens.prefix, tokens.suffix, tokens.middle, tokens.end] and ids[1] != tokens.suffix
            else "spm"
        )
        seen.add(layout)
        suffix_at, middle_at = ids.index(tokens.suffix), ids.index(tokens.middle)
        assert ids[0] == tokens.prefix
        assert tokenizer.decode(ids[suffix_at:middle_at]) == cut.suffix
        text = tokenizer.decode(ids[1:suffix_at]) + tokenizer.decode(ids[middle_at:-1])
        assert text == cut.prefix + cut.middle
        wanted = tokenizer.decode(ids[first:])
        assert wanted.endswith(cut.middle)
        assert len(wanted) - len(cut.middle) <= 40  # no more than the tokens that the cursor stands in
        assert first > middle_at
    assert seen == {"psm", "spm"}


def test_what_is_learned_before_a_hole(state, tokenizer):
    """The prefix's last tokens without its line ends, and nothing where the prefix has not seen the suffix."""
    tokens, lengths = tokenizer.infill_tokens, set()
    for number, cut in enumerate(cuts(state, 200)):
        ids, first = holes.example(cut, tokenizer, random.Random(number))
        found = holes.before(ids, first, tokenizer, 64)
        lengths.add(len(found))
        if ids[1] != tokens.suffix:
            assert found == []
            continue
        near = range(max(ids.index(tokens.middle) + 2, first - 64), first)
        assert set(found) <= set(near)
        assert all("\n" in tokenizer.decode([ids[at]]) for at in near if at not in found)
        assert not any("\n" in tokenizer.decode([ids[at]]) for at in found)
    assert max(lengths) > 40


def test_a_step_learns_the_text_before_its_holes_but_for_the_last_ones(state, tokenizer):
    files, talks = data.corpus(state, held_out=False), chat.load(state, held_out=False)
    at = 100 * CHAT_EVERY
    early, late = (Steps(tokenizer, files, talks, 600, int(at / (1 - ALONE)) + more) for more in (1, -1))
    (kind, rows, more), (_, same, alone) = early[at], late[at]
    assert kind == "infill"
    assert torch.equal(rows, same)
    assert (alone <= more).all()
    assert more.sum() > 1.5 * alone.sum()
    assert [early[step][0] for step in range(2 * CHAT_EVERY)] == [*["infill"] * (CHAT_EVERY - 1), "chat"] * 2


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A state with one package of two files, of which one uses what the other defines: one name in many lines, and one
    that nothing else in the file says."""
    state = tmp_path_factory.mktemp("other")
    source = next(each for each in data.sources() if each.language == "python" and each.use == "train")
    folder = data.folder_of(state, source) / "shop"
    folder.mkdir(parents=True)
    prices = "def price_of(article, discount):\n    return article.price - discount\n\n\n"
    prices += "def rebate_of(articles):\n    return sum(articles)\n"
    (folder / "prices.py").write_text(prices)
    lines = [f"    total_{each} = prices.price_of(article_{each}, discount)\n" for each in range(60)]
    lines.insert(50, "    rebate = prices.rebate_of(discount)\n")
    text = f"from shop import prices\n\n\ndef total(discount):\n{''.join(lines)}    return 1\n"
    (folder / "till.py").write_text(text)
    named = f"{source.manager} {source.package} {source.version} shop/"
    return state, data.File(f"{named}till.py", "python", text), data.File(f"{named}prices.py", "python", prices)


def test_a_share_of_the_steps_is_shown_with_other_files(package, tokenizer):
    """As the product shows them: what is imported, as comments with its path, in front of the hole's own prefix."""
    state, *files = package
    till, mark = files[0], "# Path: shop/prices.py\n# "
    others = Others(state, tokenizer, 0.5, files)
    shown = [others.hole(till, "rest", random.Random(seed), 640) for seed in range(20)]
    assert sum(each is not None for each in shown) > 10
    for each in filter(None, shown):
        own = each.prefix[each.prefix.index("\n\n") + 2 :]
        assert each.prefix.startswith(mark)
        assert own + each.middle + each.suffix in till.text
    assert others.hole(dataclasses.replace(till, name="elsewhere.py"), "rest", random.Random(1), 640) is None
    made, again = (
        [holes.batch(files, tokenizer, 1, step, 2000, each) for step in range(40)]
        for each in (others, Others(state, tokenizer, 0.5, files))
    )
    assert made == again
    texts = [[mark in tokenizer.decode(ids) for ids, _ in batch] for batch in made]
    assert all(len(set(each)) == 1 for each in texts), "all of a step or none"
    assert 10 < sum(each[0] for each in texts) < 30


def test_a_name_that_another_file_has_is_said_in_front(package, tokenizer):
    state, *files = package
    others = Others(state, tokenizer, 1, files)
    for seed in range(10):
        cut = others.hole(files[0], "across", random.Random(seed), 640)
        line = cut.prefix.rpartition("\n")[2] + cut.middle
        assert line == "    rebate = prices.rebate_of(discount)"
        assert "rebate_of" in cut.prefix.partition("\n\n")[0]
    assert others.hole(files[1], "across", random.Random(1), 640) is None, "it uses no other file"
    assert others.hole(files[0], "across", random.Random(1), 12) is None, "no room to say it"


def test_the_rate_warms_up_and_falls_to_zero():
    assert rate(0, 1000, 1.0) == pytest.approx(1 / WARM_UP)
    assert rate(500, 1000, 1.0) == 0.5
    assert rate(999, 1000, 1.0) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [("x = retu", "x ="), ("def f():\n    ", "def f():"), ("foo(", "foo"), ("", "")],
)
def test_what_healing_takes_back(tokenizer, prefix, kept):
    assert holes.kept(prefix, tokenizer) == kept


def test_the_model_is_asked_what_the_code_actions_ask(state, tokenizer):
    files = data.corpus(state, held_out=False)
    texts = [_flat(file.text) for file in files]
    for seed in range(8):
        ids = chat.action_prompt(random.Random(seed), files, tokenizer)
        assert len(ids) < chat.CONTEXT
        asked = tokenizer.decode(ids)
        *_, code = re.findall(r"^```python\n(.*?)^```$", asked, re.DOTALL | re.MULTILINE)
        assert any(_flat(code) in text for text in texts)
        assert re.match(r" *(@|async def|def|class) ?", code)


def _flat(code):
    """Without indentation, which a prompt does not keep."""
    return "".join(line.lstrip() for line in code.splitlines(keepends=True))


def test_training_carries_on_to_the_bit(state, tmp_path):
    """Eight steps, some of them chat, at once and in two goes."""
    results = []
    for goes in ((None,), (3, None)):
        place = tmp_path / str(len(goes))
        shutil.copytree(state, place)
        for until in goes:
            train(place, steps=8, until=until, tokens=300)
        results.append(torch.load(place / "train.pt", weights_only=True))
    once, twice = results
    assert once["step"] == twice["step"] == 8
    assert once["tokens"] == twice["tokens"]
    assert all(torch.equal(value, twice["adapters"][name]) for name, value in once["adapters"].items())
    assert once["adapters"]["model.layers.0.mlp.down_proj.b"].abs().sum() > 0
    assert "chat" in (place / "log.jsonl").read_text()


def test_the_adapter_makes_the_model_that_was_taught(state, tmp_path):
    """W + SCALE * B @ A, but for what 8 bits lose, and the rows."""
    shutil.copytree(state, tmp_path / "state")
    train(tmp_path / "state", steps=3, tokens=300)
    saved = torch.load(tmp_path / "state" / "train.pt", weights_only=True)
    learned = saved["adapters"]
    write(tmp_path / "state", tmp_path / "package")
    plain, merged = (LlamaForCausalLM.from_pretrained(state / "plain", dtype=torch.float32) for _ in range(2))
    adapter.merge(merged, tmp_path / "package" / starter.ADAPTER)
    for name in [name.removesuffix(".a") for name in learned if name.endswith(".a")]:
        change = SCALE * learned[f"{name}.b"] @ learned[f"{name}.a"]
        found = merged.get_parameter(f"{name}.weight") - plain.get_parameter(f"{name}.weight")
        assert (found - change).norm() < 0.02 * change.norm(), name
    rows = merged.model.embed_tokens.weight[_token_ids(CodeLlamaTokenizer.from_pretrained(state / "plain"))]
    assert torch.equal(rows, learned["rows"].half().float())
    with safe_open(tmp_path / "package" / starter.ADAPTER, "pt") as file:
        assert file.metadata() == {"steps": "3", "tokens": str(saved["tokens"])}


def test_what_ships_is_taught_further(state, tmp_path, monkeypatch):
    """A training that begins with an adapter has its weights, and changes them."""
    shutil.copytree(state, tmp_path / "state")
    train(tmp_path / "state", steps=3, tokens=300)
    write(tmp_path / "state", tmp_path / "package")
    (tmp_path / "state" / "train.pt").unlink()
    monkeypatch.setattr(starter, "INFILLING", tmp_path / "package")
    train(tmp_path / "state", steps=1, tokens=300, highest=1e-9, package=True)
    learned = torch.load(tmp_path / "state" / "train.pt", weights_only=True)["adapters"]
    with safe_open(tmp_path / "package" / starter.ADAPTER, "pt") as file:
        for name in adapter.modules(file) - {"model.embed_tokens"}:
            a, b, scale = (file.get_tensor(f"{name}.{part}").float() for part in ("a", "b", "scale"))
            change = (b * scale) @ a
            assert (SCALE * learned[f"{name}.b"] @ learned[f"{name}.a"] - change).norm() < 1e-3 * change.norm(), name
        assert (learned["rows"] - file.get_tensor("model.embed_tokens.rows").float()).abs().max() < 1e-6


def test_what_is_written_may_go_half_the_way(state, tmp_path):
    """From the adapter that a training began with to what was learned since."""
    shutil.copytree(state, tmp_path / "state")
    rows = []
    for steps, share in ((2, 1.0), (4, 0.5), (4, 1.0)):
        train(tmp_path / "state", steps=steps, tokens=300)
        write(tmp_path / "state", tmp_path / "package", share)
        with safe_open(tmp_path / "package" / starter.ADAPTER, "pt") as file:
            rows.append(file.get_tensor("model.embed_tokens.rows").float())
    first, between, last = rows
    assert not torch.equal(first, last)
    assert torch.allclose(between, (first + last) / 2, atol=1e-3)


@pytest.fixture(scope="module")
def step(state, tokenizer):
    """(rows, learned) of rows of different lengths."""
    files = data.corpus(state, held_out=False)
    batches = (holes.batch(files, tokenizer, 1, number, 600) for number in range(100))
    return holes.padded(next(batch for batch in batches if len(batch) >= 3))


def taught(state, tokenizer, **options):
    """With adapters that change something."""
    made = Taught(state / "plain", _token_ids(tokenizer), **options)
    for name, value in made.adapters().items():
        if name.endswith(".b"):
            torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(1))
    return made


def learned_by(model, kind, step):
    loss = Learner(model, "cpu").learn(kind, *step)
    return loss.item(), torch.cat([value.grad.flatten() for value in model.adapters().values()])


def assert_alike(one, other):
    assert one[0] == pytest.approx(other[0], rel=0.02)
    assert torch.cosine_similarity(one[1], other[1], dim=0) > 0.99
    assert one[1].norm().item() == pytest.approx(other[1].norm().item(), rel=0.1)  # in half precision


@pytest.mark.parametrize("kind", ["infill", "chat"])
def test_gradients_are_those_of_transformers(state, tokenizer, step, kind):
    """Its model in float32 with W + SCALE * B @ A as weights, its own cross entropy, and autograd."""
    model = taught(state, tokenizer)
    adapters = {name: value.clone().requires_grad_() for name, value in model.adapters().items()}
    reference = LlamaForCausalLM.from_pretrained(state / "plain", dtype=torch.float32)
    weights, ids = dict(reference.named_parameters()), torch.tensor(_token_ids(tokenizer))
    for name in [name.removesuffix(".a") for name in adapters if name.endswith(".a")]:
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + SCALE * adapters[f"{name}.b"] @ adapters[f"{name}.a"]
    table = weights["model.embed_tokens.weight"].index_copy(0, ids, adapters["rows"])
    weights |= {"model.embed_tokens.weight": table, "lm_head.weight": table}
    rows, learned = step
    logits = torch.func.functional_call(reference, weights, (rows,), tie_weights=False).logits[:, :-1]
    chosen, count = learned[:, 1:], int(learned.sum())
    if kind == "infill":
        loss, weight = torch.nn.functional.cross_entropy(logits[chosen], rows[:, 1:][chosen]), 1.0
    else:
        others = [each for each in range(49152) if each not in ids]
        plain = reference(rows).logits[:, :-1][chosen][:, others].detach().softmax(-1)
        own = logits[chosen][:, others].softmax(-1)
        loss, weight = (plain * (plain / own).log()).sum() / count, CHAT_WEIGHT
    gradients = torch.autograd.grad(weight * loss, list(adapters.values()), materialize_grads=True)
    assert_alike(learned_by(model, kind, step), (loss.item(), torch.cat([each.flatten() for each in gradients])))


@pytest.mark.parametrize("kind", ["infill", "chat"])
def test_the_cores_together_learn_what_one_would(state, tokenizer, step, kind, monkeypatch):
    found = []
    for parts in (1, 3):
        monkeypatch.setattr(cores, "count", lambda device, parts=parts: parts)
        found.append(learned_by(taught(state, tokenizer), kind, step))
    assert_alike(*found)


def test_compiled_layers_learn_the_same(state, tokenizer, step):
    assert_alike(*(learned_by(taught(state, tokenizer, compiled=each), "infill", step) for each in (False, True)))


def test_answers_do_not_depend_on_their_batch(state, tokenizer):
    """Each alone and all together, with padding: the same texts, which begin where the cursor stands."""
    model = LlamaForCausalLM.from_pretrained(state / "plain", dtype=torch.float32).eval()
    spellings = Spellings(tokenizer.vocabulary.bytes_of, tokenizer.vocab_size)
    some = cuts(state, 5, "rest")
    together = evaluate.answer(model, tokenizer, spellings, "spm", some)
    alone = [evaluate.answer(model, tokenizer, spellings, "spm", [cut])[0] for cut in some]
    assert together == alone


@pytest.mark.parametrize(("kind", "ends"), [("rest", True), ("line", False)])
def test_the_end_is_likelier_where_one_line_is_asked_for(state, tokenizer, kind, ends):
    """As the product asks: for one line at the end of a line, for several where a line begins."""
    model = LlamaForCausalLM.from_pretrained(state / "plain", dtype=torch.float32).eval()
    spellings = Spellings(tokenizer.vocabulary.bytes_of, tokenizer.vocab_size)
    sure = dataclasses.replace(tokenizer, infill_tokens=dataclasses.replace(tokenizer.infill_tokens, one_line_bias=1e4))
    some = [cut for cut in cuts(state, 20, kind) if not cut.prefix.rstrip().endswith(stopping.BLOCK_OPENERS)][:5]
    assert [ended for _, ended in evaluate.answer(model, sure, spellings, "spm", some)] == [ends] * 5
