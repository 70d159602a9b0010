"""URIs of documents, and the files that they name.

The library's own functions decode a URI that is decoded already, and end at a `#` or `?`, which may stand in a name.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_DRIVE = re.compile(r"/?([A-Za-z]):(?=/|$)")
_CUT = re.compile("[?#]")
_INSIDE = re.compile(r"!(?=[/\\])|::")  # between an archive and a name in it
# What a URI can hold of further ones: more than any has that means something.
MOST_INNER = 32


def file_of(uri: str) -> Path | None:
    """The file behind a `file:` URI; None for an unsaved buffer and the like, and for what can be no name of a file."""
    path = path_in(uri, windows=os.name == "nt") if scheme_of(uri) == "file" else ""
    return Path(path) if path and "\0" not in path else None


def uri_of(path: Path) -> str:
    """The `file:` URI of an absolute path, as editors write it."""
    text = os.fsencode(path.as_posix())
    if os.name == "nt":
        share = text.startswith(b"//")
        return "file:" + ("" if share else "///") + quote(text, safe="/:" if not share else "/")
    return "file://" + quote(text)


def scheme_of(uri: str) -> str:
    """`file` of `file:///x`, in small letters; "" where there is none."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


def path_in(uri: str, *, windows: bool) -> str:
    """The path in a URI, decoded once; "" for none. A `#` or `?` belongs to it: a `file:` URI has nothing behind it,
    and some editors leave these characters as they are."""
    host, path = _decoded(uri)
    if not windows:
        return one_root(path)
    if drive := _DRIVE.match(path):
        path = f"{drive[1]}:{path[drive.end() :] or '/'}"
    elif host and host.lower() != "localhost":
        path = f"//{host}{path}"
    return path.replace("/", "\\")


def one_root(path: str) -> str:
    """A path without the slashes that stand at its beginning once more: only Windows means something by two, but they
    are kept wherever paths are put together."""
    return "/" + path.lstrip("/") if os.name != "nt" and path.startswith("//") else path


def names_in(uri: str) -> tuple[Path, ...]:
    """The names of the files that a URI of any scheme speaks of, such as a cell of a notebook, a file elsewhere, one in
    an archive or in a commit; none for a buffer without a name. What may be a fragment or a query is read both ways; a
    name ends before a zero byte."""
    found: dict[str, None] = {}
    waiting, seen = [uri], 0
    while waiting and seen < MOST_INNER:
        each, seen = waiting.pop(0), seen + 1
        found.update(dict.fromkeys(_paths(each)))
        if each is not uri or scheme_of(each) != "file":  # in a file's own name these marks are letters
            found.update(dict.fromkeys(itertools.islice(_around(each), MOST_INNER)))
            waiting += _within(each)[:MOST_INNER]
    return tuple(dict.fromkeys(Path(name) for path in found if (name := path.partition("\0")[0])))


def _paths(uri: str) -> Iterator[str]:
    """The paths that a URI can mean by itself: with what may be a fragment or a query, and without."""
    whole, cut = path_in(uri, windows=os.name == "nt"), path_in(_CUT.split(uri, 1)[0], windows=os.name == "nt")
    yield from (whole, cut) if scheme_of(uri) == "file" else (cut, whole)
    host, path = _decoded(uri)
    if host and os.name != "nt":  # one slash too few: no other machine is meant
        yield one_root(f"/{host}{path}")


def _around(uri: str) -> Iterator[str]:
    """The archive in which a path leads, and the file of which it names a version."""
    path = path_in(_CUT.split(uri, 1)[0], windows=os.name == "nt")
    before, git, after = path.replace("\\", "/").partition("/.git/")
    if git:  # in a commit, or in the index: `/.git//<commit>/<path>`, `/.git/:0:/<path>`, `/.git//:0:<path>`
        commit, _, rest = after.lstrip("/").partition("/")
        yield f"{before}/{rest}"
        yield f"{before}/{commit.rpartition(':')[2]}/{rest}"
    for mark in _INSIDE.finditer(path):
        yield path[: mark.start()]


def _within(uri: str) -> list[str]:
    """The URIs and paths that are written in another one: behind its scheme, and as values of its query."""
    rest = uri[len(scheme_of(uri)) + 1 :] if scheme_of(uri) else ""
    found = [each for each in (rest, unquote(rest)) if len(scheme_of(each)) > 1]
    for text in _CUT.split(uri, 1)[1:]:
        for query in (text, unquote(text)):
            found += _values(query)
    return found


def _values(query: str) -> list[str]:
    """The texts in a query or fragment, which is JSON, or `name=value` pairs, or one text."""
    try:
        waiting = [json.loads(query)]
    except (ValueError, RecursionError):
        return [unquote(each.rpartition("=")[2]) for each in re.split("[&#?]", query, maxsplit=MOST_INNER)]
    found = []
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, (list, dict)):
            waiting += each if isinstance(each, list) else each.values()
    return found


def _decoded(uri: str) -> tuple[str, str]:
    """(host, path) of a URI."""
    rest = uri[len(scheme_of(uri)) + 1 :] if scheme_of(uri) else uri
    host = ""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        rest = slash + path
    return os.fsdecode(_bytes(host)), os.fsdecode(_bytes(rest))


def _bytes(text: str) -> bytes:
    """Percent-decoded, so that a name which is no UTF-8 comes back as it is on disk."""
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(text.encode("utf-8", "surrogatepass"))  # half a pair names no file, but may be sent
