"""The names that may stand at a cursor: members that there are, of what stands before the dot, and no others."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest
from projects import CURSOR, Project

from lsp_server.context.related.gathering import Related
from lsp_server.context.related.possible import KNOWN, LIKELY, MOST, USED, possible
from lsp_server.settings import Settings

PYTHON = """class Base:
    def close(self): ...

class Store(Base):
    size: int = 0

    def __init__(self, path):
        self.path = path

    @classmethod
    def opened(cls, path): ...

    def find_by_colour(self, colour): ...

    def find_by_size(self, size): ...

class Thing(Foreign):
    def own(self): ...

class Loose:
    def __getattr__(self, name): ...

class Failed(ValueError):
    code: int = 1

def lend() -> Store: ...
"""
JAVA = """package shop;
public class Store {
    public static final int MOST = 3;
    private int secret;
    public Store(String path) {}
    public static Store open(String path) { return null; }
    public int findByColour(String colour) { return 0; }
    private int findInside() { return 0; }
    public static class Options {}
}
"""
TYPESCRIPT = """export class Store {
  private secret = 1
  static open(path: string): Store { return new Store() }
  findByColour(colour: string): number { return 0 }
  #inside() {}
}
export const Kinds = { SMALL: 1, large: () => 2 }
export enum Colour { Red, Blue }
const { first, second } = pair()
"""
RUST = """pub struct Store { pub size: u8 }
pub enum Kind { Small, ArrayOfKinds(u8) }
impl Store {
    pub fn open(path: &str) -> Store { todo!() }
    pub fn find_by_colour(&self, colour: &str) -> u8 { 0 }
    pub fn find_by_size(&mut self) -> u8 { 0 }
}
"""
GO = """package shop

type Store struct {
	Size int
	inside int
}

