"""Where what a file imports is: the files of its own workspace, by the rules of its language.

Nothing is looked up on disk: what is there is asked of `Known`, which the index is, so what is hidden or outside of the
workspace is never found. What is of other people's packages is not found either.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Protocol

from lsp_server.context.languages import language
from lsp_server.context.related.statements import ALL, SCRIPTS, WITHIN, Import

# Files of a package or folder that is imported as a whole.
MOST_FILES = 40
# Folders in which a project keeps its code, of those around a file.
_SOURCE_FOLDERS = ("", "src", "lib", "python")
_HEADER_FOLDERS = ("", "include", "inc", "src")
_SCRIPT_SUFFIXES = (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
# What TypeScript has its programmers write for a file of the first kind.
_WRITTEN_AS = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}


class Known(Protocol):
    """What is known of the workspace. Paths are absolute, with forward slashes."""

    def holds(self, path: str) -> bool: ...

    def named(self, name: str) -> Sequence[str]:
        """The files of that name, without their folders."""

    def in_folder(self, folder: str) -> Sequence[str]:
        """The files that lie in a folder itself."""

    def imports(self, path: str) -> Sequence[Import]: ...

    def is_inside(self, folder: str) -> bool:
        """Whether a folder is one of the workspace's, or lies in one."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where an import leads: to `names` in `paths`, (what each is called there, here), or for `alias` to all of it."""

    paths: tuple[str, ...]
    names: tuple[tuple[str, str], ...] = ()
    alias: str = ""


def targets(known: Known, path: str, language_id: str, imports: Sequence[Import]) -> list[Target]:
    """Where the imports of the file `path` lead, and what it may name without an import: its own package."""
    spoken = language(language_id, path).id
    find = _FINDERS.get(spoken)
    if find is None:
        return []
    found = [target for each in imports for target in find(known, path, each)]
    if spoken in ("go", "java"):
        found.append(Target(_package(known, posixpath.dirname(path), path), (ALL,)))
    return [target for target in dict.fromkeys(found) if target.paths]


def _around(known: Known, folder: str) -> Iterator[str]:
    """A folder and those that it lies in, up to the top of the workspace."""
    while True:
        yield folder
        above = posixpath.dirname(folder)
        if above == folder or not known.is_inside(above):
            return
        folder = above


def _first(known: Known, candidates: Iterator[str]) -> str:
    return next((each for each in candidates if known.holds(each)), "")


def _join(*parts: str) -> str:
    return posixpath.normpath(posixpath.join(*parts))


# Python


def _python(known: Known, path: str, what: Import) -> list[Target]:
    dots = len(what.module) - len(what.module.lstrip("."))
    parts = [part for part in what.module[dots:].split(".") if part]
    folder = posixpath.dirname(path)
    if dots:
        bases: Iterator[str] = iter([_join(folder, *[".."] * (dots - 1))])
    else:
        # What lies in a package is imported by its whole name.
        around = (base for base in _around(known, folder) if not known.holds(_join(base, "__init__.py")))
        bases = (posixpath.join(base, inner) for base in around for inner in _SOURCE_FOLDERS)
    for base in bases:
        found = _python_in(known, _join(base, *parts), what)
        if found:
            return [target for target in found if target.paths != (path,)]
    return []


def _python_in(known: Known, module: str, what: Import) -> list[Target]:
    """What is found where the module would be `module`, a path without its suffix."""
    itself = _python_module(known, module)
    if not what.names:
        return [Target((itself,), alias=what.alias)] if itself else []
    found = [Target((itself,), what.names)] if itself else []
    if not itself or posixpath.basename(itself).startswith("__init__."):
        for there, here in what.names:
            inner = _python_module(known, _join(module, there)) if there != "*" else ""
            if inner:
                found.append(Target((inner,), alias=here))
    return found


def _python_module(known: Known, module: str) -> str:
    endings = (".py", "/__init__.py", ".pyi", "/__init__.pyi")
    return _first(known, (module + ending for ending in endings))


# TypeScript, JavaScript


def _script(known: Known, path: str, what: Import) -> list[Target]:
    folder = posixpath.dirname(path)
    if what.module.startswith("."):
        found = _script_module(known, _join(folder, what.module))
    else:
        found = _by_project(known, folder, what.module)
    return [Target((found,), what.names, what.alias)] if found and found != path else []


