"""Text that looks like the marks of a chat format, made harmless on its way to the model.

Marks that are tokens (`</s>`, `<step>`) are out of reach of text already: the tokenizer spells them in letters. Meta's
other marks are plain text for model and attacker alike: `[INST]`, `<<SYS>>`, and the headers `Source: user` of the 70B
format. Meta's own code looks for some of them and replaces the whole answer by an error (facebookresearch/codellama,
llama/generation.py, SPECIAL_TAGS). Here they get one backslash, which the user can see in the preview:

    [INST]         ->  [\\INST]              <<SYS>>       ->  <\\<SYS>>
    [/INST]        ->  [\\/INST]             <</SYS>>      ->  <\\</SYS>>
    Source: user   ->  \\Source: user        (at the start of a line, before one of the roles)

Nothing else is changed: a text without marks is sent as it is, and one that was escaped before, as a model repeats it,
stays the same. What is stored and shown stays as it was typed.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer


# (before, after): the backslash goes between the two groups.
_INST = re.compile(r"(\[)(/?INST\])")
_SYS = re.compile(r"(<)(</?SYS>>)")
# A line starts where Python, or a model that has seen other conventions, may see one.
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_LINE_START = f"(?:^|(?<=[{_LINE_ENDS}]))"
_HEADER = re.compile(
    rf"({_LINE_START}[^\S{_LINE_ENDS}]*)((?:Source|Destination)[^\S\n]*:\s*(?:system|user|assistant|ipython)\b)"
)
# Headlines that mark the turns in the templates of some other models.
_TURNS = "Instruction|Response|System|User|Assistant|Human"
_HEADLINE_NAMES = re.compile(rf"### ?({_TURNS})\b")

_BY_FORMAT = {"inst": (_INST, _SYS), "source-step": (_HEADER,)}
_BY_TEMPLATE = {"[INST]": _INST, "<<SYS>>": _SYS, "Source:": _HEADER}


def escaped(text: str, tokenizer: CodeLlamaTokenizer) -> str:
    """`text` as it may stand in a turn of this model's chat format."""
    for pattern in _patterns(tokenizer):
        text = pattern.sub(r"\1\\\2", text)
    return text


def _patterns(tokenizer: CodeLlamaTokenizer) -> tuple[re.Pattern[str], ...]:
    chat_format = tokenizer.abilities.chat_format
    if chat_format == "template":
        return _of_template(tokenizer.template or "")
    return _BY_FORMAT.get(chat_format, ())


@functools.lru_cache(maxsize=4)
def _of_template(template: str) -> tuple[re.Pattern[str], ...]:
    found = [pattern for mark, pattern in _BY_TEMPLATE.items() if mark in template]
    if "###" in template:  # which names follow may be for the template to find out, as with `role.capitalize()`
        names = "|".join(sorted(set(_HEADLINE_NAMES.findall(template)))) or _TURNS
        found.append(re.compile(rf"({_LINE_START})(### ?(?:{names})\b)"))
    return tuple(found)
