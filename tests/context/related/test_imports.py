"""What a file imports from its own repository is found, in each language by its own rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import CURSOR, Project

STORE = '''"""Where items are kept."""

class Item:
    """One thing."""
    price: float

class Store:
    """Keeps items by key."""

    def __init__(self, path: str) -> None:
        self.path = path

    def find_by_colour(self, colour: str, *, most: int = 3) -> list[Item]:
        """Items of a colour."""
        return []

    @property
    def count(self) -> int:
        return 1

def open_store(path: str) -> Store:
    """Open the store in a folder."""
    return Store(path)
'''
USE = f"store.{CURSOR}\n"
MEMBER = "def find_by_colour(self, colour: str, *, most: int = 3) -> list[Item]: ..."


@pytest.mark.parametrize(
    ("statement", "name", "files"),
    [
        ("from shop.store import Store", "main.py", {"shop/__init__.py": "", "shop/store.py": STORE}),
        ("from shop.store import Store", "src/main.py", {"src/shop/store.py": STORE}),
        ("from shop.store import Store", "tests/test_a.py", {"src/shop/__init__.py": "", "src/shop/store.py": STORE}),
        ("from .store import Store", "shop/sell.py", {"shop/store.py": STORE}),
        ("from . import store", "shop/sell.py", {"shop/__init__.py": "", "shop/store.py": STORE}),
        ("from ..store import Store as S", "shop/a/b.py", {"shop/store.py": STORE}),
        ("import shop.store as store", "main.py", {"shop/__init__.py": "", "shop/store.py": STORE}),
        ("import shop.store", "main.py", {"shop/store.py": STORE}),
        ("from shop import Store", "main.py", {"shop/__init__.py": "from .store import Store", "shop/store.py": STORE}),
        ("from shop import Store", "main.py", {"shop/__init__.py": "from .store import *", "shop/store.py": STORE}),
        ("import shop", "main.py", {"shop/__init__.py": "from .store import Store", "shop/store.py": STORE}),
        ("from store import *", "main.py", {"store.py": STORE}),
        ("if True:\n    from store import Store", "main.py", {"store.py": STORE}),
        ("from store import open_store", "main.py", {"store.py": STORE}),  # the type that it returns
        ("from store import Store", "main.py", {"store.py": STORE.replace("\n", "\r\n")}),
        ("from store import Store", "main.py", {"store.py": "from main import sell\n" + STORE}),  # in a circle
    ],
)
def test_python(tmp_path: Path, statement: str, name: str, files: dict[str, str]) -> None:
    shown = Project(tmp_path, files).shown(name, f"{statement}\n\ndef sell(store: Store):\n    shop.Store; {USE}")
    assert MEMBER in shown
    assert '"""Keeps items by key."""' in shown
    assert "\r" not in shown


def test_an_outline_is_python_again(tmp_path: Path) -> None:
    shown = Project(tmp_path, {"store.py": STORE}).imported("main.py", f"import store\nstore.{CURSOR}")[0].text
    compile(shown, "store.py", "exec")
    assert "self.path" not in shown
    assert "path: str\n" in shown
    assert "    @property\n    def count(self) -> int: ...\n" in shown
    assert 'def open_store(path: str) -> Store:\n    """Open the store in a folder."""\n' in shown


def test_what_is_used_at_the_cursor_comes_first(tmp_path: Path) -> None:
    files = {f"part{n}.py": f"class Part{n}:\n    def only_in_{n}(self): pass\n" for n in range(6)}
    lines = [f"from part{n} import Part{n}" for n in range(6)]
    text = "\n".join([*lines, "", *["x = 1"] * 40, "", "def build(part: Part4):", f"    part.{CURSOR}", ""])
    pieces = Project(tmp_path, files).imported("main.py", text)
    assert pieces[0].path == "part4.py"
    assert pieces[0].score > pieces[1].score
    assert "used at the cursor" in pieces[0].why
    assert {piece.source for piece in pieces} == {"imports"}


def test_no_more_than_was_asked_for_is_taken_and_members_in_use_are(tmp_path: Path) -> None:
    members = "".join(f"    def member_number_{n}(self, value: int) -> int:\n        return {n}\n" for n in range(200))
    project = Project(
        tmp_path, {"big.py": f"class Big:\n{members}", "other.py": members.replace("    def member", "def other")}
    )
    text = f"from big import Big\nimport other\ndef f(big: Big):\n    big.member_number_177({CURSOR}"
    for most in (0, 50, 300, 1000, 5000):
        pieces = project.imported("main.py", text, most)
        assert sum(len(piece.text) for piece in pieces) <= most
        if most >= 300:
            assert "def member_number_177(self, value: int) -> int: ..." in pieces[0].text
            assert pieces[0].text.startswith("class Big:\n")


def test_a_name_that_is_not_imported_is_found_where_it_is_defined_once(tmp_path: Path) -> None:
    project = Project(
        tmp_path,
        {
            "a.py": "def unique_thing(x: int) -> str: ...\n",
            "b.py": "def twice(x): ...\n",
            "c.py": "def twice(y): ...\n",
            "d.go": "package d\nfunc unique_other() {}\n",
        },
    )
    shown = project.shown("main.py", f"unique_thing(twice(unique_other({CURSOR}")
    assert shown == "== a.py\ndef unique_thing(x: int) -> str: ...\n"


SCRIPT = """/** Keeps items. */
export class Store<T> {
  constructor(private readonly path: string) {}
  async findByColour(colour: string,
    most = 3, // at most
  ): Promise<T[]> { return [] }
}
export const openStore = (path: string): Store<number> => new Store(path)
export interface Item { price: number; tags?: string[] }
export default function main(): void {}
"""


@pytest.mark.parametrize(
    ("statement", "name", "files"),
    [
        ('import { Store } from "./store"', "main.ts", {"store.ts": SCRIPT}),
        ('import { Store } from "./store.js"', "main.ts", {"store.ts": SCRIPT}),
        ('import { Store as S } from "../lib/store"', "app/main.tsx", {"lib/store.ts": SCRIPT}),
        ('import * as store from "./store"', "main.js", {"store.ts": SCRIPT}),
        ('import { Store } from "./shop"', "main.ts", {"shop/index.ts": SCRIPT}),
        ('import { Store } from "./shop"', "main.ts", {"shop/index.ts": 'export * from "./a"', "shop/a.ts": SCRIPT}),
        (
            'import { Store } from "./shop"',
            "main.ts",
            {"shop/index.ts": 'export { Store as Store } from "./a"', "shop/a.ts": SCRIPT},
        ),
        ('const { Store } = require("./store")', "main.js", {"store.ts": SCRIPT}),
        ('import { openStore } from "./store"', "main.ts", {"store.ts": SCRIPT}),
        (
            'import { Store } from "@/shop/store"',
            "src/app/main.ts",
            {
                "src/shop/store.ts": SCRIPT,
                "tsconfig.json": '{"compilerOptions": {/* x */ "paths": {"@/*": ["./src/*"]},}}',
            },
        ),
        (
            'import { Store } from "shop/store"',
            "src/app/main.ts",
            {"src/shop/store.ts": SCRIPT, "tsconfig.json": '{"compilerOptions": {"baseUrl": "src"}} // end'},
        ),
        (
            'import { Store } from "@me/shop"',
            "packages/app/main.ts",
            {
                "packages/shop/package.json": '{"name": "@me/shop", "main": "dist/index.js"}',
                "packages/shop/src/index.ts": SCRIPT,
            },
        ),
    ],
)
def test_typescript(tmp_path: Path, statement: str, name: str, files: dict[str, str]) -> None:
    shown = Project(tmp_path, files).shown(name, f"{statement}\n\nfunction sell(store: Store) {{\n  {USE}}}\n")
    assert "    async findByColour(colour: string, most = 3): Promise<T[]>;\n" in shown
    assert "// Keeps items.\nexport class Store<T> {\n" in shown


def test_a_default_export_is_found_by_its_new_name(tmp_path: Path) -> None:
    shown = Project(tmp_path, {"store.ts": SCRIPT}).shown("a.ts", f'import run from "./store"\nrun{CURSOR}')
    assert shown == "== store.ts\nexport default function main(): void;\n"


def test_javascript_of_node(tmp_path: Path) -> None:
    text = """class Store { constructor(path) { this.path = path; this.items = []; } find(colour) { return 1 } }
