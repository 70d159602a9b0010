"""Completion in real shells: what each offers behind some words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsp_server import cli

BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_codellama_ls codellama-ls
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# A terminal of its own, as zsh completes only there: all it offers is listed.
ZSH = """
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell 'autoload -U compinit; compinit -u; PS1=; eval "$(cat {script})"; echo READY'
zpty -r shell line '*READY*READY*'
zpty -w -n shell $'{words}\\t\\t'
sleep 0.5
while zpty -r -t shell line; do print -r -- "$line"; done
"""
FISH = "source {script}; complete -C '{words}'"


def offered(shell: str, words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    script = folder / f"completion.{shell}"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    template = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
    code = template.format(script=script, words=" ".join(words), last=len(words) - 1)
    done = subprocess.run([shell, "-c", code], capture_output=True, text=True, timeout=30, cwd=folder)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_offered(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "a_file.py").touch()
    for words, wanted, other in (
        (["codellama-ls", "do"], "doctor", "complete"),
        (["codellama-ls", "models", ""], "verify", "doctor"),
        (["codellama-ls", "chat", "--chat-mo"], "--chat-model", "--tokenizer"),
        (["codellama-ls", "chat", "--model", "codellama/CodeLlama-7b-I"], "codellama/CodeLlama-7b-Instruct-hf", "13b"),
        (["codellama-ls", "complete", "a_fi"], "a_file.py", "doctor"),
        (["codellama-ls", "complete", "--layout", ""], "psm", "doctor"),
    ):
        said = offered(shell, words, tmp_path, capsys)
        assert wanted in said, words
        assert other not in said, words
