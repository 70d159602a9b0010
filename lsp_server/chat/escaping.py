"""Text that looks like the marks of a chat format, made harmless on its way to the model.

Marks that are tokens (`</s>`, `<step>`) are out of reach of text already: the tokenizer spells them in letters. Meta's
other marks are plain text for model and attacker alike: `[INST]`, `<<SYS>>`, and the headers `Source: user` of the 70B
format. Meta's own code looks for some of them and replaces the whole answer by an error (facebookresearch/codellama,
llama/generation.py, SPECIAL_TAGS). Here they get one backslash, which the user can see in the preview:

    [INST]         ->  [\\INST]              <<SYS>>       ->  <\\<SYS>>
    [/INST]        ->  [\\/INST]             <</SYS>>      ->  <\\</SYS>>
    Source: user   ->  \\Source: user        (at the start of a line, before one of the roles)

A mark that has such backslashes already gets one more, so that no two texts become the same and `unescaped` gives each
back. What is stored and shown stays as it was typed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer


# (where, what must not be taken for the format's own): the backslash goes between the two groups.
_INST = re.compile(r"(\[)(\\*/?INST\])")
_SYS = re.compile(r"(<)(\\*</?SYS>>)")
# A line starts where Python, or a model that has seen other conventions, may see one.
_LINE_START = "(?:^|(?<=[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]))"
_HEADER = re.compile(
    rf"({_LINE_START}[^\S\n]*)(\\*(?:Source|Destination)[^\S\n]*:\s*(?:system|user|assistant|ipython)\b)"
)
# Headlines that mark the turns in the templates of some other models.
_HEADLINE = re.compile(rf"({_LINE_START})(\\*### ?(?:Instruction|Response|System|User|Assistant|Human)\b)")

_BY_FORMAT = {"inst": (_INST, _SYS), "source-step": (_HEADER,)}
_BY_TEMPLATE = {"[INST]": _INST, "<<SYS>>": _SYS, "Source:": _HEADER, "###": _HEADLINE}


def escaped(text: str, tokenizer: CodeLlamaTokenizer) -> str:
    """`text` as it may stand in a turn of this model's chat format."""
    for pattern in _patterns(tokenizer):
        text = pattern.sub(r"\1\\\2", text)
    return text


def unescaped(text: str, tokenizer: CodeLlamaTokenizer) -> str:
    """The text that `escaped` was given."""
    for pattern in _patterns(tokenizer):
        text = pattern.sub(lambda match: match[1] + match[2].removeprefix("\\"), text)
    return text


def _patterns(tokenizer: CodeLlamaTokenizer) -> tuple[re.Pattern[str], ...]:
    chat_format = tokenizer.abilities.chat_format
    if chat_format == "template":
        template = tokenizer.template or ""
        return tuple(pattern for mark, pattern in _BY_TEMPLATE.items() if mark in template)
    return _BY_FORMAT.get(chat_format, ())
