"""The configuration for Emacs, in the real Emacs without a screen: eglot and lsp-mode, against the server itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "neovim"))

from nvim import environment, server_command
from stand_in_engine import SUGGESTION_TOKENS, Engine
from traps import Traps

CONFIGURATION = Path(__file__).parents[2] / "editors" / "emacs" / "codellama.el"
INSTALL = "apt-get install -y --no-install-recommends emacs-nox elpa-eglot elpa-lsp-mode"

COMMON = """
(setq codellama-settings '(:completionMenu t :engineUrl "{url}" :tokenizer "{tokenizer}"
                           :maxTokens {tokens} :chatFormat "inst"))
(defun until (what condition)
  (let ((end (+ (float-time) 30)) (value nil))
    (while (and (not (setq value (ignore-errors (funcall condition)))) (< (float-time) end))
      (accept-process-output nil 0.1))
    (unless value (message "FAILED: %s" what) (kill-emacs 1))
    value))
(defun candidates ()
  "What completion at the cursor offers."
  (let* ((found (run-hook-with-args-until-success 'completion-at-point-functions)))
    (all-completions (buffer-substring (nth 0 found) (nth 1 found)) (nth 2 found))))
"""

EGLOT = """
(require 'package) (package-initialize) (require 'eglot)
(load "{configuration}")
(find-file "{file}")
(python-mode)
(setq eglot-sync-connect 30 eglot-confirm-server-initiated-edits nil)
(apply #'eglot (eglot--guess-contact))
(goto-char (point-min)) (end-of-line 2)
(let ((found (until "a suggestion" (lambda () (candidates)))))
  (message "CANDIDATES: %S" (mapcar #'substring-no-properties found)))
(delete-region (line-beginning-position) (line-end-position))
(insert "    return a + b")
(goto-char (point-min))
(eglot--signal-textDocument/didChange)
(let* ((actions (eglot-code-actions (point-min) (point-min)))
       (one (until "an action" (lambda () (seq-find (lambda (each) (string-prefix-p "Document" (plist-get each :title)))
                                                    actions)))))
  (message "ACTION: %s" (plist-get one :title))
  (let ((server (eglot--current-server-or-lose)))
    (if (plist-get one :data)
        (eglot--apply-workspace-edit (plist-get (jsonrpc-request server :codeAction/resolve one) :edit))
      (jsonrpc-request server :workspace/executeCommand
                       (list :command (plist-get (plist-get one :command) :command)
                             :arguments (plist-get (plist-get one :command) :arguments))))))
(until "the edit" (lambda () (string-match-p "The sum" (buffer-string))))
(message "APPLIED")
(set-buffer-modified-p nil)
(kill-emacs 0)
"""

LSP_MODE = """
(require 'package) (package-initialize) (require 'lsp-mode)
(load "{configuration}")
(setq lsp-auto-guess-root t lsp-restart 'ignore lsp-enable-file-watchers nil
      lsp-session-file "{folder}/lsp-session" lsp-server-install-dir "{folder}/servers"
      lsp-enabled-clients '(codellama) lsp-completion-provider :none)
(find-file "{file}")
(python-mode)
(lsp)
(until "the server" (lambda () (lsp-workspaces)))
(until "the server to listen" (lambda () (eq (lsp--workspace-status (car (lsp-workspaces))) 'initialized)))
(lsp-completion-mode 1)
(goto-char (point-min)) (end-of-line 2)
(let ((found (until "a suggestion" (lambda () (candidates)))))
  (message "CANDIDATES: %S" (mapcar #'substring-no-properties found)))
(goto-char (point-max)) (forward-line -1) (end-of-line) (insert " b")
(goto-char (point-min))
(let ((one (until "an action" (lambda () (seq-find (lambda (each) (string-prefix-p "Document" (gethash "title" each)))
                                                   (lsp-code-actions-at-point))))))
  (message "ACTION: %s" (gethash "title" one))
  (lsp-execute-code-action one))
(until "the edit" (lambda () (string-match-p "The sum" (buffer-string))))
(message "APPLIED")
(set-buffer-modified-p nil)
(kill-emacs 0)
"""


def trapped(folder: Path) -> Traps:
    """A project with traps, but for a `git`: Emacs itself runs that, with or without this configuration."""
    traps = Traps(folder / "project", folder / "owned")
    for path in (folder / "project").rglob("git"):
        path.unlink()
    return traps


CLIENTS = pytest.mark.parametrize(("client", "script"), [("eglot", EGLOT), ("lsp-mode", LSP_MODE)])


def run(
    client: str, script: str, folder: Path, tokenizer: Path, *, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Emacs in a project with one open file, as one starts it in a terminal there."""
    emacs = shutil.which("emacs")
    assert emacs, f"There is no Emacs here; install it with: {INSTALL}"
    engine = Engine()
    engine.answers = ['```python\ndef add(a, b):\n    """The sum."""\n    return a + b\n```']
    project = folder / "project"
    (project / ".git").mkdir(parents=True, exist_ok=True)
    file = project / "main.py"
    file.write_text("def add(a, b):\n    \n" if client == "eglot" else "def add(a, b):\n    return a +\n")
    if client == "lsp-mode":
        engine.suggestion = " b"
    command = server_command(folder / "bin")
    names = {
        "url": engine.url,
        "tokenizer": tokenizer,
        "tokens": SUGGESTION_TOKENS,
        "configuration": CONFIGURATION,
        "file": file,
        "folder": folder,
    }
    text = COMMON + script
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    (folder / "test.el").write_text(text)
    try:
        return subprocess.run(
            [emacs, "--batch", "-l", str(folder / "test.el")],
            env=environment(folder, variables, path=command.parent),
            cwd=project,
            capture_output=True,
            text=True,
            timeout=90,
        )
    finally:
        engine.close()


@CLIENTS
def test_suggestions_and_actions(
    client: str, script: str, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> None:
    result = run(client, script, tmp_path, tokenizer_folder())
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-3000:]
    assert "CANDIDATES: (" in said
    assert "ACTION: Document" in said
    assert "APPLIED" in said


@CLIENTS
@pytest.mark.parametrize("python_path", [None, ".:", "{project}"])
def test_nothing_of_the_project_is_run(
    client: str, script: str, python_path: str | None, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> None:
    project = tmp_path / "project"
    traps = trapped(tmp_path)
    variables = {"PATH": f".::{tmp_path / 'bin'}:/usr/bin:/bin"}
    if python_path:
        variables |= {"PYTHONPATH": python_path.format(project=project), "PYTHONWARNINGS": "ignore::torch.Owned"}
    result = run(client, script, tmp_path, tokenizer_folder(), variables=variables)
    assert "APPLIED" in result.stdout + result.stderr, (result.stdout + result.stderr)[-3000:]
    assert traps.sprung == []


@CLIENTS
def test_a_program_that_only_this_folder_has_is_not_started(
    client: str, script: str, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> None:
    traps = trapped(tmp_path)
    script = script.replace('(find-file "{file}")', '(find-file "{file}") (message "FOUND: %S" (codellama--program))')
    result = run(client, script, tmp_path, tokenizer_folder(), variables={"PATH": ".:bin:~/bin:/usr/bin:/bin"})
    said = result.stdout + result.stderr
    assert "FOUND: nil" in said, said[-3000:]
    assert "APPLIED" not in said
    assert traps.sprung == []
