"""What the pages say is so: what is generated is current, links lead somewhere, what is quoted is said, named tests are
there, and the site is built without a warning."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from test_house import FLOORS

from lsp_server.codellama import VARIANTS
from lsp_server.engine.loading import sizes

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
READMES = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not {".venv", "node_modules", "docs", "dist", "build"} & set(path.relative_to(ROOT).parts[:-1])
]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)|(?:src|href|srcset)=\"([^\"]+)\"")
FENCE = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_as_it_would_be_now(generate: ModuleType) -> None:
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in generate.generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `make docs`"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """With links between pages, and from them into the repository, looked at."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", DOCS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.glob("*.html"))
    assert {path.stem for path in PAGES} <= {path.stem for path in pages}
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:)?//")
    assert [path.name for path in pages if loaded.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in NAMED.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), file
        assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("page", [DOCS / "security.md", DOCS / "architecture.md"], ids=lambda path: path.name)
def test_a_page_of_claims_names_tests(page: Path) -> None:
    assert len(NAMED.findall(page.read_text(encoding="utf-8"))) >= 10


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_outside_the_site_lead_somewhere(readme: Path) -> None:
    assert [link for link in links(readme) if not (readme.parent / link.partition("#")[0]).exists()] == []
    inside = [link for link in links(readme) if ".md#" in link or link.startswith("#")]
    for link in inside:
        file, _, anchor = link.partition("#")
        target = readme.parent / file if file else readme
        assert anchor in anchors(target), link


def links(page: Path) -> Iterator[str]:
    """Where the links of a page lead in the repository."""
    for found in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        link = found[1] or found[2]
        if "://" not in link and not link.startswith("mailto:"):
            yield link


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_messages_that_are_quoted_are_said() -> None:
    """In the first column of the table of troubles, in italics; `...` stands for what differs."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [text for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE) for text in re.findall(r"\*(.+?)\*", row)]
    assert len(quoted) >= 5
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder, pattern in (("lsp_server", "*.py"), ("editors/vscode/src", "*.ts"), ("editors/neovim/lua", "*.lua"))
        for path in (ROOT / folder).rglob(pattern)
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # a sentence that goes on in the next line
    for text in quoted:
        if not text.startswith("error: "):  # pip's own
            for part in text.split("..."):
                assert part.strip() in source, text


def test_every_floor_of_the_house_is_told() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = [name for floor in FLOORS for name in floor if name != "__main__"]
    assert [name for name in rooms if f"`{name}/`" not in page and f"`{name}.py`" not in page] == []


def test_the_models_are_those_that_we_know() -> None:
    for row in re.findall(r"^\| `(codellama/.*)$", (DOCS / "models.md").read_text(encoding="utf-8"), re.MULTILINE):
        name, infills, _, size = (cell.strip() for cell in row.strip(" |").split("|"))
        (variant,) = (each for each in VARIANTS if each.hub_id == name.partition("`")[0].removesuffix("`"))
        assert float(size.removesuffix(" GiB")) == round(sizes.of_shape(variant.shape).needed(8, 4096) / 2**30, 1)
        assert infills.startswith({"yes": "yes", "no": "no"}.get(variant.infilling, "disputed"))


def test_the_memory_of_each_number_of_bits_is_what_is_planned() -> None:
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    shapes = [each.shape for each in VARIANTS if each.flavour == "base"]
    for bits in (8, 4, 16):
        (told,) = re.findall(rf"^\| `{bits}` \| ([\d., ]+) \|", page, re.MULTILINE)
        gib = [sizes.of_shape(shape).needed(bits, 4096) / 2**30 for shape in shapes]
        assert told == ", ".join(f"{each:.1f}" for each in gib)


def test_no_page_names_a_package_index() -> None:
    wrong = re.compile(r"pypi\.org|pythonhosted|npmjs|registry\.")
    assert [path.name for path in (*PAGES, *READMES) if wrong.search(path.read_text(encoding="utf-8"))] == []
