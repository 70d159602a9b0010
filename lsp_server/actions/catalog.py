"""The code actions: what each is called, where it applies, and what it asks of the model.

`offers` is what a menu shows. It looks at what is known already and asks nobody, so that the menu is there at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from lsp_server.actions import project
from lsp_server.context.languages import Language, language
from lsp_server.context.syntax import Block

if TYPE_CHECKING:  # the menu needs none of it
    from lsp_server.actions.checks import Keep
    from lsp_server.codellama import Abilities

Applies = Literal["function", "class", "selection", "stub", "comment", "diagnostic", "commit"]
Result = Literal["edit", "tests", "answer", "message"]
"""edit: the block is rewritten. tests: text is added to a test file. answer: a text to read. message: a commit's."""

# `source` is for what concerns a whole file; VS Code leaves it out of the menu at the cursor.
REWRITE, QUICKFIX, SOURCE = "refactor.rewrite", "quickfix", "source"
CODE: tuple[Applies, ...] = ("function", "class", "selection")
MOST_DIAGNOSTICS = 4
# Languages in which types may be left out, and those in which nothing is computed.
TYPED = ("python", "typescript", "typescriptreact", "php")
NO_PROGRAM = ("markdown", "plaintext", "html", "xml", "css", "scss", "less", "yaml", "toml", "ini", "json", "jsonc",
              "csv", "properties", "latex", "restructuredtext")  # fmt: skip
NAME_LENGTH, MESSAGE_LENGTH = 40, 60


@dataclasses.dataclass(frozen=True)
class Action:
    """One code action. `title` has `{it}` for what it works on, `{message}` for a diagnostic's.

    `needs`: what the model must be able to; `either` is infilling where it can, else chat. `keep`: what an edit must
    leave as it is (see `checks`). `languages`: () for all.
    """

    id: str
    title: str
    applies: tuple[Applies, ...]
    result: Result = "edit"
    kind: str = REWRITE
    needs: Literal["chat", "either"] = "chat"
    keep: Keep = "signature"
    languages: tuple[str, ...] = ()
    instruction: str = ""
    """What the user wrote, for an action of their own."""


# In the order of the menu.
ACTIONS = (
    Action("fix", "Fix: {message}", ("diagnostic",), kind=QUICKFIX),
    Action("explain-diagnostic", "Explain: {message}", ("diagnostic",), "answer", kind=QUICKFIX),
    Action("comment", "Do what this comment says", ("comment",)),
    Action("implement", "Implement {it}", ("stub",), needs="either", keep="head"),
    Action("document", "Document {it}", CODE, keep="code"),
    Action("tests", "Write tests for {it}", CODE, "tests", languages=tuple(sorted(project.LANGUAGES))),
    Action("explain", "Explain {it}", CODE, "answer"),
    Action("simplify", "Simplify {it}", CODE),
    Action("types", "Add types to {it}", CODE, keep="names", languages=TYPED),
    Action("optimize", "Optimize {it}", CODE),
    Action("translate", "Translate {it} to another language", CODE, "answer"),
    Action("commit", "Write the commit message", ("commit",), "message", kind=SOURCE),
)  # fmt: skip
# What the user says in their own words. No menu of the protocol can ask for them: clients have a key of their own.
EDIT = Action("edit", "Edit {it}", (), keep="nothing")
_OWN_KEYS = ("title", "instruction", "appliesTo", "languages", "result")
COMMIT_LANGUAGES = ("git-commit", "gitcommit")


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """What another server found. Rows are 0-based, both included."""

    message: str
    first_line: int
    last_line: int
    source: str = ""
    code: str = ""

    @property
    def rows(self) -> tuple[int, int]:
        return self.first_line, self.last_line


@dataclasses.dataclass(frozen=True)
class Site:
    """Where the menu is opened. `block`: the selection, or the definition at the cursor. `comment`: the rows of the
    comment at the cursor. `stub`: the block is a function that has no body yet. `typed`: one that has all its types.
    `is_test`: the file holds tests."""

    language_id: str
    block: Block | None = None
    stub: bool = False
    typed: bool = False
    comment: tuple[int, int] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    is_test: bool = False


@dataclasses.dataclass(frozen=True)
class Offer:
    """An entry of the menu. `diagnostic` is the index of the one it is for. `disabled`: why it cannot be chosen."""

    action: Action
    title: str
    diagnostic: int | None = None
    disabled: str = ""


