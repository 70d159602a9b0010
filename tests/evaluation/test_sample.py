"""Which holes are asked for: the same each time, of all kinds, and across files only what other files alone define."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lsp_server.evaluation import sample
from lsp_server.evaluation.across import across_holes, defined
from lsp_server.evaluation.holes import File

PACKAGE = Path(sample.__file__).parents[1] / "completion"

SHOP = '''"""A shop."""


class Basket:
    def total_price(self):
        return sum(self.prices)

    def checkout_now(self):
        return self.total_price()


def opening_hours():
    return 9, 17
'''
CLIENT = """from shop import Basket, opening_hours


def pay(basket):
    # checkout_now is only a word here
    print("total_price")
    return basket.total_price() - 1


def visit(basket):
    opening_hours()
    return basket.checkout_now()
"""


def test_holes_are_the_same_each_time_and_of_all_kinds() -> None:
    files, walk = sample.files_of(PACKAGE)
    assert walk.complete
    one, other = (sample.places(PACKAGE, files, 30) for _ in range(2))
    assert one == other
    assert {each.hole.kind for each in one} == set(sample.KINDS)
    assert one != sample.places(PACKAGE, files, 30, seed=21)
    for each in one:
        whole = (each.root / each.hole.name).read_text(encoding="utf-8")
        assert each.hole.prefix + each.hole.middle + each.hole.suffix == whole


def test_across_files_is_what_another_file_alone_tells() -> None:
    files = [File("shop.py", "python", SHOP), File("client.py", "python", CLIENT)]
    names = defined(files)
    assert names["total_price"] == {"shop.py"}
    found = across_holes(files[1], names, random.Random(1))
    # `total_price` is in a string as well, `checkout_now` in a comment, and `opening_hours` where it is imported.
    assert found == []
    bare = File("client.py", "python", CLIENT.replace('    print("total_price")\n', ""))
    (only,) = across_holes(bare, names, random.Random(1))
    assert only.middle.endswith("_price() - 1")
    assert (only.prefix + only.middle).endswith("    return basket.total_price() - 1")
    assert across_holes(files[0], names, random.Random(1)) == []


def test_a_folder_without_code(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words\n" * 200)
    with pytest.raises(sample.NothingToAsk, match="has no source file"):
        sample.files_of(tmp_path)


def test_what_the_model_must_not_see_is_not_asked_about(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("secret.py\n")
    for name in ("secret.py", "open.py"):
        (tmp_path / name).write_text(SHOP * 3)
    files, _ = sample.files_of(tmp_path)
    assert [file.name for file in files] == ["open.py"]
