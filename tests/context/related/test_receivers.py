"""What stands before the dot at the cursor is found, and what may be called on it is shown first."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from projects import CURSOR, Project

from lsp_server.context.related.receivers import NOTHING, Receiver, makers_in, receiver_at, types_in

MANY = 60


@pytest.mark.parametrize(
    ("before", "receiver"),
    [
        ("x = ", NOTHING),
        ("x = fo", Receiver(typed="fo")),
        ("a.", Receiver("a", is_member=True)),
        ("this.config.is", Receiver("config", typed="is", is_member=True)),
        ("user?.na", Receiver("user", typed="na", is_member=True)),
        ("user!.na", Receiver("user", typed="na", is_member=True)),
        ("p->ne", Receiver("p", typed="ne", is_member=True)),
        ("crate::Item::Ar", Receiver("Item", typed="Ar", is_member=True)),
        ("f().g", Receiver("f", called=True, typed="g", is_member=True)),
        ("a.f(g(x), [1])[0].", Receiver("f", called=True, is_member=True)),
        ("builder\n    .setUrl(url)\n    .se", Receiver("setUrl", called=True, typed="se", is_member=True)),
        ("(a + b).", Receiver(is_member=True)),
        ("3.", Receiver(is_member=True)),
        ("1.5", Receiver(typed="5", is_member=True)),
        (") ) ).", Receiver(is_member=True)),
        ("".join(["f("] * 300) + ".", Receiver(is_member=True)),
    ],
)
def test_what_stands_before_the_dot(before: str, receiver: Receiver) -> None:
    assert receiver_at(before) == receiver


@pytest.mark.parametrize(
    ("text", "name", "types"),
    [
        ("private final Config config;", "config", {"Config"}),
        ("void f(List<Item> items, Store store) {", "store", {"Store"}),
        ("Map<String, Item> items = x;", "items", {"Map"}),
        ("const Store &store, int n", "store", {"Store"}),
        ("Store *store = open();", "store", {"Store"}),
        ("def f(store: Store, other: 'int'):", "store", {"Store"}),
        ("store: Optional[Store] = None", "store", {"Store"}),
        ("store = shop.Store(path)", "store", {"Store"}),
        ("const store = new Store(path)", "store", {"Store"}),
        ("store?: Store;", "store", {"Store"}),
        ("let store = Store::open(path);", "store", {"Store"}),
        ("fn f(store: &'a mut Store) {", "store", {"Store"}),
        ("store: Arc<Mutex<Store>>,", "store", {"Store"}),
        ("store := &shop.Store{}", "store", {"Store"}),
        ("func f(store *shop.Store, n int) {", "store", {"Store"}),
        ("store, ok := any.(*shop.Store)", "store", {"Store"}),
        ("Item::Value(ref mut store) => {", "store", {"Value"}),
        ("except shop.StoreError as store:", "store", {"StoreError"}),
        ("return some as store;", "store", set()),
        ("this.store = given.store || new shop.Store(path)", "store", {"Store"}),
        ("x = y", "x", set()),
    ],
)
def test_types_that_a_file_gives(text: str, name: str, types: set[str]) -> None:
    assert types_in(text).get(name, frozenset()) >= types
    assert bool(types_in(text).get(name)) is bool(types)


@pytest.mark.parametrize(
    ("text", "name", "makers"),
    [
        ("store = open_store(path)", "store", {"open_store"}),
        ("const store = await this.shop.openStore()", "store", {"openStore"}),
        ("store, err := shop.Open(path)", "store", {"Open"}),
        ("auto store = shop::open()->first();", "store", {"first"}),
        ("let store = self.shop().open(path);", "store", {"open"}),
        ("store = a\nstore = first(b)\nstore = second(c)", "store", {"first", "second"}),
        ("if store == open(path):", "store", set()),
        ("store = path", "store", set()),
    ],
)
def test_what_a_name_is_made_by(text: str, name: str, makers: set[str]) -> None:
    assert makers_in(text).get(name, frozenset()) == makers


@pytest.mark.parametrize("text", ["a" * 100_000, "a." * 50_000, "a, " * 30_000, "A(" * 50_000, "a = b::" * 15_000])
def test_any_text_is_read_in_no_time(text: str) -> None:
    started = time.process_time()
    types_in(text)
    makers_in(text)
    assert time.process_time() - started < 2


def of_class(head: str, member: str, tail: str = "}") -> str:
    """A class of many members, more than there is room for."""
    return "\n".join(
        [head, *(member.format(f"{name}{number}") for number in range(MANY) for name in ("alpha", "zeta")), tail]
    )


BUILDER = """package shop;

public class Builder {
    public Builder setUrl(String url) { return this; }
    public Store open() { return null; }
}
"""
IN_JAVA = """package shop;

