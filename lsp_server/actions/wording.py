"""The words of what the model is asked for each action: a dialog of a system message and one question.

Written with small models in mind: the code first, one instruction last, one code block as the answer.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Sequence

from lsp_server.actions.site import Task
from lsp_server.context import window
from lsp_server.context.buffer import depth_of
from lsp_server.context.languages import Language, language

# Lines of imports, and of what the code is defined in, that are shown with it.
MOST_IMPORTS, MOST_HEADERS = 40, 6
# Lines of a test file shown as an example of how the project writes tests.
MOST_EXAMPLE = 40

_IMPORT = re.compile(
    r"(import|from|use|using|#\s*include|package|require|require_relative|require_once|extern crate|mod|namespace"
    r"|const \w+ = require\(|(const|let|var) \{.*\} = require\()\b|\)$|\"[^\"]*\"$"
)
_INSTRUCTIONS = {
    "document": "Document this {what} with {doc}: what it does, its parameters, what it returns and the errors it "
    "raises, as far as they apply. Do not change the code.",
    "simplify": "Simplify this {what}: make it shorter and easier to read. Keep what it does{signature}.",
    "types": "Add the missing type annotations to this {what}. Change nothing else.",
    "optimize": "Make this {what} faster, or let it use less memory. Keep what it does{signature}.",
    "implement": "Write the body of this function, so that it does what its name, signature and documentation say. "
    "Keep the signature and the documentation.",
    "comment": "This comment says what is to be done:\n\n{comment}\n\nDo it, and change nothing else.",
    "fix": "{diagnostic}\n\nMend this, and change nothing else.",
    "explain": "Explain to a programmer who has not seen it what this {what} does and how. Name what is surprising "
    "about it. Be brief.",
    "explain-diagnostic": "{diagnostic}\n\nExplain what this means, why it is reported here, and how to mend it. "
    "Be brief.",
    "translate": "Translate this {what} to {target}, the way it is usually written there. Answer with the {target} "
    "code in one code block; after it, say in a few words what works differently there.",
}

# The same for chat, where what is meant is attached or named in the message.
SLASH_COMMANDS = {
    "explain": "Explain what this code does and how. Name what is surprising about it. Be brief.",
    "fix": "Find what is wrong with this code and mend it. Answer with the mended code in one code block; "
    "after it, say in one sentence what was wrong.",
    "document": "Document this code in the way of its language. Do not change the code. Answer "
    "with the whole of it in one code block.",
    "tests": "Write tests for this code: the usual case and the edge cases. Answer with one code block.",
    "simplify": "Make this code shorter and easier to read. Keep what it does. Answer with one code block.",
    "types": "Add the missing type annotations to this code. Change nothing else. Answer with one code block.",
    "optimize": "Make this code faster, or let it use less memory. Keep what it does. Answer with one code "
    "block; after it, say in one sentence what it gains.",
    "implement": "Write the code that is missing here. Answer with one code block.",
    "translate": "Translate this code to the language named here, the way it is usually written there.",
}


@dataclasses.dataclass(frozen=True)
class Context:
    """What is shown beside the code itself."""

    imports: str = ""
    headers: str = ""
    example: str = ""


def messages(task: Task, context: Context | None = None) -> list[dict[str, str]]:
    """The dialog of a task."""
    context = context_of(task) if context is None else context
    spoken = language(task.language_id, task.path)
    code = _dedented(task.code)
    what = "code" if task.block.kind == "selection" else task.block.kind
    where = f" `{task.path}`" if task.path else ""
    parts = []
    if context.imports:
        parts.append(f"The file{where} begins with:\n\n{_fenced(context.imports, spoken)}")
    if context.headers:
        parts.append(f"The code below is inside of:\n\n{_fenced(context.headers, spoken)}")
    if context.example and task.tests:
        parts.append(f"The tests there are, `{task.tests.path}`, begin with:\n\n{_fenced(context.example, spoken)}")
    named = f" `{task.block.path}`" if task.block.path else ""
    if code:
        parts.append(f"The {spoken.name} {what}{named}:\n\n{_fenced(code, spoken)}")
    parts.append(_instruction(task, spoken, what))
    return [{"role": "system", "content": _system(task, spoken)}, {"role": "user", "content": "\n\n".join(parts)}]


def _system(task: Task, spoken: Language) -> str:
    if task.action.result == "answer":
        return f"You are a helpful and honest code assistant. You explain {spoken.name} code in plain words."
    return f"You are a code assistant that edits {spoken.name} code. You answer with one code block and nothing else."


def _instruction(task: Task, spoken: Language, what: str) -> str:
    action = task.action
    if action.result == "tests":
        return _test_instruction(task, what)
    text = action.instruction or _INSTRUCTIONS[action.id]
    if not action.instruction:
        filled = {
            "what": what,
            "doc": spoken.doc,
            "signature": " and its signature" if what == "function" else "",
            "comment": _comment(task, spoken),
            "diagnostic": _diagnostic(task),
            "target": language(task.target).name if task.target else "another language",
        }
        text = re.sub(r"\{(\w+)\}", lambda match: filled[match[1]], text)
    if action.result == "answer":
        return text
    if not task.code.strip():
        return f"{text}\n\nAnswer with the {spoken.name} code for it in one code block, and nothing else."
    return f"{text}\n\nAnswer with the whole {what} in one code block, and nothing else."


def _test_instruction(task: Task, what: str) -> str:
    tests = task.tests
    name = f"`{task.block.path}`" if task.block.path else f"this {what}"
    if tests is None:
        return f"Write tests for {name}. Answer with the tests in one code block, and nothing else."
    parts = [f"Write tests for {name} with {tests.framework}: the usual case and the edge cases.", tests.reach]
    if tests.inline and task.language_id == "rust":
        there = "Answer with a `#[cfg(test)] mod tests` that begins with `use super::*;`"
    elif tests.exists:
        there = "They are added to a file of tests. Answer with the imports they need and the new tests alone"
    else:
        there = f"Answer with the whole new file `{tests.path}`"
    return " ".join(part for part in [*parts, f"{there}, in one code block, and nothing else."] if part)


def _comment(task: Task, spoken: Language) -> str:
    if task.comment is None:
        return ""
    lines = (line.strip() for line in task.lines[task.comment[0] : task.comment[1] + 1])
    mark = rf"^(/\*+|\*/|\*|{re.escape(spoken.line_comment) or '#'}+)\s?|\s*\*/$"
    return "\n".join(f"> {re.sub(mark, '', line)}".rstrip() for line in lines if line)


def _diagnostic(task: Task) -> str:
    found = task.diagnostic
    if found is None:
        return ""
    by = f"{found.source} reports" if found.source else "There is an error"
    code = f" ({found.code})" if found.code else ""
    line = task.lines[found.first_line].strip() if found.first_line < len(task.lines) else ""
    at = f" at the line `{line[:200]}`" if line else ""
    return f"{by}{at}{code}:\n\n> {' '.join(found.message.split())[:600]}"


def context_of(task: Task) -> Context:
    """The imports of the file and the headers of what the block is in; of the tests there are, how they begin."""
    block = task.block
    imports = _imports(task.lines[: block.first_line])
    headers = _headers(task.lines, block.first_line)
    example = "".join(task.existing.splitlines(keepends=True)[:MOST_EXAMPLE]).strip("\n")
    return Context(imports, headers, example if task.tests and not task.tests.inline else "")


def _imports(lines: Sequence[str]) -> str:
    """The lines at the top of a file up to the last import; "" where there is none."""
    found, inside = [], False
    for line in lines[:400]:
        stripped = line.strip()
        if line[:1] not in " \t" and _IMPORT.match(stripped) and not stripped.startswith(")"):
            inside = stripped.endswith(("(", "{", ",", "\\"))
        elif inside and stripped:
            inside = not stripped.startswith((")", "}"))
        else:
            inside = False
            continue
        found.append(line.rstrip())
    return "\n".join(found[:MOST_IMPORTS])


def _headers(lines: Sequence[str], row: int) -> str:
    """The lines above `row` that it is indented below, such as `class Parser:`, the outermost first."""
    found: list[str] = []
    depth = depth_of(lines[row]) if row < len(lines) else 0
    for above in range(row - 1, -1, -1):
        line = lines[above]
        if depth == 0 or len(found) >= MOST_HEADERS:
            break
        if line.strip() and depth_of(line) < depth and line.strip()[0] not in ")]}#@/*":
            found.append(line.rstrip())
            depth = depth_of(line)
    return "\n".join(reversed(found))


def _fenced(code: str, spoken: Language) -> str:
    """Code in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{spoken.fence}\n{code.rstrip()}\n{fence}"


def _dedented(code: str) -> str:
    return textwrap.dedent(window.normalized(code)).strip("\n")
