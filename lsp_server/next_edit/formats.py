"""How models that were trained for next edits are asked: their prompts as data, as their makers publish them.

Such a model is shown what was changed of late and a region around the cursor, and writes that region anew.

Zeta: format_zeta1_prompt and what it calls, and clean_zeta1_model_output, in crates/zeta_prompt/src/zeta_prompt.rs of
https://github.com/zed-industries/zed. Sweep: run_model.py in https://huggingface.co/sweepai/sweep-next-edit-1.5B, and
https://blog.sweep.dev/posts/oss-next-edit for the 21 lines.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

_SLOT = re.compile(r"\{(\w+)\}")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a prompt. `ours`: it is the format's, so that a control token's name in it is that token."""

    text: str
    ours: bool


@dataclasses.dataclass(frozen=True)
class Format:
    """The prompts of one family.

    `called`: what the names of its checkpoints have in them. `edit`: one change, with `between` two of them; in it are
    {path}, and {diff}, or {old} and {new}. `prompt`: all of it, with {edits}, {path}, the {above} and {below} of the
    region, what is {before} and {after} the cursor in it, what the region was {original}ly, and {start}, which is
    `start_of_file` where the text begins. The answer has the region between `begin` and `end`, or is the region, up to
    one of `stops`. `marks`: what no text of the user's may have in it.

    `lines` of the region above and below the cursor's, `context` lines beyond it on either side.
    """

    name: str
    called: str
    edit: str
    between: str
    prompt: str
    marks: tuple[str, ...]
    start_of_file: str = ""
    begin: str = ""
    end: str = ""
    cursor: str = ""
    stops: tuple[str, ...] = ()
    lines: int = 10
    context: int = 0

    def parts(self, values: Mapping[str, str], edits: Sequence[Mapping[str, str]], *, starts: bool) -> list[Part]:
        """The prompt with these values in the place of the names in it. `starts`: the text begins in it."""
        shown: list[Part] = []
        for at, each in enumerate(edits):
            shown += [Part(self.between, True)] if at and self.between else []
            shown += _filled(self.edit, {name: [Part(text, False)] for name, text in each.items()})
        given = {name: [Part(text, False)] for name, text in values.items()}
        start = [Part(self.start_of_file, True)] if starts else []
        return _filled(self.prompt, {**given, "edits": shown, "start": start})

    def is_kept_by(self, texts: Iterable[str]) -> bool:
        """Whether no text of the user's has a mark of the format in it, which would be taken for one."""
        return not any(mark in text for text in texts for mark in self.marks)

    def region(self, answer: str) -> str | None:
        """The region as a model wrote it, without the line ending behind it; None where the answer has none."""
        text = answer.replace(self.cursor, "") if self.cursor else answer
        if not self.begin:
            ends = [at for stop in self.stops if (at := text.find(stop)) >= 0]
            return text[: min(ends, default=len(text))].removeprefix("\n").removesuffix("\n")
        start, end = text.find(self.begin), text.find(self.end)
        if start < 0 or end < start:
            return None
        return text[start + len(self.begin) : end].removeprefix("\n").removesuffix("\n")


ZETA = Format(
    name="zeta",
    called=r"\bzeta\b(?![-_ ]?[2-9])",
    edit="User edited {path}:\n```diff\n{diff}\n```",
    between="\n\n",
    prompt="### Instruction:\n"
    "You are a code completion assistant and your task is to analyze user edits and then rewrite an excerpt that the "
    "user provides, suggesting the appropriate edits within the excerpt, taking into account the cursor location.\n\n"
    "### User Edits:\n\n{edits}\n\n### User Excerpt:\n\n```{path}\n{start}{above}<|editable_region_start|>\n"
    "{before}<|user_cursor_is_here|>{after}\n<|editable_region_end|>{below}\n```\n\n### Response:\n",
    marks=("<|editable_region_start|>", "<|editable_region_end|>", "<|user_cursor_is_here|>", "<|start_of_file|>"),
    start_of_file="<|start_of_file|>\n",
    begin="<|editable_region_start|>",
    end="<|editable_region_end|>",
    cursor="<|user_cursor_is_here|>",
    lines=8,
    context=10,
)
SWEEP = Format(
    name="sweep",
    called=r"sweep",
    edit="<|file_sep|>{path}.diff\noriginal:\n{old}\nupdated:\n{new}\n",
    between="",
    prompt="{edits}<|file_sep|>original/{path}\n{original}\n<|file_sep|>current/{path}\n{before}{after}\n"
    "<|file_sep|>updated/{path}",
    marks=("<|file_sep|>", "<|endoftext|>"),
    stops=("<|file_sep|>", "<|endoftext|>"),
)
FORMATS = (ZETA, SWEEP)


def format_of(model: str, named: str) -> Format | None:
    """The format of a checkpoint: the one that is `named`, or with "auto" that of a family which its name has in it;
    None where it has none."""
    if named != "auto":
        return next((each for each in FORMATS if each.name == named), None)
    return next((each for each in FORMATS if re.search(each.called, model.rstrip("/\\"), re.IGNORECASE)), None)


def _filled(template: str, values: Mapping[str, Sequence[Part]]) -> list[Part]:
    found: list[Part] = []
    for at, text in enumerate(_SLOT.split(template)):
        if at % 2:
            found += [each for each in values[text] if each.text]
        elif text:
            found.append(Part(text, True))
    return found


def ids_of(parts: Sequence[Part], tokenizer: CodeLlamaTokenizer) -> list[int]:
    """The ids of a prompt: the control tokens that the format names, and plain text between them."""
    control = tokenizer.vocabulary.control
    names = sorted(control, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, names))) if names else None
    ids: list[int] = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    text, encode = "", tokenizer.encode
    for part in parts:
        at = 0
        for found in pattern.finditer(part.text) if part.ours and pattern else ():
            text += part.text[at : found.start()]
            ids += [*(encode(text) if text else ()), control[found[0]].id]
            text, encode, at = "", tokenizer.encode_raw, found.end()
        text += part.text[at:]
    return ids + (encode(text) if text else [])