def offers(
    site: Site,
    abilities: Abilities | None,
    own: Sequence[Action] = (),
    *,
    only: Sequence[str] | None = None,
    automatic: bool = False,
    shows_disabled: bool = False,
) -> list[Offer]:
    """What the menu shows at `site`. `abilities` None: the model is not known yet, so nothing is held against it.

    `only`: the kinds asked for, each with all below it. `automatic`: nobody asked, so only what mends a diagnostic.
    What the model cannot do is there as disabled where the client `shows_disabled`, else it is not there.
    """
    found: list[Offer] = []
    for action in (*ACTIONS, *own):
        if not _wanted(action.kind, only) or (automatic and action.kind != QUICKFIX):
            continue
        if not _applies(action, site):
            continue
        disabled = why_not(action, abilities)
        if disabled and (automatic or not shows_disabled):
            continue
        if "diagnostic" in action.applies:
            seen = list(enumerate(site.diagnostics))[:MOST_DIAGNOSTICS]
            found += [
                Offer(action, title_of(action, site, each), number, disabled) for number, each in seen if each.message
            ]
        else:
            found.append(Offer(action, title_of(action, site), disabled=disabled))
    return found


def why_not(action: Action, abilities: Abilities | None) -> str:
    """Why the model cannot do this, as one sentence; "" where it can."""
    if abilities is None or abilities.chat or (action.needs == "either" and abilities.infilling):
        return ""
    return abilities.chat_reason


def title_of(action: Action, site: Site, diagnostic: Diagnostic | None = None) -> str:
    """The title: short, and what will happen."""
    block = site.block
    it = f"`{_short(block.name, NAME_LENGTH)}`" if block is not None and block.name else "the selection"
    message = _short(" ".join(diagnostic.message.split()), MESSAGE_LENGTH) if diagnostic else ""
    return action.title.replace("{it}", it).replace("{message}", message)


def action_of(id: str, own: Sequence[Action] = ()) -> Action | None:
    """The action with this id, or None."""
    return next((action for action in (*ACTIONS, EDIT, *own) if action.id == id), None)


def own_actions(values: Sequence[Any]) -> tuple[list[Action], list[str]]:
    """The user's own actions from the setting `actions`, and one sentence for each that cannot be used.

    Each has a `title` and an `instruction`; `appliesTo` (function, class, selection; default all three), `languages`
    (default all) and `result` (edit, the default, or answer) may be given.
    """
    actions: list[Action] = []
    problems: list[str] = []
    for number, value in enumerate(values, 1):
        problem = _problem(value)
        if problem:
            problems.append(f"`codellama.actions`: entry {number} {problem}; it is left out.")
            continue
        title, instruction = value["title"].strip(), value["instruction"].strip()
        taken = any(action.title == title for action in actions)  # say, the same in other words for another language
        actions.append(
            Action(
                f"own:{title}#{number}" if taken else f"own:{title}",
                title,
                tuple(value.get("appliesTo") or CODE),
                value.get("result") or "edit",
                keep="nothing",
                languages=tuple(value.get("languages") or ()),
                instruction=instruction,
            )
        )
    return actions, problems


def _problem(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "is not an object"
    if unknown := [key for key in value if key not in _OWN_KEYS]:
        return f"has {unknown[0]!r}, which is none of {', '.join(_OWN_KEYS)}"
    for key in ("title", "instruction"):
        if not isinstance(value.get(key), str) or not value[key].strip():
            return f"needs a text as its `{key}`"
    for key in ("appliesTo", "languages"):
        given = value.get(key) or []
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            return f"needs a list of texts as its `{key}`"
    if wrong := [each for each in value.get("appliesTo") or [] if each not in CODE]:
        return f"has {wrong[0]!r} in `appliesTo`, which may have {', '.join(CODE)}"
    if value.get("result") not in (None, "", "edit", "answer"):
        return "has a `result` other than edit and answer"
    return ""


def _wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a kind is among those asked for: `refactor` asks for `refactor.rewrite` too."""
    return not only or any(not each or kind == each or kind.startswith(f"{each}.") for each in only)


def _applies(action: Action, site: Site) -> bool:
    if "commit" in action.applies:
        return site.language_id in COMMIT_LANGUAGES
    if site.language_id in COMMIT_LANGUAGES:
        return False
    spoken = language(site.language_id)
    id = spoken.id
    if _is_senseless(action.id, spoken, site):
        return False
    if action.languages and id not in action.languages and site.language_id not in action.languages:
        return False
    if action.id == "tests" and site.is_test:
        return False
    if "comment" in action.applies:
        return site.comment is not None
    if "diagnostic" in action.applies:
        return bool(site.diagnostics)
    if "stub" in action.applies:
        return site.stub
    return site.block is not None and site.block.kind in action.applies


def _is_senseless(id: str, spoken: Language, site: Site) -> bool:
    """Whether nothing could come of an action here."""
    if id == "document":
        return not spoken.has_comments
    if id == "types":
        return site.typed
    if id in ("optimize", "translate") and spoken.id in NO_PROGRAM:
        return True
    return site.stub and id in ("tests", "simplify", "optimize", "translate")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