func Open(path string) *Store { return nil }
func helper(n int) int { return n }
func (s *Store) FindByColour(colour string) int { return 0 }
func (s *Store) secret() {}
"""
EMBEDDED = """package shop
type B struct { Down int }
type A struct {
	B
	X, Y int
}
"""

# What every object of Python has, and of Java.
PYTHONS = ["__class__", "__dict__", "__doc__", "__module__", "__name__"]
OBJECT = ["clone", "equals", "getClass", "hashCode", "notify", "notifyAll", "toString", "wait"]


def found(tmp_path: Path, files: dict[str, str], name: str, text: str) -> list[str]:
    project = Project(tmp_path, files)
    buffer, row, column = project.open(name, text)
    told = possible(project.index, project.workspace, buffer, row, column)
    return [each for each, nats in told.items() if nats >= KNOWN]


@pytest.mark.parametrize(
    ("files", "name", "text", "names"),
    [
        # Python: members of an object, with those of its bases; what its own instance attributes are called
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\nstore = Store(1)\nstore.{CURSOR}\n",
         ["size", "__init__", "path", "opened", "find_by_colour", "find_by_size", "close", *PYTHONS]),
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\ndef f(store: Store):\n    store.find_{CURSOR}\n",
         ["by_colour", "by_size"]),
        ({"shop.py": PYTHON}, "a.py", f"import shop\nfound = shop.lend()\nfound.cl{CURSOR}\n", ["ose"]),
        # behind the class itself
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\nStore.{CURSOR}\n",
         ["size", "__init__", "path", "opened", "find_by_colour", "find_by_size", "close", *PYTHONS]),
        # a module, and a list of what is imported from it
        ({"shop.py": PYTHON}, "a.py", f"import shop\nshop.{CURSOR}\n",
         ["Base", "Store", "Thing", "Loose", "Failed", "lend"]),
        ({"shop.py": PYTHON}, "a.py", f"from shop import (Base, {CURSOR}",
         ["Base", "Store", "Thing", "Loose", "Failed", "lend"]),
        ({"shop.py": PYTHON}, "a.py", f"from shop import (\n    Base,\n    L{CURSOR}\n)\n", ["oose"]),
        # where a line begins, its indentation is written first
        ({"shop.py": PYTHON}, "a.py", f"from shop import (\n    Base,\n{CURSOR}\n)\n", []),
        # What this file calls on it is possible, too, if nobody else tells of it.
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\ns = Store(1)\ns.finish()\ns.fin{CURSOR}\n",
         ["d_by_colour", "d_by_size", "ish"]),
        # no such name; not known; of other people's; made from a class of other people's
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\nstore = Store(1)\nstore.zz{CURSOR}\n", []),
        ({"shop.py": PYTHON}, "a.py", f"def f(x):\n    x.{CURSOR}\n", []),
        ({"shop.py": PYTHON}, "a.py", f"from other import Store\nstore = Store(1)\nstore.{CURSOR}\n", []),
        ({"shop.py": PYTHON}, "a.py", f"from shop import Thing\nthing = Thing()\nthing.{CURSOR}\n", []),
        ({"shop.py": PYTHON}, "a.py", f"from shop import Loose\nloose = Loose()\nloose.{CURSOR}\n", []),
        # Python's own classes
        ({"shop.py": PYTHON}, "a.py", f"from shop import Failed\ndef f(e: Failed):\n    e.{CURSOR}\n",
         ["code", "add_note", "args", "with_traceback", *PYTHONS]),
        # within a word; in a line that imports
        ({"shop.py": PYTHON}, "a.py", f"from shop import Store\nstore = Store(1)\nstore.fi{CURSOR}nd\n", []),
        ({"shop.py": PYTHON, "shop/x.py": ""}, "a.py", f"import shop.{CURSOR}\n", []),
        # Java: nothing private; what is static behind the class, the rest behind an object
        ({"shop/Store.java": JAVA}, "shop/A.java", f"package shop;\nclass A {{ void f(Store s) {{ s.{CURSOR} }} }}\n",
         ["Store", "findByColour", "getSecret", "isSecret", "setSecret", *OBJECT]),  # the former three may be generated
        ({"shop/Store.java": JAVA}, "shop/A.java", f"package shop;\nclass A {{ void f() {{ Store.{CURSOR} }} }}\n",
         ["MOST", "open", "Options"]),
        ({"P.java": "public record P(int x, List<A> others) {}"}, "A.java",
         f"class A {{ void f(P p) {{ p.{CURSOR} }} }}", ["x", "others", *OBJECT]),
        ({"P.java": "public class P extends View { int x; }"}, "A.java",
         f"class A {{ void f(P p) {{ p.{CURSOR} }} }}", []),
        # TypeScript
        ({"shop.ts": TYPESCRIPT}, "a.ts", f"import {{Store}} from './shop'\nconst s = new Store()\ns.{CURSOR}\n",
         ["findByColour", "apply", "bind", "call", "hasOwnProperty", "then", "toString"]),
        ({"shop.ts": TYPESCRIPT}, "a.ts", f"import {{Kinds}} from './shop'\nKinds.{CURSOR}\n",
         ["SMALL", "large", "apply", "bind", "call", "hasOwnProperty", "then", "toString"]),
        ({"shop.ts": TYPESCRIPT}, "a.ts", f"import {{Colour}} from './shop'\nColour.B{CURSOR}\n", ["lue"]),
        ({"shop.ts": TYPESCRIPT}, "a.ts", f"import {{ {CURSOR} }} from './shop'\n",
         ["Store", "Kinds", "Colour", "first", "second"]),
        # Rust
        ({"src/lib.rs": "mod shop;", "src/shop.rs": RUST}, "src/a.rs",
         f"use crate::shop::Store;\nfn f(s: &Store) {{ s.find{CURSOR} }}\n", ["_by_colour", "_by_size"]),
        ({"src/lib.rs": "mod shop;", "src/shop.rs": RUST}, "src/a.rs",
         f"use crate::shop::Store;\nfn f() {{ Store::op{CURSOR} }}\n", ["en"]),
        ({"src/lib.rs": "mod shop;", "src/shop.rs": RUST}, "src/a.rs",
         f"use crate::shop::Kind;\nfn f() {{ Kind::Ar{CURSOR} }}\n", ["rayOfKinds"]),
        ({"src/lib.rs": "mod shop;", "src/shop.rs": RUST}, "src/a.rs", f"use crate::shop::{{{CURSOR}",
         ["Store", "Kind"]),
        ({"src/lib.rs": "mod shop;", "src/shop.rs": "pub struct S { a: u8 }\nimpl Iterator for S { fn next() {} }"},
         "src/a.rs", f"use crate::shop::S;\nfn f(s: S) {{ s.{CURSOR} }}\n", []),
        # C++
        ({"parts.h": "struct B { int b; };\nstruct A : public B { int x, *y; void f(); };"}, "m.cpp",
         f'#include "parts.h"\nint g(A &a) {{ return a.{CURSOR}; }}\n', ["b", "x", "y", "f"]),
        ({"parts.h": "struct A : std::vector<int> { int x; };"}, "m.cpp",
         f'#include "parts.h"\nint g(A &a) {{ return a.{CURSOR}; }}\n', []),
        # Go: from another package what begins with a capital
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "main.go",
         f'package main\nimport "m/shop"\nfunc f() {{\n\tshop.{CURSOR}\n}}\n', ["Store", "Open"]),
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "main.go",
         f'package main\nimport "m/shop"\nfunc f(s *shop.Store) {{\n\ts.{CURSOR}\n}}\n', ["Size", "FindByColour"]),
        ({"go.mod": "module m\n", "shop/shop.go": EMBEDDED},
         "main.go", f'package main\nimport "m/shop"\nfunc f(a shop.A) {{\n\ta.{CURSOR}\n}}\n', ["B", "X", "Y", "Down"]),
        ({"go.mod": "module m\n", "shop/shop.go": "package shop\ntype A struct {\n\t*http.Server\n\tX int\n}\n"},
         "main.go", f'package main\nimport "m/shop"\nfunc f(a shop.A) {{\n\ta.{CURSOR}\n}}\n', []),
        # and without an import all of its own package, where a name is used
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "shop/a.go",
         f"package shop\nfunc f() {{\n\tn := hel{CURSOR}\n}}\n", ["per"]),
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "shop/a.go",
         f"package shop\nfunc f() {{\n\the{CURSOR} := 1\n}}\n", []),
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "shop/a.go", f"package shop\nfunc (he{CURSOR}", []),
        ({"go.mod": "module m\n", "shop/shop.go": GO}, "shop/a.go", f"package shop\nfunc (s *St{CURSOR}", ["ore"]),
    ],
)  # fmt: skip
def test_names(tmp_path: Path, files: dict[str, str], name: str, text: str, names: list[str]) -> None:
    assert sorted(found(tmp_path, files, name, text)) == sorted(names)


def test_where_any_name_of_a_package_is_used_there_may_be_none(tmp_path: Path) -> None:
    names = found(
        tmp_path,
        {"go.mod": "module m\n", "shop/shop.go": GO},
        "shop/a.go",
        f"package shop\nfunc f(colour int) int {{\n\treturn {CURSOR}\n}}\n",
    )
    assert {"helper", "Open", "colour", "nil", ""} <= set(names)


def test_what_others_call_there_is_more_probable(tmp_path: Path) -> None:
    files = {
        "shop.py": PYTHON,
        "b.py": "def f(store):\n    store.find_by_size(1)\n    store.find_by_size(2)\n    other.find_by_colour()\n",
        "c.py": "def f(x):\n    x.find_by_colour()\n    sockets.open()\n    sockets.flush()\n    sockets.open()\n",
    }
    project = Project(tmp_path, files)

    def names(name: str, text: str) -> dict[str, float]:
        buffer, row, column = project.open(name, text)
        return dict(possible(project.index, project.workspace, buffer, row, column))

    known = names("a.py", f"from shop import Store\ndef f(store: Store):\n    store.find_{CURSOR}\n")
    assert known == {"by_size": pytest.approx(KNOWN + USED * math.log(3)), "by_colour": KNOWN}
    # also where nobody tells what it is
    used = names("d.py", f"def f(sockets):\n    sockets.{CURSOR}\n")
    assert used == {"open": pytest.approx(USED * math.log(3)), "flush": pytest.approx(USED * math.log(2))}
    assert names("c.py", f"def f(sockets):\n    sockets.{CURSOR}\n") == {}, "of other files"
    project.opened.clear()
    buffer, row, column = project.open("d.py", f"def f(sockets):\n    sockets.{CURSOR}\n")
    assert possible(project.index, project.workspace, buffer, row, column)
    project.write(".git/HEAD", "ref: refs/heads/main\n")
    project.write(".gitignore", "c.py\n")
    assert possible(project.index, project.workspace, buffer, row, column) == {}, "and none that has become hidden"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        # a class of which others may add to what is known
        (f"from shop import Thing\nthing = Thing()\nthing.{CURSOR}\n", {"own": LIKELY}),
        # a name that is of a class in another function
        (f"from shop import Base\ndef f(base: Base): ...\ndef g(base):\n    base.{CURSOR}\n", {"close": LIKELY}),
        # what is made of it somewhere may be anything, as may what has the name of a member
        (f"from shop import lend\ndef f():\n    it = lend()\ndef g(it):\n    it.{CURSOR}\n", {}),
        (f"def g(path):\n    path.{CURSOR}\n", {}),
    ],
)
def test_what_is_not_certain_gains_little(tmp_path: Path, text: str, names: dict[str, float]) -> None:
    project = Project(tmp_path, {"shop.py": PYTHON})
    buffer, row, column = project.open("a.py", text)
    assert possible(project.index, project.workspace, buffer, row, column) == names


def test_no_name_of_a_hidden_file(tmp_path: Path) -> None:
    project = Project(tmp_path, {"shop.py": PYTHON})
    buffer, row, column = project.open("a.py", f"from shop import Store\nstore = Store(1)\nstore.find_{CURSOR}\n")
    assert possible(project.index, project.workspace, buffer, row, column)
    project.write(".gitignore", "shop.py\n")
    project.write(".git/HEAD", "ref: refs/heads/main\n")
    assert possible(project.index, project.workspace, buffer, row, column) == {}


def test_never_too_many_and_none_too_long(tmp_path: Path) -> None:
    members = "".join(f"    def m{number}(self): ...\n" for number in range(900))
    names = found(
        tmp_path,
        {"shop.py": f"class Store:\n    def {'x' * 300}(self): ...\n{members}"},
        "a.py",
        f"from shop import Store\ns = Store()\ns.{CURSOR}\n",
    )
    assert len(names) < MOST
    assert max(map(len, names)) <= len("__module__")


@pytest.mark.parametrize("text", ["a." * 50_000, "import " + "a." * 50_000, "func f(" * 20_000, "class A(" * 20_000])
@pytest.mark.parametrize("name", ["a.py", "a.go", "a.rs", "a.ts"])
def test_any_text_is_read_in_no_time(tmp_path: Path, name: str, text: str) -> None:
    project = Project(tmp_path, {f"shop{Path(name).suffix}": text})
    buffer, row, column = project.open(name, text + CURSOR)
    project.index.source_of(buffer)
    started = time.process_time()
    possible(project.index, project.workspace, buffer, row, column)
    assert time.process_time() - started < 3


def test_names_are_those_of_the_place_that_is_asked_for(tmp_path: Path) -> None:
    project = Project(tmp_path, {"shop.py": PYTHON})
    lines = f"from shop import Store\nstore = Store(1)\nstore.find_{CURSOR}\n"
    buffer, row, column = project.open("a.py", lines)

    async def ask(settings: Settings) -> tuple[set[str], set[str], set[str]]:
        related = Related(lambda: settings, lambda: project.workspace, {}, index=lambda: project.index)
        here = await related.at(buffer, row, column, rests=True)
        known = related.known(buffer, row, column)
        return set(here.names), set(known.names), set(related.known(buffer, 0, 0).names)

    wanted = {"by_colour", "by_size"}
    assert asyncio.run(ask(Settings(related_tokens=512))) == (wanted, wanted, set())
    assert asyncio.run(ask(Settings(related_tokens=512, related_imports=False))) == (set(), set(), set())
    assert asyncio.run(ask(Settings(related_tokens=0))) == (set(), set(), set())


def test_what_is_called_in_an_open_file_is_read_as_it_is_open(tmp_path: Path) -> None:
    project = Project(tmp_path, {"b.py": "def f(sockets):\n    sockets.flush()\n"})
    project.open("b.py", "\n" * 50 + "def f(sockets):\n    sockets.listen()\n")
    buffer, row, column = project.open("d.py", f"def f(sockets):\n    sockets.{CURSOR}\n")
    assert list(possible(project.index, project.workspace, buffer, row, column)) == ["listen"]


def test_of_a_package_that_is_too_large_to_be_looked_through_nothing_is_known(tmp_path: Path) -> None:
    files = {f"shop/f{number}.go": f"package shop\nfunc Make{number}() {{}}\n" for number in range(60)}
    inside = found(tmp_path, {"go.mod": "module m\n", **files}, "shop/a.go", f"package shop\nvar x = Ma{CURSOR}\n")
    assert inside == []


def test_nor_of_one_that_is_imported(tmp_path: Path) -> None:
    files = {f"shop/f{number}.go": f"package shop\nfunc Make{number}() {{}}\n" for number in range(60)}
    text = f'package main\nimport "m/shop"\nvar x = shop.Ma{CURSOR}\n'
    assert found(tmp_path, {"go.mod": "module m\n", **files}, "main.go", text) == []