function open(path, most = 3) { return new Store(path) }
module.exports = { Store, open };
exports.close = function (store) {};
"""
    shown = Project(tmp_path, {"lib/store.js": text}).shown(
        "main.js", f"const store = require('./lib/store');\nconst x = store.open().{CURSOR}"
    )
    assert "class Store {" in shown
    assert "    items = [];\n    find(colour);\n" in shown
    assert "function open(path, most = 3);\n" in shown


GO = """package store

// Store keeps items.
type Store struct {
	Path string
	items map[string]int
}

// Find looks for a colour.
func (s *Store) FindByColour(colour string, most int) ([]Item, error) {
	return nil, nil
}

func Open(path string) *Store { return nil }
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('package main\nimport "example.com/shop/store"\nfunc main() {\n\ts := store.Open("x")', "main.go"),
        ('package b\nimport (\n\tst "example.com/shop/store"\n)\nfunc f(s *st.Store) {', "b/b.go"),
        ("package store\nfunc f(s *Store) {", "store/other.go"),  # the same package
    ],
)
def test_go(tmp_path: Path, text: str, name: str) -> None:
    more = "package store\n\nfunc (s *Store) Close() error { return nil }\n"
    files = {"go.mod": "module example.com/shop\n\ngo 1.22\n", "store/store.go": GO, "store/more.go": more}
    shown = Project(tmp_path, files).shown(name, f"{text}\n\ts.{CURSOR}\n}}\n")
    assert "// Store keeps items.\ntype Store struct {\n    Path string\n    items map[string]int\n}\n" in shown
    assert "func (s *Store) FindByColour(colour string, most int) ([]Item, error)\n" in shown
    assert "func (s *Store) Close() error\n" in shown  # from another file of the package


