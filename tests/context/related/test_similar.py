"""Pieces that share what is rare with the lines around the cursor, and the file that belongs to this one."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import CURSOR, Project

from lsp_server.context.related.piece import Piece
from lsp_server.context.related.similar import counterpart, names_of_counterparts, similar

INVOICE = '''
def render_invoice(customer, invoice_lines, currency):
    """A printed invoice."""
    total = sum_of_lines(invoice_lines)
    header = letter_head(customer)
    return header + format_amount(total, currency)
'''
FILLER = "".join(
    f"\n\ndef filler_{n}(value_{n}):\n    step_{n} = value_{n} + 1\n    other_{n} = step_{n}\n    return other_{n}\n"
    for n in range(40)
)
ASK = f"def render_receipt(customer, invoice_lines, currency):\n    total = sum_of_lines(invoice_lines)\n    {CURSOR}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, {"filler.py": FILLER, "invoice.py": f"import x\n{FILLER}\n{INVOICE}"})


def found(project: Project, text: str = ASK, name: str = "receipt.py", most: int = 3) -> list[Piece]:
    return similar(project.index, project.workspace, *project.open(name, text), most)


def test_the_piece_that_shares_rare_names_is_found(project: Project) -> None:
    (piece,) = found(project)
    assert piece.source == "similar"
    assert piece.path == "invoice.py"
    assert "def render_invoice(customer, invoice_lines, currency):\n" in piece.text
    lines = (project.root / "invoice.py").read_text().splitlines(keepends=True)
    assert piece.line is not None
    assert "".join(lines[piece.line :]).startswith(piece.text)
    assert piece.text.endswith("format_amount(total, currency)\n")
    assert "invoice_lines" in piece.why
    assert 0.3 <= piece.score <= 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        CURSOR,
        f"x = 1\ny = 2\n{CURSOR}",
        f"def unrelated(alpha, beta, gamma):\n    return alpha + beta + gamma{CURSOR}\n",
        f"def __init__(self, value, name):\n    self.name = name\n    return value{CURSOR}",
        f"def f(customer):\n    return customer.first, customer.second, customer.third{CURSOR}",  # one is not enough
    ],
)
def test_merely_similar_text_is_not_taken(project: Project, text: str) -> None:
    assert found(project, text) == []


def test_what_is_everywhere_does_not_count(tmp_path: Path) -> None:
    common = "def handle(request, response, session):\n    return request, response, session\n"
    project = Project(tmp_path, {f"m{n}.py": common + f"def own_{n}(): pass\n" * 5 for n in range(50)})
    assert found(project, f"def other(request, response, session):\n    {CURSOR}\n") == []


def test_nearly_the_same_pieces_are_taken_once_and_no_more_than_wanted(project: Project) -> None:
    for number in range(5):
        project.write(f"copy{number}.py", INVOICE)
    project.write(
        "receipts.py", INVOICE.replace("header", "footer").replace("letter_head", "tail") + "# VAT NUMBER SUM\n" * 3
    )
    project.refresh()
    pieces = found(project, most=3)
    assert len(pieces) == 2
    assert len(found(project, most=1)) == 1


def test_the_lines_around_the_cursor_themselves_are_not_found(project: Project) -> None:
    text = INVOICE + "\n# far\n" * 200 + INVOICE.replace("header", "footer") + "\n# far\n" * 200 + ASK
    project.write("receipt.py", text.replace(CURSOR, ""))
    project.refresh()
    pieces = found(project, INVOICE + ASK)
    assert {piece.path for piece in pieces} == {"invoice.py"}
    project.opened.clear()
    assert "receipt.py" in {piece.path for piece in found(project, text)}  # far away in the same file


def test_open_buffers_count_with_their_own_text(project: Project) -> None:
    project.open("invoice.py", "x = 1\n")
    assert found(project) == []
    project.open("draft.py", INVOICE)
    (piece,) = found(project)
    assert piece.path == "draft.py"
    assert piece.text == INVOICE.lstrip("\n")
    assert piece.line == 1


def test_another_language_is_not_similar(project: Project) -> None:
    assert found(project, ASK.replace("def", "function"), "receipt.js") == []


@pytest.mark.parametrize("how", ["ignored", "gone", "changed", "no text"])
def test_what_is_hidden_or_no_longer_so_is_not_shown(project: Project, how: str) -> None:
    if how == "ignored":
        project.write(".gitignore", "invoice.py\n")
    elif how == "gone":
        (project.root / "invoice.py").unlink()
    else:
        project.write("invoice.py", b"\xff" if how == "no text" else "API_KEY = 'not seen before'\n" * 300)
    assert found(project) == []


def test_line_endings_are_the_models(project: Project) -> None:
    project.write("invoice.py", INVOICE.replace("\n", "\r\n"))
    project.refresh()
    (piece,) = found(project)
    assert "\r" not in piece.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shop/store.py", "tests/test_store.py"),
        ("shop/store.py", "shop/store_test.py"),
        ("src/store.ts", "src/store.test.ts"),
        ("src/store.tsx", "src/__tests__/store.spec.tsx"),
        ("store/store.go", "store/store_test.go"),
        ("src/main/java/a/Store.java", "src/test/java/a/StoreTest.java"),
        ("src/store.c", "include/store.h"),
        ("src/store.cpp", "src/store.hpp"),
        ("src/store.cc", "test/store_unittest.cc"),
    ],
)
def test_files_that_belong_together(tmp_path: Path, one: str, other: str) -> None:
    assert Path(other).name in names_of_counterparts(Path(one).name)
    assert Path(one).name in names_of_counterparts(Path(other).name)
    text = {
        ".py": "def find_colour(alpha, beta):\n    return alpha + beta\n",
        ".go": "package store\n\nfunc findColour(alpha int, beta int) int {\n\treturn alpha\n}\n",
        ".java": "class Store {\n  int findColour(int alpha, int beta) { return alpha; }\n}\n",
        ".ts": "export function findColour(alpha: number, beta: number) {\n  return alpha\n}\n",
        ".tsx": "export function findColour(alpha: number, beta: number) {\n  return alpha\n}\n",
    }.get(Path(one).suffix, "int findColour(int alpha, int beta);\n")
    project = Project(tmp_path, {one: text, other: text, "far/away/x.py": text})
    for here, there in ((one, other), (other, one)):
        piece = counterpart(project.index, project.workspace, *project.open(here, text))
        assert piece is not None
        assert piece.path == there
        assert piece.source == "counterpart"
        assert "alpha" in piece.text
        project.opened.clear()


def test_of_a_test_the_piece_about_what_is_written_is_taken(tmp_path: Path) -> None:
    tests = f"{FILLER}\n\ndef test_receipt():\n    assert render_receipt(customer, invoice_lines, currency)\n\n{FILLER}"
    project = Project(tmp_path, {"shop/receipt.py": ASK.replace(CURSOR, ""), "tests/test_receipt.py": tests})
    piece = counterpart(project.index, project.workspace, *project.open("shop/receipt.py", ASK))
    assert piece is not None
    assert "def test_receipt():\n" in piece.text


def test_the_nearest_of_several_counterparts_is_taken_and_hidden_ones_are_not(tmp_path: Path) -> None:
    code = "def alpha(beta, gamma): ...\n"
    files = {"a/store.py": code, "a/test_store.py": code, "b/test_store.py": code}
    project = Project(tmp_path, files)
    asked = project.open("a/store.py", f"{code}{CURSOR}")
    piece = counterpart(project.index, project.workspace, *asked)
    assert piece is not None
    assert piece.path == "a/test_store.py"
    project.write("a/.gitignore", "test_*\n")
    assert counterpart(project.index, project.workspace, *asked) is None
    assert counterpart(project.index, project.workspace, *project.open("other.py", code)) is None