class Sell {{
    private Store store;
    void f() {{
        {}{}
    }}
}}
"""


@pytest.mark.parametrize(
    ("files", "name", "text", "wanted"),
    [
        (
            {
                "shop/Store.java": "package shop;\n\n"
                + of_class("public class Store {", "    public int {}() {{ return 1; }}")
            },
            "shop/Sell.java",
            IN_JAVA.format("return store.ze", CURSOR),
            "zeta59",
        ),
        (
            {"shop/store.py": of_class("class Store:", "    def {}(self): pass", "")},
            "shop/sell.py",
            f"from .store import Store\n\ndef sell(store: Store):\n    store.zeta4{CURSOR}\n",
            "def zeta49(self): ...",
        ),
        (
            {"shop/__init__.py": "", "shop/names.py": of_class("", "def {}(a, b): pass", "")},
            "shop/sell.py",
            f"from . import names\n\nprint(names.ze{CURSOR})\n",
            "def zeta1(a, b): ...",
        ),
        (
            {"shop/__init__.py": "", "shop/names.py": of_class("", "def {}(a, b): pass", "")},
            "shop/sell.py",
            f"from . import names\n\nprint(names.{CURSOR})\n",
            "zeta19",
        ),
        (
            {"lib/crypto/utils.js": of_class("", "function {}(a) {{ return a }}", "module.exports = { alpha1 }")},
            "lib/client.js",
            f"const crypto = require('./crypto/utils')\n\nasync function f() {{\n  await crypto.zeta3{CURSOR}\n}}\n",
            "zeta39",
        ),
        (
            {
                "go.mod": "module example.com/shop\n",
                "middleware/a.go": of_class("package middleware\n", "func {}() int {{ return 1 }}\n", "").replace(
                    "alpha", "Alpha"
                ),
                "middleware/b.go": "package middleware\n\nfunc Recoverer() int { return 1 }\n",
            },
            "main.go",
            f'package main\n\nimport "example.com/shop/middleware"\n\nfunc main() {{\n\tmiddleware.{CURSOR}\n}}\n',
            "Recoverer",
        ),
        (
            {
                "shop/Builder.java": BUILDER,
                **{f"shop/A{n}.java": f"package shop;\n\nclass A{n} {{}}\n" for n in range(50)},
            },
            "shop/Sell.java",
            IN_JAVA.format("make()\n            .setUrl(a)\n            .", CURSOR),
            "public Store open();",
        ),
        (
            {
                "src/lib.rs": "pub mod item;\n",
                "src/item.rs": "pub enum Item {\n    Value(i32),\n    ArrayOfTables(u8),\n}\n",
                "Cargo.toml": '[package]\nname = "shop"\n',
            },
            "tests/a.rs",
            f"fn f(item: shop::Item) {{\n    match item {{\n        shop::Item::Ar{CURSOR}\n    }}\n}}\n",
            "ArrayOfTables",
        ),
        (
            {
                "src/lib.rs": "pub mod item;\npub mod array;\n",
                "src/item.rs": "pub enum Item {\n    Value(i32),\n    ArrayOfTables(u8),\n}\n",
                "src/array.rs": of_class("pub struct Array {", "    pub {}: i32,")
                + "\nimpl Iterator for Array {\n    type Item = i32;\n}\n",
                "Cargo.toml": '[package]\nname = "shop"\n',
            },
            "src/use.rs",
            f"use crate::array::Array;\n\nfn f(item: shop::Item, a: Array) {{\n    a.alpha2; Item::Ar{CURSOR}\n}}\n",
            "ArrayOfTables",
        ),
        (
            {
                "shop/store.py": of_class("class Store:", "    def {}(self): pass", ""),
                "shop/shop.py": "from .store import Store\n\nclass Shop:\n    def lend(self) -> Store: ...\n",
            },
            "shop/sell.py",
            f"from .shop import Shop\n\ndef sell(shop: Shop):\n    found = shop.lend()\n    found.ze{CURSOR}\n",
            "def zeta9(self): ...",
        ),
        (
            {
                "shop/base.py": "class Base:\n    def lend_to(self, who): ...\n",
                "shop/store.py": of_class("from .base import Base\n\nclass Store(Base):", "    def {}(self): pass", ""),
            },
            "shop/sell.py",
            f"from .store import Store\n\ndef sell(store: Store):\n    store.{CURSOR}\n",
            "def lend_to(self, who): ...",
        ),
        (
            {
                "src/lib.rs": "pub mod de;\n",
                "src/de.rs": of_class("", "pub fn {}() {{}}", ""),
                "Cargo.toml": '[package]\nname = "shop"\n',
            },
            "src/value.rs",
            f"fn f() {{\n    crate::de::zeta4{CURSOR}\n}}\n",
            "zeta49",
        ),
        (
            {"shop/store.py": of_class("", "def {}(self): pass", "")},
            "shop/sell.py",
            f"from .store import (\n    alpha1,\n    zet{CURSOR}\n)\n",
            "zeta19",
        ),
        (
            {"types.ts": of_class("", "export function {}(a: number) {{ return a }}", "")},
            "index.ts",
            f"export {{\n  alpha1,\n  ze{CURSOR}\n}} from './types'\n",
            "zeta19",
        ),
    ],
    ids=[
        "java field",
        "python parameter",
        "python module, typed",
        "python module",
        "required module",
        "go package",
        "chain",
        "rust path",
        "rust, beside a class in use",
        "made by a call",
        "member of a base",
        "rust module",
        "python import",
        "typescript export",
    ],
)
def test_members_of_what_stands_before_the_dot(
    tmp_path: Path, files: dict[str, str], name: str, text: str, wanted: str
) -> None:
    pieces = Project(tmp_path, files).imported(name, text, 1500)
    assert wanted in "".join(piece.text for piece in pieces)
    assert sum(len(piece.text) for piece in pieces) <= 1500 * 1.1