RUST = """/// Keeps items.
pub struct Store { pub path: String }
impl Store {
    pub fn find_by_colour(&self, colour: &str) -> Vec<Item> { vec![] }
}
pub enum Colour { Red, Other(String) }
"""
CARGO = '[package]\nname = "my-shop"\nversion = "1.0.0"\n'


@pytest.mark.parametrize(
    ("statement", "name", "files"),
    [
        ("use crate::store::Store;", "src/main.rs", {"src/store.rs": RUST}),
        ("use crate::store::{self, Colour, Store as S};", "src/main.rs", {"src/store/mod.rs": RUST}),
        ("mod store;\nuse store::Store;", "src/main.rs", {"src/store.rs": RUST}),
        ("use super::store::Store;", "src/sell.rs", {"src/store.rs": RUST, "src/lib.rs": "mod store; mod sell;"}),
        ("use super::super::store::*;", "src/a/b.rs", {"src/store.rs": RUST}),
        (
            "use my_shop::Store;",
            "tests/it.rs",
            {"src/lib.rs": "mod store;\npub use store::Store;", "src/store.rs": RUST},
        ),
        ("use crate::Store;", "src/a.rs", {"src/lib.rs": "mod store;\npub use self::store::*;", "src/store.rs": RUST}),
    ],
)
def test_rust(tmp_path: Path, statement: str, name: str, files: dict[str, str]) -> None:
    text = f"{statement}\nfn sell(store: &Store) {{\n    store.{CURSOR}\n}}\n"
    shown = Project(tmp_path, {"Cargo.toml": CARGO, **files}).shown(name, text)
    assert "// Keeps items.\npub struct Store {\n    pub path: String,\n}\n" in shown
    assert "impl Store {\n    pub fn find_by_colour(&self, colour: &str) -> Vec<Item>;\n}\n" in shown


