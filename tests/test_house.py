"""The house: a file imports from its own folder and from the floors below, and nothing goes round in a circle.

Imports for type checking alone count too: what a file must know to be understood, it depends on.
"""

from __future__ import annotations

import graphlib
from pathlib import Path

import grimp
import pytest

import lsp_server

MOST_LINES = 400
# From the roof down. Rooms beside each other do not know each other.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"evaluation"},
    {"server"},
    {"feedback"},
    {"next_edit"},
    {"actions"},
    {"chat"},
    {"completion"},
    {"context"},
    {"model"},
    {"engine"},
    {"codellama"},
    {"settings_file", "settings_schema"},
    {"settings_sent"},
    {"settings"},
    {"logs"},
    {"installing", "printing", "processes", "places", "files", "waiting"},
    {"errors"},
)
ENGINE = (
    {"__main__"},
    {"process"},
    {"sockets"},
    {"serving", "loading"},
    {"generating"},
    {"passes"},
    {"address", "options", "ending", "priority"},
)
# pygls carries the messages; what handles them does not know it.
WIRING = {"app", "buffers", "protocol", "pygls_editor", "shapes", "stdio"}


@pytest.fixture(scope="module")
def house() -> dict[str, set[str]]:
    """Each file with what it imports of this program."""
    graph = grimp.build_graph("lsp_server", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def arrows_up(house: dict[str, set[str]], floors: tuple[set[str], ...], inside: str) -> list[str]:
    depth = len(inside.split("."))

    def room(module: str) -> str | None:
        parts = module.split(".")
        return parts[depth] if module.startswith(f"{inside}.") else None

    level = {name: number for number, names in enumerate(floors) for name in names}
    found = []
    for module, imported in house.items():
        for other in imported:
            here, there = room(module), room(other)
            if here is None or there is None or here == there:
                continue
            assert here in level, f"{module} has no floor: give it one here"
            assert there in level, f"{other} has no floor: give it one here"
            if level[there] <= level[here]:
                found.append(f"{module} -> {other}")
    return sorted(found)


def test_arrows_go_down(house: dict[str, set[str]]) -> None:
    assert arrows_up(house, FLOORS, "lsp_server") == []


def test_arrows_in_the_engine_go_down(house: dict[str, set[str]]) -> None:
    assert arrows_up(house, ENGINE, "lsp_server.engine") == []


def test_an_arrow_up_is_found(house: dict[str, set[str]]) -> None:
    wrong = {**house, "lsp_server.settings": {"lsp_server.server.app"}}
    assert arrows_up(wrong, FLOORS, "lsp_server") == ["lsp_server.settings -> lsp_server.server.app"]


def test_there_is_no_circle(house: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(house).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_handlers_do_not_know_what_carries_the_messages() -> None:
    graph = grimp.build_graph("lsp_server", include_external_packages=True, cache_dir=None)
    knowing = graph.find_modules_that_directly_import("pygls")
    assert {name.removeprefix("lsp_server.server.") for name in knowing} <= WIRING


def test_no_file_is_long() -> None:
    lengths = {
        path: len(path.read_text("utf-8").splitlines()) for path in Path(lsp_server.__file__).parent.rglob("*.py")
    }
    assert {path.name: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}