def _script_module(known: Known, module: str) -> str:
    stem, suffix = posixpath.splitext(module)
    candidates = [module] if suffix in _SCRIPT_SUFFIXES else []
    candidates += [stem + other for other in _WRITTEN_AS.get(suffix, ())]
    candidates += [module + other for other in _SCRIPT_SUFFIXES]
    candidates += [f"{module}/index{other}" for other in _SCRIPT_SUFFIXES]
    return _first(known, iter(candidates))


def _by_project(known: Known, folder: str, module: str) -> str:
    """A module by the paths of a tsconfig.json, or one of another package of the workspace."""
    for base in _around(known, folder):
        for name in ("tsconfig.json", "jsconfig.json"):
            config = _join(base, name)
            for rule in known.imports(config) if known.holds(config) else ():
                if found := _by_rule(known, base, rule, module):
                    return found
    for project in known.named("package.json"):
        for rule in known.imports(project):
            if module == rule.module or module.startswith(f"{rule.module}/"):
                inner = module[len(rule.module) :].lstrip("/")
                mains = [inner] if inner else [main for main, _ in rule.names]
                places = [*mains, f"src/{inner}", *(_join("src", posixpath.basename(main)) for main in mains), inner]
                tried = (_script_module(known, _join(posixpath.dirname(project), place)) for place in places)
                if found := next(filter(None, tried), ""):
                    return found
    return ""


def _by_rule(known: Known, base: str, rule: Import, module: str) -> str:
    before, star, after = rule.module.partition("*")
    if rule.kind != "paths" or not module.startswith(before) or not module.endswith(after):
        return ""
    if not star and module != before:
        return ""
    inner = module[len(before) : len(module) - len(after)]
    tried = (_script_module(known, _join(base, place.replace("*", inner))) for place, _ in rule.names)
    return next(filter(None, tried), "")


# Rust


def _rust(known: Known, path: str, what: Import) -> list[Target]:
    folder, name = posixpath.split(path)
    stem = name.removesuffix(".rs")
    # Modules that a file declares lie beside it where it stands for its folder, else in a folder of its name.
    own = folder if stem in ("mod", "lib", "main") else _join(folder, stem)
    if what.kind in WITHIN:
        return []
    if what.kind == "mod":
        child = _rust_module(known, own, what.module) or _rust_module(known, folder, what.module)
        return [Target((child,), alias=what.alias)] if child else []
    start, parts = own, [part for part in what.module.split("::") if part]
    if not parts:
        return []
    if parts[0] == "crate":
        start, parts = _crate(known, folder), parts[1:]
    elif parts[0] in ("self", "super"):
        while parts and parts[0] in ("self", "super"):
            start, parts = posixpath.dirname(start) if parts[0] == "super" else start, parts[1:]
    elif not _rust_module(known, own, parts[0]):
        start, parts = _other_crate(known, parts[0]), parts[1:]
    found = _rust_path(known, start, parts, what) if start else []
    return [target for target in found if target.paths != (path,)]


def _rust_path(known: Known, folder: str, parts: Sequence[str], what: Import) -> list[Target]:
    """What a path leads to from the module whose children lie in `folder`. A part that is no file is a module, a type
    or the like inside of the last file."""
    here = _rust_root(known, folder)
    for part in parts:
        inner = _rust_module(known, folder, part)
        if not inner:
            return [Target((here,), ((part, part), *what.names))] if here else []
        here, folder = inner, _join(folder, part)
    found = [Target((here,), what.names)] if here else []
    for there, alias in what.names:
        if there != "*" and (inner := _rust_module(known, folder, there)):
            found.append(Target((inner,), alias=alias))
    return found


def _rust_module(known: Known, folder: str, name: str) -> str:
    return _first(known, iter((_join(folder, f"{name}.rs"), _join(folder, name, "mod.rs")))) if name else ""


def _rust_root(known: Known, folder: str) -> str:
    """The file of the module whose children lie in `folder`."""
    inside = (_join(folder, each) for each in ("lib.rs", "main.rs", "mod.rs"))
    return _first(known, inside) or _first(known, iter((f"{folder}.rs",)))


