"""What is no part of the code in an answer: the names of control tokens, control characters, and what nobody sees."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import open_after, text_scope
from lsp_server.completion.stopping import Place

# Characters that no source file wants: controls but tab and line feed, halves of characters, and the sign for bytes
# that are no text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffd]")
# Characters that nobody sees: marks of byte order and of direction, and what joins or parts words without a width. The
# two joiners have a meaning between letters of some scripts and in emoji.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
# Further control tokens, beside those of infilling: what begins a prompt, and what ends a text or a turn of a dialog.
_BEGIN = ("<s>", "<bos>", "<｜begin▁of▁sentence｜>")
_END = ("</s>", "<unk>", "<pad>", "<eos>", "<step>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>")
# Of these there are too many to name them all.
_SHAPE = r"<\|[A-Za-z][\w-]{0,40}\|>|<｜[^｜\n]{1,40}｜>"
# Where a name in angle brackets is an element; and where `<|` and `|>` are operators.
_MARKUP = {"html", "xml", "xsl", "vue", "svelte", "astro", "handlebars", "php", "markdown"}
_MARKUP |= {"javascriptreact", "typescriptreact"}
_PIPES = {"fsharp", "elixir", "haskell", "elm", "ocaml", "purescript", "ruby"}

# What is written without a space before it.
_ATTACHED = (")", "]", "}", ",", ";", ":", ".")


def line_endings(text: str) -> str:
    """With line endings as `\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_control_text(text: str, here: Place, control: Collection[str] = ()) -> str:
    """Without the names of control tokens that it begins with, and up to the first one or control character after.

    A name in a string that is closed again is one that the code is about, and so may be one that the document has
    already. `control`: further names, of the vocabulary.
    """
    begin, names = _patterns(here.language_id, frozenset(control))
    if leading := begin.match(text):
        text = text[leading.end() :]
    if bad := _CONTROL.search(text):
        text = text[: bad.start()]
    for found in names.finditer(text):
        if not _is_meant(found, text, here):
            return text[: found.start()]
    return text


def readable(answer: str, known: str = "") -> str:
    """An answer in words and code, without characters that nobody sees, and up to the first name of a control token.

    Those that are in `known`, the text that it is about, are kept, and names at the end of a string.
    """
    answer = _invisible_removed(answer, known)
    _, last = _names()
    for found in re.finditer(_any(last), answer):
        quoted = answer[found.end() : found.end() + 1] in ('"', "'", "`", "\\")
        if found.group() not in known and not quoted:
            return answer[: found.start()]
    return answer


def without_invisible(text: str, here: Place) -> str:
    """Without characters that nobody sees."""
    return _invisible_removed(text)


def without_trailing_blanks(text: str, here: Place) -> str:
    """Without blanks at the ends of lines, unless they belong to a string over several lines or to one that is closed
    right of the cursor or keep it apart from what follows at once, or the language gives them a meaning."""
    bare = text.rstrip()
    if here.in_line and not here.line_after.startswith((" ", "\t", *_ATTACHED)):
        return bare + text[len(bare) :].partition("\n")[0]
    marks = marks_of(here.language_id)
    read = list(here.read(text))
    if here.after.wanted and "\n" not in text[len(bare) :]:
        scope = text_scope(open_after(read, here.open), marks)
        if scope is not None and scope.kind == "string":
            bare = text
    if marks.prose or "\n" not in bare:
        return bare
    lines = bare.split("\n")
    ends = [step for step in read if step.newline]
    for index, step in enumerate(ends[: len(lines) - 1]):
        scope = text_scope(step.open, marks)
        if scope is None or scope.kind != "string":
            lines[index] = lines[index].rstrip()
    return "\n".join(lines)


def _invisible_removed(text: str, known: str = "") -> str:
    return _INVISIBLE.sub(lambda found: found.group() if found.group() in known else "", text)


def _is_meant(found: re.Match[str], text: str, here: Place) -> bool:
    """Whether the code is about the control token that it names."""
    rest = text[found.end() :]
    if not rest.strip():
        return False
    if found.group() in here.prefix or found.group() in here.suffix:
        return True
    read = list(here.read(text))
    before = [step for step in read if step.end <= found.start()]
    scope = text_scope(open_after(before, here.open), marks_of(here.language_id))
    within = scope is not None and scope.kind == "string" and scope not in here.open
    return within and any(step.closed is scope for step in read[len(before) :])


@functools.cache
def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Control tokens: (those that may stand before the text that is meant, those that end it)."""
    from lsp_server.codellama.infilling import CODE_LLAMA, DOCUMENT_ENDS, OTHERS  # with the tokenizer, later

    before = {name for names in (CODE_LLAMA, *OTHERS) for name in (names.prefix, names.suffix, names.middle)}
    after = {CODE_LLAMA.end or "", *DOCUMENT_ENDS, *_END}
    return tuple(name.lstrip("▁") for name in {*before, *_BEGIN}), tuple(name.lstrip("▁") for name in after)


@functools.cache
def _patterns(language_id: str, control: frozenset[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(what may stand before the text that is meant, what ends it)"""
    first, last = _names()
    begin, names = set(first), {*first, *last, *(name.lstrip("▁") for name in control)}
    if language_id in _MARKUP:
        names = {name for name in names if not re.fullmatch(r"</?[A-Za-z]+>", name)} | {"<EOT>"}
        begin &= names
    shape = "" if language_id in _PIPES else f"|{_SHAPE}"
    # A word before some of them makes it something else: a type's argument, an index.
    apart = {name for name in names if re.fullmatch(r"<[a-z]+>|\[[A-Z]+\]", name)}
    spelled = _any(names - apart)
    ends = re.compile(rf"(?<!<)(?:{spelled}{shape})|(?<![\w<]){_any(apart)}|<\|[a-z_]{{2,}}\Z")
    return re.compile(rf"(?:[ \t]*{_any(begin)})+"), ends


def _any(names: Collection[str]) -> str:
    return "(?:" + ("|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name)))) or "(?!)") + ")"
