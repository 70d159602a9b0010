"""Sentences where code should be: whether a line reads as words for people."""

from __future__ import annotations

import re

from lsp_server.context.languages import Language

# Characters that ordinary sentences do not have, and words that begin statements without any of them.
CODE_SIGN = re.compile(r"[=;{}<>|\\@#$&^~]|\w\(|\)\s*:|\[\w*\]|::|->|//|/\*|--|\"\"\"|\w\.\w+\b(?!\s)|^\s*\w+:$")
STATEMENT = re.compile(
    r"\s*(?:return|pass|break|continue|raise|import|from|else|end|do|begin|then|fi|done|esac|try|finally|package|use"
    r"|yield|global|nonlocal|del|assert|await|goto|throw|default|echo|local|next|self|nil|None|true|false)\b"
)
_BULLET = re.compile(r"\s*(?:[-*+•]|\d+[.)]|>|#{1,6}) ")


def is_prose(line: str, spoken: Language) -> bool:
    """Whether a line reads as a sentence and not as code."""
    if line.startswith(("    ", "\t")):
        return False
    bare = line.strip()
    marks = (spoken.line_comment, *(spoken.block_comment or ()))
    if bare.startswith(tuple(filter(None, marks)) or ("\0",)):
        return False
    bullet = _BULLET.match(line)
    if bullet is not None:
        bare = line[bullet.end() :].strip()
    words = re.findall(r"[A-Za-z'’]{2,}|\b[IaA]\b", bare)
    if len(words) == 1 and spoken.is_called(bare):
        return False
    if STATEMENT.match(bare) and not bare[:1].isupper():
        return False
    # Names and remarks within a sentence are no sign of code.
    plain = re.sub(r"`[^`]*`|(?<=\s)\([^()]*\)|\*\*", "", bare)
    if len(words) < 2:
        return bool(words) and bare.endswith((":", "!", ".")) and bare[0].isupper() and not CODE_SIGN.search(plain[:-1])
    if CODE_SIGN.search(plain) is None:
        return True
    letters = sum(len(word) for word in re.findall(r"[A-Za-z]+[,.;:]?(?=\s|$)", plain))
    return (
        bare[0].isupper() and bare[-1] in ".:!?" and len(words) > 3 and letters * 10 > 7 * len(plain.replace(" ", ""))
    )