def _crate(known: Known, folder: str) -> str:
    """The folder of the root module of the crate that a folder belongs to."""
    for base in _around(known, folder):
        if known.holds(_join(base, "Cargo.toml")):
            return _join(base, "src")
        if known.holds(_join(base, "lib.rs")) or known.holds(_join(base, "main.rs")):
            return base
    return ""


def _other_crate(known: Known, name: str) -> str:
    for project in known.named("Cargo.toml"):
        if any(each.module == name for each in known.imports(project)):
            return _join(posixpath.dirname(project), "src")
    return ""


# Go


def _go(known: Known, path: str, what: Import) -> list[Target]:
    for project in known.named("go.mod"):
        for each in known.imports(project):
            if what.module == each.module or what.module.startswith(f"{each.module}/"):
                folder = _join(posixpath.dirname(project), what.module[len(each.module) :].lstrip("/"))
                return [Target(_package(known, folder, path), what.names, what.alias)]
    return []


def _package(known: Known, folder: str, path: str) -> tuple[str, ...]:
    """The files of the package in a folder that others may use; of the file's own package without itself."""
    suffix = posixpath.splitext(path)[1]
    files = (each for each in known.in_folder(folder) if each.endswith(suffix) and each != path)
    return tuple(sorted(each for each in files if not each.endswith("_test.go")))[:MOST_FILES]


# Java


def _java(known: Known, path: str, what: Import) -> list[Target]:
    if what.kind == "package":
        return []
    place = what.module.replace(".", "/")
    if what.names == (ALL,):
        some = next(iter(known.named(f"{posixpath.basename(place)}.java")), "")
        if some.endswith(f"/{place}.java"):  # import static a.B.*
            return [Target((some,), what.names)]
        for root in _java_roots(known, path):
            if files := _package(known, _join(root, place), path):
                return [Target(files, what.names)]
        return []
    name = what.names[0][0]
    for inner in (f"{place}/{name}", place):  # the second: a member, or a class in a class
        found = [each for each in known.named(f"{posixpath.basename(inner)}.java") if each.endswith(f"/{inner}.java")]
        if found:
            itself = (posixpath.basename(inner),) * 2
            return [Target((_nearest(path, found),), tuple(dict.fromkeys((itself, *what.names))))]
    return []


def _java_roots(known: Known, path: str) -> Iterator[str]:
    """Folders that packages begin in: the file's own, and those of the other parts of the project."""
    folder = posixpath.dirname(path)
    own = next((each.module for each in known.imports(path) if each.kind == "package"), "").replace(".", "/")
    root = folder.removesuffix(own).rstrip("/") if own and folder.endswith(f"/{own}") else folder
    yield root
    if root.endswith("/test/java"):
        yield root.removesuffix("test/java") + "main/java"
    for base in _around(known, folder):
        yield from (base, _join(base, "src/main/java"), _join(base, "src"))


# C, C++


def _c(known: Known, path: str, what: Import) -> list[Target]:
    folder = posixpath.dirname(path)
    beside = _join(folder, what.module)
    if known.holds(beside):
        return [Target((beside,), what.names)]
    bases = (posixpath.join(base, inner) for base in _around(known, folder) for inner in _HEADER_FOLDERS)
    found = _first(known, (_join(base, what.module) for base in bases))
    if not found:
        ending = "/" + what.module.lstrip("./")
        found = _nearest(path, [each for each in known.named(posixpath.basename(ending)) if each.endswith(ending)])
    return [Target((found,), what.names)] if found and found != path else []


def _nearest(path: str, found: Sequence[str]) -> str:
    """Of several files that which has the most folders in common with `path`; "" of none."""
    return max(found, key=lambda each: (len(posixpath.commonpath([path, each])), -len(each)), default="")


_FINDERS = {
    "python": _python,
    **dict.fromkeys(SCRIPTS, _script),
    "rust": _rust,
    "go": _go,
    "java": _java,
    **dict.fromkeys(("c", "cpp", "cuda-cpp"), _c),
}


def as_known(path: PurePath | str) -> str:
    """A path as the index has it."""
    return PurePath(path).as_posix()
