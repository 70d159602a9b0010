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
from lsp_server.engine import starter
from lsp_server.engine.healing import Spellings
from training import chat, cores, data, evaluate, holes
from training.model import SCALE, Taught
from training.train import CHAT_EVERY, CHAT_WEIGHT, WARM_UP, Learner, Steps, _token_ids, rate, train, write

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
    paths = [path for path in (ROOT / "lsp_server").rglob("*.py") if path.stat().st_size >= data.BYTES[0]]
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


def test_a_step_learns_the_text_before_its_holes_unless_told_not_to(state, tokenizer):
    files, talks = data.corpus(state, held_out=False), chat.load(state, held_out=False)
    steps = [Steps(tokenizer, files, talks, 600, before, CHAT_EVERY) for before in (0, 64)]
    (kind, rows, alone), (_, same, more) = (each[0] for each in steps)
    assert kind == "infill"
    assert torch.equal(rows, same)
    assert (alone <= more).all()
    assert more.sum() > 1.5 * alone.sum()
    (kind, _, alone), (_, _, more) = (each[CHAT_EVERY - 1] for each in steps)
    assert kind == "chat"
    assert torch.equal(alone, more)
    assert [Steps(tokenizer, files, talks, 600, 64, 2)[step][0] for step in range(4)] == ["infill", "chat"] * 2


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
    """Thirteen steps, two of them chat, at once and in two goes."""
    results = []
    for goes in ((13,), (6, 7)):
        place = tmp_path / str(len(goes))
        shutil.copytree(state, place)
        for steps in goes:
            train(place, steps=steps, tokens=300)
        results.append(torch.load(place / "train.pt", weights_only=True))
    once, twice = results
    assert once["step"] == twice["step"] == 13
    assert once["tokens"] == twice["tokens"]
    assert all(torch.equal(value, twice["adapters"][name]) for name, value in once["adapters"].items())
    assert once["adapters"]["model.layers.0.mlp.down_proj.b"].abs().sum() > 0
    assert "chat" in (place / "log.jsonl").read_text()


def test_finishing_leaves_the_training_as_it_was(state, tmp_path):
    shutil.copytree(state, tmp_path / "state")
    train(tmp_path / "state", steps=2, tokens=300)
    before = (tmp_path / "state" / "train.pt").read_bytes()
    train(tmp_path / "state", finish=2, tokens=300)
    assert (tmp_path / "state" / "train.pt").read_bytes() == before
    assert torch.load(tmp_path / "state" / "finished.pt", weights_only=True)["step"] == 4


def test_training_goes_on_from_the_packages_adapter(state, tmp_path, monkeypatch):
    """With what it had learned, in float16, and with its counts; the rate warms up anew."""
    shutil.copytree(state, tmp_path / "state")
    train(tmp_path / "state", steps=3, tokens=300)
    before = torch.load(tmp_path / "state" / "train.pt", weights_only=True)
    write(tmp_path / "state", ["train.pt"], tmp_path / "package")
    (tmp_path / "state" / "train.pt").unlink()
    monkeypatch.setattr(starter, "INFILLING", tmp_path / "package")
    train(tmp_path / "state", steps=1, tokens=300, highest=0.0, from_package=True)
    after = torch.load(tmp_path / "state" / "train.pt", weights_only=True)
    assert (after["step"], after["begun"]) == (4, 3)
    assert after["tokens"] > before["tokens"]
    for name, value in before["adapters"].items():
        assert torch.equal(after["adapters"][name], value.half().float()), name
    assert rate(3, None, 1.0, begun=3) == 1 / WARM_UP
    assert rate(3 + WARM_UP, None, 1.0, begun=3) == 1.0


def test_the_adapter_of_two_stages_is_their_mean(state, tmp_path):
    shutil.copytree(state / "plain", tmp_path / "plain")
    for stage, value in ((1, 0.25), (2, 0.75)):
        adapters = {"rows": torch.full((4, 32), value), "layer.a": torch.full((2, 3), -value)}
        torch.save({"adapters": adapters, "step": stage, "tokens": 10 * stage}, tmp_path / f"{stage}.pt")
    write(tmp_path, ["1.pt", "2.pt"], tmp_path / "package")
    with safe_open(tmp_path / "package" / starter.ADAPTER, "pt") as adapter:
        assert torch.equal(adapter.get_tensor("model.embed_tokens.rows"), torch.full((4, 32), 0.5).half())
        assert torch.equal(adapter.get_tensor("layer.a"), torch.full((2, 3), -0.5).half())
        assert (adapter.metadata()["steps"], adapter.metadata()["tokens"]) == ("2", "20")


@pytest.fixture(scope="module")
def step(state, tokenizer):
    """(rows, learned) of rows of different lengths."""
    examples = holes.batch(data.corpus(state, held_out=False), tokenizer, 1, 1, 600)
    rows = torch.zeros(len(examples), max(len(ids) for ids, _ in examples), dtype=torch.long)
    learned = torch.zeros(rows.shape, dtype=torch.bool)
    for at, (ids, first) in enumerate(examples):
        rows[at, : len(ids)] = torch.tensor(ids)
        learned[at, first : len(ids)] = True
    assert len(examples) >= 3
    return rows, learned


def taught(state, tokenizer, **options):
    """With adapters that change something."""
    made = Taught(state / "plain", _token_ids(tokenizer), **options)
    for name, value in made.adapters().items():
        if name.endswith(".b"):
            torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(1))
    return made


def learned_by(model, kind, step):
    loss = Learner(model, "cpu").learn(kind, *step)
    return loss, torch.cat([value.grad.flatten() for value in model.adapters().values()])


def assert_alike(one, other):
    assert one[0] == pytest.approx(other[0], rel=0.02)
    assert torch.cosine_similarity(one[1], other[1], dim=0) > 0.99
    assert one[1].norm().item() == pytest.approx(other[1].norm().item(), rel=0.05)


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
