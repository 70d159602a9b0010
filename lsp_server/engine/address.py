"""Where a running engine is reached. Light: the language server reads it, the engine writes it; no torch here.

One engine serves one model to all editor windows of a user. Three files in the runtime folder belong to it, all named
after the model:

- `<key>.lock` is held by the engine as long as it lives; the system frees it however the engine ends, so holding it
  is what "running" means, and two engines that start at once cannot both get it;
- `<key>.<process id>.sock` is its Unix socket (on Windows, a port on the loopback interface with a token instead): its
  own, so that who knew the engine before it, which may have had another context, finds that one gone;
- `<key>.json` says how to reach it, its process id and version, and what of its memory it will take but has not yet,
  which another engine must leave to it. An orderly end removes it, a crash leaves it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from lsp_server import places


@dataclasses.dataclass(frozen=True)
class Address:
    """How to reach an engine: by `socket` where that is set, else by `port` on 127.0.0.1 with `token`. `root`: where
    the program lies that it runs. `reserved`: the bytes that it will still take, by the name of the device ("cpu",
    "cuda:0")."""

    pid: int
    version: str
    model: str
    socket: str = ""
    port: int = 0
    token: str = ""
    root: str = ""
    reserved: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def url(self) -> str:
        return "http://localhost" if self.socket else f"http://127.0.0.1:{self.port}"


_SAID = {field.name for field in dataclasses.fields(Address)}


@dataclasses.dataclass(frozen=True)
class EngineFiles:
    """The files of the engine of one model."""

    lock: Path
    address: Path
    log: Path

    def socket(self, pid: int) -> Path:
        """That of the engine which is this process."""
        return self.lock.with_suffix(f".{pid}.sock")

    def sockets(self) -> list[Path]:
        """Those that are there: the running engine's, and what crashed ones left."""
        return sorted(self.lock.parent.glob(f"{self.lock.stem}.*.sock"))


def files(model: str) -> EngineFiles:
    """The files of the engine that serves `model`: a hub id, a checkpoint folder, or `starter`. Raises UserError."""
    folder = places.named_folder(model)
    name = model if folder is None else str(folder.resolve())
    key = hashlib.sha256(name.encode()).hexdigest()[:12]
    runtime = places.runtime_folder()
    return EngineFiles(
        lock=runtime / f"{key}.lock",
        address=runtime / f"{key}.json",
        log=places.log_folder() / f"engine-{key}.log",
    )


def read(path: Path) -> Address | None:
    """The address in the file, or None where there is none that can be read (an engine is writing it, or crashed).
    What another version says beside is passed over."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Address(**{name: said[name] for name in _SAID & said.keys()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def every() -> list[Address]:
    """Those of all engines of this user that run. Raises UserError."""
    found = (read(path) for path in sorted(places.runtime_folder().glob("*.json")))
    return [each for each in found if each is not None and alive(each)]


def alive(found: Address) -> bool:
    """Whether the engine's process runs: its id alone may have gone to another program since."""
    import psutil

    try:
        process = psutil.Process(found.pid)
        command = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and ("lsp_server" in command or "codellama-ls" in command)
    except psutil.Error:
        return False


def traces() -> list[Path]:
    """The addresses and sockets that engines which have crashed left, and that nobody uses. Raises UserError."""
    runtime = places.runtime_folder()
    used = {each for found in every() for each in (files(found.model).address, Path(found.socket))}
    return sorted({*runtime.glob("*.json"), *runtime.glob("*.sock")} - used)


def reserved_by_others() -> dict[str, int]:
    """The bytes that the other engines of this user will still take, by device."""
    total: dict[str, int] = {}
    for found in every():
        for device, size in found.reserved.items() if found.pid != os.getpid() else ():
            total[device] = total.get(device, 0) + size
    return total


def write(path: Path, address: Address) -> None:
    """Write the address for this user alone (0600), at once: a reader sees all of it or nothing."""
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(address), file)
    partial.replace(path)
