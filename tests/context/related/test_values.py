"""What stands before a dot, where it is certain: the members of that, and no names where it is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from projects import CURSOR, Project

from lsp_server.context.languages import words
from lsp_server.context.related.possible import KNOWN, possible

SHOP = {
    "shop.py": "class Part:\n    weight = 1\n\nclass Store:\n    part: Part\n    parts: list[Part]\n"
    "    kind: type[Part]\n    loose = make()\n    made = Part(1)\n    def one(self) -> Part: ...\n"
    "    def maybe(self) -> Part | None: ...\n    def __init__(self):\n        self.soon = None\n"
    "        self.either = None\n        self.both = Part(1)\n"
    "    def begin(self):\n        self.soon = Part(1)\n        self.either = Part(1)\n"
    "    def again(self):\n        self.soon = Part(2)\n        self.either = Other(1)\n        self.both = Other(1)\n"
    "    def all_of(self) -> list[Part]: ...\n    def me(self) -> 'Store': ...\n    def untold(self): ...\n"
    "    @property\n    def own(self) -> Part: ...\n    def __enter__(self): ...\n"
    "    @contextmanager\n    def within(self) -> Iterator[Part]: ...\n    async def later(self) -> Part: ...\n"
}
PYTHONS = ["__class__", "__dict__", "__doc__", "__module__", "__name__"]
PART = ["weight", *PYTHONS]
TS = {
    "shop.ts": "export class Part { weight = 1 }\nexport class Store {\n  part: Part\n  parts: Part[]\n"
    "  made = new Part(1)\n  get own(): Part { return null }\n  one(): Part { return null }\n"
    "  async later(): Promise<Part> { return null }\n  me(): this { return this }\n}\n"
}
RUST = {
    "src/lib.rs": "mod shop;\nmod other;\nmod inside { pub struct X; }\n",
    "src/shop.rs": "pub struct Part { pub weight: u8 }\npub struct Pair(u8, Part);\n"
    "pub struct Store { pub part: Part, pub maybe: Option<Part>, pub all: Vec<Part>, pub held: Arc<Part> }\n"
    "pub enum Kind { One(Part), Two(u8, u8) }\n"
    "impl Store {\n pub fn new() -> Self { todo!() }\n pub fn tried() -> Result<Self, E> { todo!() }\n"
    " pub async fn later(&self) -> Result<Part, E> { todo!() }\n"
    " pub fn one(&self) -> &Part { todo!() }\n"
    " pub fn found(&self) -> Option<&Part> { todo!() }\n}\n",
}
GO = {
    "go.mod": "module m\n",
    "shop/shop.go": "package shop\ntype Part struct {\n\tWeight int\n}\ntype Store struct {\n\tPart\n\tFirst *Part\n"
    "\tAll []*Part\n}\nfunc Open() (*Store, error) { return nil, nil }\nfunc (s *Store) One() *Part { return nil }\n",
}
JAVA = {
    "Part.java": "public class Part { public int weight; }",
    "Store.java": "public class Store { public Part part; public List<Part> all; public Part one() { return null; } }",
    "Colour.java": "public enum Colour { RED, BLUE; public int code; }",
}
CPP = {
    "shop.h": "struct Part { int weight; };\nstruct Store {\n  Part part;\n  Part *other;\n  std::vector<Part> all;\n"
    "  Part one();\n  static Store make();\n};\n"
}
OBJECT = ["clone", "equals", "getClass", "hashCode", "notify", "notifyAll", "toString", "wait"]
RUSTS = words(
    "as_mut as_ref await borrow borrow_mut clone cmp default deserialize eq fmt from from_str hash into into_iter "
    "partial_cmp serialize to_owned to_string try_from try_into"
)
SCRIPT = ["apply", "bind", "call", "hasOwnProperty", "then", "toString"]


def found(tmp_path: Path, files: dict[str, str], name: str, text: str) -> list[str]:
    project = Project(tmp_path, files)
    buffer, row, column = project.open(name, text)
    told = possible(project.index, project.workspace, buffer, row, column)
    return sorted(each for each, nats in told.items() if nats >= KNOWN)


def python(line: str, before: str = "") -> tuple[dict[str, str], str, str]:
    return SHOP, "a.py", f"from shop import Store, Part\n{before}def f(store: Store, other, *rest):\n    {line}\n"


def typescript(line: str) -> tuple[dict[str, str], str, str]:
    return (
        TS,
        "a.ts",
        f"import {{ Store, Part }} from './shop'\nasync function f(store: Store, other) {{\n  {line}\n}}\n",
    )


def rust(line: str) -> tuple[dict[str, str], str, str]:
    uses = "use crate::shop::{Kind, Part, Pair, Store};\n"
    return RUST, "src/a.rs", f"{uses}fn f(store: &Store, kind: Kind, pair: Pair) {{\n  {line}\n}}\n"


def go(line: str) -> tuple[dict[str, str], str, str]:
    return (
        GO,
        "main.go",
        f'package main\nimport "m/shop"\nfunc f(store *shop.Store, any interface{{}}) {{\n\t{line}\n}}\n',
    )


def java(line: str) -> tuple[dict[str, str], str, str]:
    return JAVA, "A.java", f"class A {{\n  void f(Store store) {{\n    {line}\n  }}\n  private Part field;\n}}\n"


def cpp(line: str) -> tuple[dict[str, str], str, str]:
    return CPP, "a.cpp", f'#include "shop.h"\nvoid f(Store &store, Store *pointer) {{\n  {line}\n}}\n'


@pytest.mark.parametrize(
    ("place", "names"),
    [
        # a chain, through fields, results and properties
        (python(f"store.part.{CURSOR}"), PART),
        (python(f"store.one().{CURSOR}"), PART),
        (python(f"store.me().me().part.wei{CURSOR}"), ["ght"]),
        (python(f"store.own.{CURSOR}"), PART),
        (python(f"store.made.{CURSOR}"), PART),
        (python(f"store.maybe().{CURSOR}"), PART),
        (python(f"(await store.later()).{CURSOR}"), PART),
        (python(f"x = store.one()\n    x.{CURSOR}"), PART),
        (python(f"x: 'Part | None' = other\n    x.{CURSOR}"), PART),
        (python(f"x: type[Part] = other\n    x.{CURSOR}"), PART),
        (python(f"x: type[Part] = other\n    x().{CURSOR}"), PART),
        (python(f"x = Part\n    x(1).{CURSOR}"), PART),
        (python(f"store.kind().{CURSOR}"), PART),
        (python(f"store.soon.{CURSOR}"), PART),
        (python(f"store.either.{CURSOR}"), []),
        (python(f"store.both.{CURSOR}"), []),
        (python(f"store.part().{CURSOR}"), []),
        (python(f"for x in store.parts:\n        x.{CURSOR}"), PART),
        (python(f"[x.{CURSOR} for x in store.all_of()]"), PART),
        (python(f"if (x := store.one()):\n        x.{CURSOR}"), PART),
        (python(f"with store as x:\n        x.part.{CURSOR}"), PART),
        (python(f"with store.one() as x:\n        x.{CURSOR}"), []),  # it is no such thing
        (python(f"with store.within() as x:\n        x.{CURSOR}"), PART),
        (python(f"for store in 'a':\n        store.{CURSOR}"), []),
        (python(f"try:\n        pass\n    except Part as x:\n        x.{CURSOR}"), PART),
        (python(f"x = other or Part(2)\n    x.{CURSOR}"), PART),
        (python(f"Store(1).part.{CURSOR}"), PART),
        (python(f"GLOBAL.{CURSOR}", "GLOBAL = Part(1)\n"), PART),
        # not certain: a list, no type, a method that is not called, what has another's name
        (python(f"store.parts.{CURSOR}"), []),
        (python(f"store.parts[0].{CURSOR}"), []),
        (python(f"store.untold().{CURSOR}"), []),
        (python(f"store.loose.{CURSOR}"), []),
        (python(f"store.one.{CURSOR}"), []),
        (python(f"other.{CURSOR}"), []),
        (python(f"part.{CURSOR}"), []),
        (python(f"rest.{CURSOR}"), []),
        (python(f"a, x = store.one()\n    x.{CURSOR}"), []),
        # the last that it was made counts, and in a function its own
        (python(f"store = other\n    store.{CURSOR}"), []),
        (python(f"x = Part(1)\n    x = other\n    x.{CURSOR}"), []),
        (python(f"call(lambda store: store.{CURSOR})"), []),
        (python(f"x.{CURSOR}", "def g():\n    x = Part(1)\n"), []),
        (python(f"if isinstance(store, Other):\n        store.{CURSOR}"), []),
        # what holds in a block alone, what may not come to pass, and what is asked about
        (python(f"if other:\n        store = Part(1)\n    store.{CURSOR}"), []),
        # ... but where all else that it is given is nothing, or the same.
        (python(f"x = None\n    if other:\n        x = Part(1)\n    if x:\n        x.{CURSOR}"), PART),
        (python(f"x = None\n    for each in other:\n        x = store.one()\n    x.{CURSOR}"), PART),
        (python(f"if other:\n        x = Part(1)\n    else:\n        x = Part(2)\n    x.{CURSOR}"), PART),
        (python(f"if other:\n        x = Part(1)\n    else:\n        x = None\n    x.{CURSOR}"), PART),
        (python(f"if other:\n        x = Part(1)\n    else:\n        x = Other()\n    x.{CURSOR}"), []),
        (python(f"x = other\n    if other:\n        x = Part(1)\n    x.{CURSOR}"), []),
        (python(f"x = Part(1)\n    if other:\n        x = None\n    x.{CURSOR}"), PART),
        (python(f"x = Part(1)\n    if other:\n        a, x = other\n    x.{CURSOR}"), []),
        (python(f"if other:\n        x = Part(1)\n    x = None\n    x.{CURSOR}"), []),
        (python(f"if isinstance(store.part, Other):\n        store.part.{CURSOR}"), []),
        (python(f"match store:\n        case Other():\n            store.{CURSOR}"), []),
        (python(f"x = store.later()\n    x.{CURSOR}"), []),
        (go(f"for _, store := range any {{\n\t\tstore.x()\n\t}}\n\tstore.First.{CURSOR}"), ["Weight"]),
        (go(f"if store, err := make(); err == nil {{\n\t\tstore.x()\n\t}}\n\tstore.First.{CURSOR}"), ["Weight"]),
        (rust(f"{{ let store = 1; }}\n  store.part.wei{CURSOR}"), ["ght"]),
        (rust(f"if let Some(store) = other {{ }}\n  store.part.wei{CURSOR}"), ["ght"]),
        (rust(f"store.later().await.wei{CURSOR}"), []),
        (rust(f"store.later().await?.wei{CURSOR}"), ["ght"]),
        (typescript(f"for (const store of other) {{ }}\n  store.part.wei{CURSOR}"), ["ght"]),
        (typescript(f"let x = new Part()\n  if (other) {{ x = new Store() }}\n  x.{CURSOR}"), []),
        (java(f"for (Part store : x) {{ }}\n    store.part.wei{CURSOR}"), ["ght"]),
        (java(f"Part xs[] = y;\n    xs.{CURSOR}"), []),
        (typescript(f"let x\n  if (other) {{ x = new Part() }}\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"let x = null\n  for (const y of other) {{ x = store.one() }}\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"let x\n  if (other) {{ x = new Part() }} else {{ x = other }}\n  x.{CURSOR}"), []),
        (typescript(f"let x: Part | null = null\n  if (other) {{ x = other() }}\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"let x: typeof Part = other\n  new x().wei{CURSOR}"), ["ght"]),
        (typescript(f"store.part.{CURSOR}"), [*SCRIPT, "weight"]),
        (typescript(f"store.me().one().wei{CURSOR}"), ["ght"]),
        (typescript(f"store?.own!.wei{CURSOR}"), ["ght"]),
        (typescript(f"const x = await store.later()\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"for (const x of store.parts) {{ x.wei{CURSOR} }}"), ["ght"]),
        (typescript(f"const x = other as Part\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"const x = other ?? new Part()\n  x.wei{CURSOR}"), ["ght"]),
        (typescript(f"store.made.wei{CURSOR}"), ["ght"]),
        (typescript(f"store.later().wei{CURSOR}"), []),
        (typescript(f"for (const x in store.parts) {{ x.wei{CURSOR} }}"), []),
        (typescript(f"store.parts.{CURSOR}"), []),
        (typescript(f"const {{ part }} = store\n  part.{CURSOR}"), []),
        (typescript(f"other.map((store) => store.{CURSOR})"), []),
        (rust(f"store.part.wei{CURSOR}"), ["ght"]),
        (rust(f"Store::new().one().wei{CURSOR}"), ["ght"]),
        (rust(f"let x = Store::tried()?;\n  x.part.wei{CURSOR}"), ["ght"]),
        (rust(f"store.found().unwrap().wei{CURSOR}"), ["ght"]),
        (rust(f"if let Some(x) = store.found() {{ x.wei{CURSOR} }}"), ["ght"]),
        (rust(f"if let Some(ref x) = store.maybe {{ x.wei{CURSOR} }}"), ["ght"]),
        (rust(f"match kind {{ Kind::One(x) => x.wei{CURSOR}, _ => () }}"), ["ght"]),
        (rust(f"for x in store.all.iter() {{ x.wei{CURSOR} }}"), ["ght"]),
        (rust(f"store.held.wei{CURSOR}"), ["ght"]),
        (rust(f"let mut x: Box<Part> = y;\n  x.wei{CURSOR}"), ["ght"]),
        (rust(f"let x = Part {{ weight: 1 }};\n  x.wei{CURSOR}"), ["ght"]),
        (rust(f"pair.{CURSOR}"), ["0", "1", *RUSTS]),
        (rust(f"store.maybe.wei{CURSOR}"), []),
        (rust(f"store.found().wei{CURSOR}"), []),
        (rust(f"match kind {{ Kind::Two(x, _) => x.wei{CURSOR}, _ => () }}"), []),
        (rust(f"store.all.iter().map(|store| store.wei{CURSOR})"), []),
        (go(f"store.First.{CURSOR}"), ["Weight"]),
        (go(f"store.Part.{CURSOR}"), ["Weight"]),
        (go(f"x := store.One()\n\tx.{CURSOR}"), ["Weight"]),
        (go(f"x, err := shop.Open()\n\tx.First.{CURSOR}"), ["Weight"]),
        (go(f"x := &shop.Part{{}}\n\tx.{CURSOR}"), ["Weight"]),
        (go(f"x, ok := any.(*shop.Part)\n\tx.{CURSOR}"), ["Weight"]),
        (go(f"for _, x := range store.All {{\n\t\tx.{CURSOR}\n\t}}"), ["Weight"]),
        (go(f"switch x := any.(type) {{\n\tcase *shop.Part:\n\t\tx.{CURSOR}\n\t}}"), ["Weight"]),
        (go(f"x, err := shop.Open()\n\terr.{CURSOR}"), []),
        (go(f"for x := range store.All {{\n\t\tx.{CURSOR}\n\t}}"), []),
        (go(f"any.{CURSOR}"), []),
        (java(f"store.part.{CURSOR}"), [*OBJECT, "weight"]),
        (java(f"store.one().wei{CURSOR}"), ["ght"]),
        (java(f"Part x = null; if (y) {{ x = other(); }} x.wei{CURSOR}"), ["ght"]),
        (java(f"var x = store.one(); x.wei{CURSOR}"), ["ght"]),
        (java(f"for (Part x : store.all) {{ x.wei{CURSOR} }}"), ["ght"]),
        (java(f"for (var x : store.all) {{ x.wei{CURSOR} }}"), ["ght"]),
        (java(f"field.wei{CURSOR}"), ["ght"]),
        (java(f"this.field.wei{CURSOR}"), ["ght"]),
        (java(f"((Part) x).wei{CURSOR}"), ["ght"]),
        (java(f"if (x instanceof Part p) {{ p.wei{CURSOR} }}"), ["ght"]),
        (java(f"new Store().part.wei{CURSOR}"), ["ght"]),
        (java(f"Colour.{CURSOR}"), ["BLUE", "RED", "valueOf", "values"]),
        (java(f"Colour.RED.co{CURSOR}"), ["de", "mpareTo"]),
        (java(f"store.all.{CURSOR}"), []),
        (java(f"part.{CURSOR}"), []),
        (java(f"xs.map(store -> store.{CURSOR})"), []),
        (cpp(f"store.part.{CURSOR};"), ["weight"]),
        (cpp(f"pointer->other->{CURSOR};"), ["weight"]),
        (cpp(f"auto x = store.one(); x.{CURSOR};"), ["weight"]),
        (cpp(f"for (auto &x : store.all) {{ x.{CURSOR}; }}"), ["weight"]),
        (cpp(f"Store::make().part.{CURSOR};"), ["weight"]),
        (cpp(f"std::shared_ptr<Part> x; x->{CURSOR};"), ["weight"]),
        (cpp(f"std::shared_ptr<Store> x; x->part.{CURSOR};"), ["weight"]),
        (cpp(f"std::shared_ptr<Part> x; x.{CURSOR};"), []),  # what the pointer has
        (cpp(f"Part *x = nullptr; x->{CURSOR};"), ["weight"]),
        (cpp(f"store.all.{CURSOR};"), []),
    ],
)  # fmt: skip
def test_a_chain(tmp_path: Path, place: tuple[dict[str, str], str, str], names: list[str]) -> None:
    assert found(tmp_path, *place) == sorted(names)


BASE = {"base.py": "class Base:\n    def close(self): ...\n"}


@pytest.mark.parametrize(
    ("files", "name", "text", "names"),
    [
        (BASE, "a.py",
         f"from base import Base\nclass A(Base):\n    def f(self):\n        self.{CURSOR}\n    def g(self): ...\n",
         ["close", "f", "g", *PYTHONS]),
        ({}, "a.py",
         f"class A:\n    def __init__(self):\n        self.x = 1\n    def f(self):\n        return self.{CURSOR}\n",
         ["__init__", "f", "x", *PYTHONS]),
        ({}, "a.py", f"class A:\n    x = 1\n    @classmethod\n    def f(cls):\n        return cls.{CURSOR}\n",
         ["f", "x", *PYTHONS]),
        ({}, "a.py", f"class A(Foreign):\n    def f(self):\n        self.{CURSOR}\n", []),
        # where a field is made
        ({}, "a.py", f"class A:\n    def __init__(self):\n        self.{CURSOR}\n    def f(self): ...\n", []),
        ({}, "a.js", f"class A {{\n  constructor() {{\n    this.{CURSOR}\n  }}\n  f() {{}}\n}}\n", []),
        ({}, "a.py", f"class A:\n    def __init__(self):\n        self.a, self.{CURSOR} = b\n    f = 1\n", []),
        ({}, "a.py", f"class A:\n    def __init__(self):\n        self.a, self.b = c\n    def f(self): self.{CURSOR}\n",
         ["__init__", "a", "b", "f", *PYTHONS]),
        # an enumeration, and a field that is too long to be shown whole
        ({}, "a.py", f"class A(IntEnum):\n    X = 1\n    def f(self): return self.val{CURSOR}\n", ["ue"]),
        ({"a.h": f"class A {{\n  void far({'int a, ' * 40}int b);\n}};\n"}, "a.cpp",
         f'#include "a.h"\nvoid g(A &it) {{ it.{CURSOR}; }}\n', ["far"]),
        # in a class of its own, which no outline has, and outside of any
        ({}, "a.py", f"def make():\n    class A:\n        x = 1\n        def f(self):\n            self.{CURSOR}\n",
         []),
        ({}, "a.ts", f"class A {{ x = 1; f() {{ call(function () {{ this.{CURSOR} }}) }} }}\n", []),
        ({}, "a.ts", f"class A {{ x = 1; f() {{ return {{ g() {{ this.{CURSOR} }} }} }} }}\n", []),
        ({}, "A.java",
         f"class A {{ int x; Object f() {{ return new B() {{ int g() {{ return this.{CURSOR}; }} }}; }} }}\n", []),
        # what is private is one's own
        ({}, "a.ts", f"class A {{\n  #x = 1\n  private y = 2\n  f() {{ call(() => this.{CURSOR}) }}\n}}\n",
         ["#x", "f", "y", *SCRIPT]),
        # the rest of the text is there, though it ends in a dot
        ({}, "A.java",
         f"class A {{\n int f() {{\n  if (x) {{\n   return this.{CURSOR}\n  }}\n }}\n private int last;\n}}\n",
         [*OBJECT, "f", "getLast", "isLast", "last", "setLast"]),
        ({}, "a.rs", f"pub struct A(u8);\nimpl A {{\n fn f(&self) {{ self.{CURSOR} }}\n fn new() -> A {{ A(1) }}\n}}\n",
         ["0", "f", *RUSTS]),
        ({}, "a.rs", f"enum A {{ One, Two }}\nimpl A {{\n  fn f(&self) -> A {{ Self::T{CURSOR} }}\n}}\n", ["wo"]),
        # fields that are parameters, functions, of several names, of blocks and of what has no name
        ({}, "a.ts",
         f"class A {{\n  constructor(private x: B, readonly y = 1, z: C) {{}}\n  f() {{ g(this.{CURSOR}) }}\n}}\n",
         ["constructor", "f", "x", "y", *SCRIPT]),
        ({}, "a.js", f"class A {{\n  go = () => {{}}\n  #p = 2\n  f() {{ g(this.{CURSOR}) }}\n}}\n",
         ["#p", "f", "go", *SCRIPT]),
        ({}, "a.py", f"class A:\n    a, b = 1, 2\n    c = d = 3\n    def f(self):\n        return self.{CURSOR}\n",
         ["a", "b", "c", "d", "f", *PYTHONS]),
        ({"b.py": "class A:\n    def f(self):\n        for x in y:\n            self.a = self.b = x\n"}, "a.py",
         f"from b import A\ndef g(it: A): it.{CURSOR}\n", ["a", "b", "f", *PYTHONS]),
        ({"a.h": "struct A { int (*read)(int); int z[3], *q; union { int i; float f; }; enum Kind { One }; };\n"},
         "a.cpp", f'#include "a.h"\nvoid g(A &it) {{ it.{CURSOR}; }}\n', ["Kind", "One", "f", "i", "q", "read", "z"]),
        ({"E.java": "public class E { private String label; public String label() { return label; } }"}, "B.java",
         f"class B {{ void f(E it) {{ it.la{CURSOR} }} }}\n", ["bel"]),
        # what it is made from: by generics, `implements`, a tag, a namesake of others
        ({"I.java": "public interface I { default void hello() {} }"}, "A.java",
         f"class A extends java.util.ArrayList<I> implements I {{ void f() {{ this.{CURSOR} }} }}\n", []),
        ({"I.java": "public interface I<T> { default void hello() {} }"}, "A.java",
         f"class A implements I<A>, Comparable<A> {{ void f() {{ this.he{CURSOR} }} }}\n", ["llo"]),
        ({}, "a.ts",
         f"interface A<T> {{ a: T }}\ninterface B extends A<string>, C {{ b: T }}\nfunction f(x: B) {{ x.{CURSOR} }}\n",
         []),
        ({"go.mod": "module m\n"}, "a.go",
         "package a\ntype B struct { Down int }\ntype A struct {\n\tB `json:\",inline\"`\n}\n"
         f"func f(it A) {{ it.{CURSOR} }}\n",
         ["B", "Down"]),
        ({}, "a.py", f"from other import Counter\nclass A(Counter):\n    def f(self): self.{CURSOR}\n", []),
        ({"b.py": "class Date: ...\n"}, "a.py",
         f"from other import Date\nfrom b import *\ndef f(x: Date): x.{CURSOR}\n", []),
        ({}, "a.py", f"class A: pass\ndef f(x: A):\n    x.{CURSOR}\n", []),
        ({}, "a.py", f"class A:\n    x = 1\nA.{CURSOR}\n", []),  # something may be set there
        ({}, "a.py", f"class A:\n    x = 1\ny = A.{CURSOR}\n", ["x", *PYTHONS]),
        ({}, "A.java", f"import lombok.Data;\n@Data class A {{ int x; void f() {{ this.{CURSOR} }} }}\n", []),
        # a bracket that is still open
        ({}, "a.py", f"class A:\n    def f(self):\n        go(self.{CURSOR}\n\n    def late(self): ...\n",
         ["f", "late", *PYTHONS]),
        # a class of another file, to which this one attaches members
        ({"src/lib.rs": "mod a;\nmod b;", "src/b.rs": "pub struct B { pub size: u8 }"}, "src/a.rs",
         f"use crate::b::B;\nimpl B {{\n  fn sized(&self) {{ self.si{CURSOR} }}\n}}\n", ["ze", "zed"]),
        ({"a.h": "class A {\n  int x;\n  void f();\n};\n"}, "a.cpp",
         f'#include "a.h"\nvoid A::f() {{ this->{CURSOR}; }}\n', ["f", "x"]),
        ({"go.mod": "module m\n"}, "a.go",
         f"package a\ntype a struct {{ x int }}\nfunc (s *a) f() {{ s.{CURSOR} }}\nfunc (s *a) g() {{}}\n",
         ["f", "g", "x"]),
        # what a trait of this crate adds, and what one of another's would
        ({"src/lib.rs": "", "src/t.rs": "pub trait T { fn more(&self) {} }"}, "src/a.rs",
         f"use crate::t::T;\nstruct A {{ x: u8 }}\nimpl T for A {{}}\nfn f(a: A) {{ a.mo{CURSOR} }}\n", ["re"]),
        ({}, "a.rs", f"#[derive(Debug, Parser)]\nstruct A {{ x: u8 }}\nfn f() {{ A::{CURSOR} }}\n", []),
        ({}, "a.rs", f"struct A {{ x: u8 }}\nimpl Reads for A {{}}\nfn f(a: A) {{ a.{CURSOR} }}\n", []),
        ({}, "a.rs", f"struct A;\nimpl A {{ fn make() {{}} }}\nimpl Reads for A {{}}\nfn f() {{ A::ma{CURSOR} }}\n",
         ["ke"]),
        ({}, "a.rs", f"trait T: Sealed {{ fn more(&self); }}\nfn f(a: &dyn T) {{ a.mo{CURSOR} }}\n", ["re"]),
    ],
)  # fmt: skip
def test_of_the_file_itself(tmp_path: Path, files: dict[str, str], name: str, text: str, names: list[str]) -> None:
    assert found(tmp_path, files, name, text) == sorted(names)


@pytest.mark.parametrize(
    ("files", "name", "text", "names"),
    [
        # what is handed on over several modules, and where one of them is of other people's
        ({"shop/__init__.py": "from .a import *\n", "shop/a.py": "from .b import *\nx = 1\n", "shop/b.py": "y = 1\n"},
         "a.py", f"import shop\nshop.{CURSOR}\n", ["__init__", "a", "b", "x", "y"]),
        ({"shop.py": "from other import *\nx = 1\n"}, "a.py", f"import shop\nshop.{CURSOR}\n", []),
        # Python's `import a.b` brings `a`
        ({"shop/__init__.py": "", "shop/locale.py": "x = 1\n"}, "a.py",
         f"import locale\nimport shop.locale\nlocale.{CURSOR}\n", []),
        ({"shop/__init__.py": "", "shop/locale.py": "x = 1\n"}, "a.py",
         f"import shop.locale\nshop.locale.{CURSOR}\n", ["x"]),
        ({"shop/__init__.py": "", "shop/utils.py": "x = 1\n"}, "a.py",
         f"import email.utils\nfrom shop import utils\nutils.{CURSOR}\n", ["x"]),
        (RUST, "src/a.rs", f"use crate::{CURSOR}\n", ["X", "inside", "other", "shop"]),
        ({}, "a.rs", f"fn one() {{}}\nmod tests {{\n  use super::{CURSOR}\n}}\n", ["one", "super", "tests"]),
        ({"src/lib.rs": "mod shop;", "src/shop.rs": "pub struct A;\nmake_more!(B, C);\n"}, "src/a.rs",
         f"use crate::shop::{CURSOR}\n", []),
        ({"shop/__init__.py": "x = 1\n", "shop/inner.py": "", "shop/deep/__init__.py": ""}, "a.py",
         f"from shop import {CURSOR}\n", ["__init__", "deep", "inner", "x"]),
        ({"shop.js": "function one() {}\nmodule.exports = { one }\n"}, "a.js",
         f"const shop = require('./shop')\nshop.{CURSOR}\n", ["one", *SCRIPT]),
        ({"shop.js": "function one() {}\nmodule.exports = make(one)\n"}, "a.js",
         f"const shop = require('./shop')\nshop.{CURSOR}\n", []),
        ({"src/lib.rs": "mod m;", "src/m.rs": "/// Makes.\n#[macro_export]\nmacro_rules! made { () => {} }\n"},
         "src/a.rs", f"use crate::{CURSOR}\n", ["m", "made"]),
        ({"shop.js": "class Shop { one() {} }\nmodule.exports = Shop\n"}, "a.js",
         f"const Store = require('./shop')\nconst s = new Store()\ns.on{CURSOR}\n", ["e"]),
    ],
)  # fmt: skip
def test_of_a_module(tmp_path: Path, files: dict[str, str], name: str, text: str, names: list[str]) -> None:
    assert found(tmp_path, files, name, text) == sorted(names)


@pytest.mark.parametrize(
    "text", ["x = x.y\n" * 3_000 + "x.", "x = " + "(" * 3_000 + "x.", "a." * 3_000, "self.f()." * 2_000]
)
@pytest.mark.parametrize("name", ["a.py", "a.ts", "a.rs", "A.java", "a.cpp", "a.go"])
def test_what_goes_in_circles_ends(tmp_path: Path, name: str, text: str) -> None:
    project = Project(tmp_path, {f"shop{Path(name).suffix}": text})
    buffer, row, column = project.open(name, f"{text}{CURSOR}\n")
    project.index.source_of(buffer)
    started = time.process_time()
    possible(project.index, project.workspace, buffer, row, column)
    assert time.process_time() - started < 3


def test_the_class_before_the_dot_is_shown_though_no_import_names_it(tmp_path: Path) -> None:
    files = {
        "parts.py": "class Part:\n    weight = 1\n",
        "shop.py": "from parts import Part\nclass Store:\n    all_of: list[Part]\n",
    }
    project = Project(tmp_path, files)
    text = f"from shop import Store\ndef f(store: Store):\n    for one in store.all_of:\n        one.{CURSOR}\n"
    assert project.imported("a.py", text)[0].path == "parts.py"
