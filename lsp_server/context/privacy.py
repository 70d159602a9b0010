"""What the model must never see: secrets, and what the user's project ignores.

A local model would keep a secret to itself, but a suggestion made from one ends up in a file, and a remote engine would
be sent it. So these files are left alone whatever the engine.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathspec

# Names that hold keys, passwords or tokens. The same in every project; matched like lines of a .gitignore.
SECRET_FILES = (
    ".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", "*.env",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.asc", "*.gpg",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "!*.pub",
    ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials", ".dockercfg",
    "credentials", "credentials.json", "credentials.toml", "credentials.ini", "*.secret", "*.secrets",
    "secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml", "secrets.ini", "*.tfvars", "*.tfstate*",
    ".aws/", ".ssh/", ".gnupg/", ".kube/", ".docker/config.json", ".azure/", "gcloud/",
)  # fmt: skip
# A project can name further files here, in the syntax of .gitignore.
IGNORE_FILES = (".gitignore", ".codellamaignore")


def why_hidden(path: Path | None, roots: tuple[Path, ...] = ()) -> str:
    """Why the model must not see the file, as one sentence; empty where it may.

    `path` None is an unsaved buffer, which it may. The ignore files of each folder from the workspace root (one of
    `roots`) that holds the file, down to the file, are heeded; outside of all roots only secrets are.
    """
    if path is None:
        return ""
    if _secrets().match_file(path.as_posix().lstrip("/")):
        return f"{path.name} looks like a file of secrets; such files are never shown to the model."
    root = next((root for root in roots if path.is_relative_to(root)), None)
    if root is None:
        return ""
    ignored = ""
    for folder in (folder for folder in reversed(path.parents) if folder.is_relative_to(root)):
        for file in (folder / name for name in IGNORE_FILES):
            spec = _spec(file, _stamp(file))
            verdict = spec.check_file(path.relative_to(folder).as_posix()).include if spec else None
            if verdict is not None:  # a deeper file has the last word, as in git
                reason = f"{path.name} is ignored by {file}; ignored files are never shown to the model."
                ignored = reason if verdict else ""
    return ignored


def _stamp(path: Path) -> int:
    """A number that changes when the file does; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@functools.cache
def _secrets() -> pathspec.GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(SECRET_FILES)


@functools.lru_cache(maxsize=256)
def _spec(path: Path, stamp: int) -> pathspec.GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    if not stamp:
        return None
    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return None
