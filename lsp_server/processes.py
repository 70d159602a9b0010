"""How this program starts others, and itself again: nothing of the folder at hand gets into them.

An opened folder may hold a `torch.py`, a `lsp_server/`, a `.numba_config.yaml` or a `git`, put there by whoever wrote
the repository or by honest chance. So every Python of ours runs in the isolated mode of the interpreter, which reads no
`PYTHON*` variable and does not look at the working folder, with the import path that this process was found to have;
its working folder is one of our own; and a program is looked for on absolute entries of the PATH alone.
"""

from __future__ import annotations

# These two alone, which the interpreter has loaded by itself: what else is imported may come from the surroundings.
import os
import sys

# Who started this process, looked at first of all: one that has ended since is another's child.
PARENT = os.getppid()

# Where this package lies: the one place that is trusted however it got onto the import path.
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

# A thread that ends the process with the one that started it: that one's end of standard input closes however it ends.
_ATTENDED = (
    "import os, stat, threading; stat.S_ISFIFO(os.fstat(0).st_mode) and "
    "threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start(); "
)
_RUN = (
    "import runpy, sys; sys.path[:] = {path!r}; del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def trusted_path() -> list[str]:
    """The import path of this process without what it owes to its surroundings: the working folder, which `python -m`
    puts first, and the entries of PYTHONPATH, which may name a folder of the workspace."""
    around = {os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    strange = {os.path.realpath(entry) for entry in around} - {ROOT}
    return [entry for entry in sys.path if os.path.isabs(entry) and os.path.realpath(entry) not in strange]


def isolate() -> None:
    """Take no code from the surroundings from now on. For the beginning of a program, before it loads anything else."""
    sys.path[:] = trusted_path()


def python(module: str, *arguments: str, first: tuple[str, ...] = (), attended: bool = False) -> list[str]:
    """The command that runs a module as `python -m` does, isolated. `first`: entries before the import path.

    `attended`: where its standard input is a pipe of who starts it, it ends when that does.
    """
    run = (_ATTENDED if attended else "") + _RUN.format(path=[*first, *trusted_path()])
    return [sys.executable, "-I", "-c", run, module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment for a program that is started, with `more` in it: this one's, without the variables by which
    Python loads code or is led elsewhere, which programs that it starts in turn would follow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONSAFEPATH": "1", "PATH": os.pathsep.join(_path_entries()), **more}


def program(name: str) -> str | None:
    """Where a program is on the PATH. Not in the working folder, which an empty or relative entry would mean, and which
    Windows looks at by itself; nor where a link leads into it."""
    import shutil

    found = (shutil.which(name, path=entry) for entry in _path_entries())
    return next((each for each in found if each and os.path.isabs(each) and not _is_here(each)), None)


def _is_here(path: str) -> bool:
    """Whether a file lies in the working folder or below, by its name or by a link on the way."""
    here = os.path.realpath(os.getcwd())
    names = (os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), os.path.realpath(path))
    # At the top of the file system lies everything.
    return here != os.path.dirname(here) and any(name.startswith(here + os.sep) for name in names)


def _path_entries() -> list[str]:
    return [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(entry)]