JAVA = """package com.me.shop;

/** Keeps items. */
public class Store extends Base implements Closeable {
    private int secret = 1;
    public static final int LIMIT = 5;
    public Store(String path) { }
    /** Finds. */
    @Override
    public List<Item> findByColour(String colour) throws IOException { return null; }
}
"""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import com.me.shop.Store;", "src/main/java/com/me/app/Main.java"),
        ("import com.me.shop.*;", "src/main/java/com/me/app/Main.java"),
        ("import com.me.shop.*;", "src/test/java/com/me/app/MainTest.java"),
        ("import static com.me.shop.Store.LIMIT;", "src/main/java/com/me/app/Main.java"),
        ("", "src/main/java/com/me/shop/Main.java"),  # the same package
    ],
)
def test_java(tmp_path: Path, statement: str, name: str) -> None:
    package = name.split("java/")[1].rpartition("/")[0].replace("/", ".")
    text = f"package {package};\n{statement}\nclass Main {{ void run(Store store) {{\n  store.{CURSOR}\n}} }}\n"
    project = Project(tmp_path, {name: "package x;", "src/main/java/com/me/shop/Store.java": JAVA})
    project.write(name, text.replace(CURSOR, ""))
    project.refresh()
    shown = project.shown(name, text)
    assert "    public List<Item> findByColour(String colour) throws IOException;\n" in shown
    assert "    public static final int LIMIT = 5;\n" in shown
    assert "// Keeps items.\npublic class Store extends Base implements Closeable {\n" in shown
    assert "secret" not in shown


HEADER = """#ifndef STORE_H
#define STORE_H
#define STORE_LIMIT 5
/* Keeps items. */
typedef struct store {
    char *path; /* where */
    int count;
} store_t;
enum colour { RED, GREEN = 2 };
/* Find items
   of a colour. */
int store_find_by_colour(const store_t *store,
                         const char *colour);
#endif
"""


@pytest.mark.parametrize(
    ("include", "name", "header"),
    [
        ('"store.h"', "main.c", "store.h"),
        ('"../lib/store.h"', "app/main.c", "lib/store.h"),
        ('"store.h"', "src/main.c", "include/store.h"),
        ("<shop/store.h>", "src/main.c", "include/shop/store.h"),
        ('"shop/store.h"', "src/main.c", "third/party/shop/store.h"),
        ('"all.h"', "main.c", "store.h"),
    ],
)
def test_c(tmp_path: Path, include: str, name: str, header: str) -> None:
    files = {header: HEADER, "all.h": '#include "store.h"\n'}
    text = (
        f"#include <a.h>\n#include {include}\nint f(store_t *s) {{\n  store_find_by_colour(s, STORE_LIMIT{CURSOR}\n}}"
    )
    shown = Project(tmp_path, files).shown(name, text)
    assert "int store_find_by_colour(const store_t *store, const char *colour);\n" in shown
    assert "// Keeps items.\ntypedef struct store {\n    char *path;\n    int count;\n} store_t;\n" in shown
    assert "#define STORE_LIMIT 5\n" in shown


def test_cpp(tmp_path: Path) -> None:
    header = """#pragma once
namespace shop {
/// Keeps items.
class Store : public Base {
public:
    Store(const std::string &path);
    std::vector<Item> find_by_colour(const std::string &colour) const;
    int count() const { return count_; }
private:
    int count_ = 0;
};
template <typename T> T largest(T a, T b) { return a; }
}
"""
    for number, name in enumerate(("store.hpp", "store.h")):  # `.h` is C++ where its text is
        (tmp_path / str(number)).mkdir()
        text = f'#include "{name}"\nint f(shop::Store &s) {{\n  largest(1, s.{CURSOR}\n}}\n'
        shown = Project(tmp_path / str(number), {name: header}).shown("main.cpp", text)
        assert "    std::vector<Item> find_by_colour(const std::string &colour) const;\n" in shown
        assert "    int count() const;\n" in shown
        assert "template <typename T> T largest(T a, T b);\n" in shown


def test_nothing_outside_is_found(tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text(STORE)
    (tmp_path / "store.ts").write_text(SCRIPT)
    (tmp_path / "store.h").write_text(HEADER)
    project = Project(tmp_path, {})
    os.symlink("../store.py", project.root / "linked.py")
    project.refresh()
    for name, text in (
        ("a/b.py", "from ...store import Store\nfrom store import Store\nfrom linked import Store\nStore"),
        ("a.ts", 'import {Store} from "../store"\nStore'),
        ("a.c", '#include "../store.h"\nstore_t store_find_by_colour'),
    ):
        assert project.shown(name, f"{text}{CURSOR}") == ""
