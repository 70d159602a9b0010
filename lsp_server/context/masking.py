"""Values that look like keys or passwords: what stands in a text in their place when it goes to another machine.

A mask is as long as what it stands for and leaves line endings and white space alone, so that every place in the text
is where it was. Pure functions; what files are secret as a whole is the matter of `secret_names`.
"""

from __future__ import annotations

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Iterator

MASK = "*"

# Forms that their makers publish; see each one's documentation of its tokens.
_KNOWN = re.compile(
    r"""
    \b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b                       # Amazon
    | \bgh[pousr]_[A-Za-z0-9]{30,} | \bgithub_pat_\w{22,}         # GitHub
    | \bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\w-]{20,}                # GitLab
    | \bxox[abeprs]-[\w-]{10,} | \bxapp-\d-[\w-]{10,}             # Slack
    | (?<=hooks\.slack\.com/services/)[\w/]{20,}
    | \b(?:sk|rk|pk)_(?:live|test)_\w{16,} | \bwhsec_\w{16,}      # Stripe
    | \bsk-[A-Za-z0-9_-]{20,}                                     # OpenAI, Anthropic
    | \bAIza[\w-]{35} | \bya29\.[\w-]{20,} | \bGOCSPX-[\w-]{20,}  # Google
    | \bnpm_[A-Za-z0-9]{36}\b | \bpypi-[\w-]{40,} | \bhf_[A-Za-z0-9]{30,} | \brubygems_[0-9a-f]{48}
    | \bSG\.[\w-]{16,}\.[\w-]{16,} | \bkey-[0-9a-f]{32}\b         # SendGrid, Mailgun
    | \bdop_v1_[0-9a-f]{64} | \bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}                        # JSON web tokens
    """,
    re.VERBOSE,
)
# What all of them are, which is rare in code and quickly found.
_LONG = re.compile(r"[\w.+/=-]{15,}")
_DIGIT = re.compile(r"\d")
# Lines of a key, also as texts of a program; the last one may be short.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:\s*[\w-]+:[^\n]*\n)*"
    r"((?:(?:[\s\"'+,()]|\\[nr])*[A-Za-z0-9+/=]{16,})+(?:(?:[\s\"'+,()]|\\[nr])*[A-Za-z0-9+/=]+(?=[\s\"'\\nr]*-----END))?)"
)
_PRIVATE_KEY_END = re.compile(r"\A((?:[A-Za-z0-9+/=]+\s+)*)-----END [A-Z0-9 ]*PRIVATE KEY")
# Lines of such a key of which neither the beginning nor the end is in sight: as long as OpenSSL and OpenSSH make them.
_KEY_LINES = re.compile(r"^(?:[A-Za-z0-9+/]{64}\n){3,}|^(?:[A-Za-z0-9+/]{70}\n){3,}", re.MULTILINE)
_IN_URL = re.compile(r"(?<=://)[^\s:/@'\"<>{}$%]*:([^\s/@'\"<>{}$%*]{3,})@")
# The following are looked for in small letters, which are found ten times as fast as letters in any case.
_SMALL = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_HEADER = re.compile(r"(?:bearer|basic)[ \t]+([a-z0-9+/=._~-]{16,})")
# A name that says that its value is secret, or the end of one.
_NAME = re.compile(
    "(?:api|access|secret|private|auth|encryption|signing|account|master|client)[_-]?key"
    "|pass(?:word|wd|phrase)|pwd|secret|token|credential|connection[_-]?string"
)
# What follows on the name: `="..."`, `: str = '...'`, `"] => "..."`, and so on.
_GIVEN = re.compile(
    r"s?(?:_?\d+)?[\"'`]?\]?[ \t]*(?::[ \t]*[\w.]+[ \t]*)?(?:=>|:=|\?=|=(?!=)|:(?!:))[ \t]*"
    r"(?:[rbufRBUF]{1,2}(?=[\"']))?"
    r"(?:\"(?P<double>[^\"\n]{6,})(?:\"|$)|'(?P<single>[^'\n]{6,})(?:'|$))",
    re.MULTILINE,
)
# Or `NAME=value` alone on a line, as in shells and files of settings, and `name: value`.
_BARE = re.compile(r"s?(?:_?\d+)?(?:=|:[ \t]+)(?P<value>[^\s\"'()\[\]{}<>,;$]{8,})[ \t]*$", re.MULTILINE)
_BARE_BEFORE = re.compile(r"[ \t]*(?:(?:export|set|env|-)[ \t]+)?[\w.-]*")
_QUOTED = re.compile(r"([\"'`])([A-Za-z0-9+/=_-]{24,})\1")
# What stands where a value is to be put.
_PLACEHOLDER = re.compile(
    r"[{<$%\[(]|\.\.\.|\*\*|xxx|your[_ -]?|changeme|change_me|example|placeholder|dummy|redacted|\bnone\b|null",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"pass|pwd|credential", re.IGNORECASE)
_TYPE = re.compile(r"(?:u?int|float|bytes|str|string)\d*(?:_t)?", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without such values."""
    return around(text, "")[0]


def around(prefix: str, suffix: str) -> tuple[str, str]:
    """(prefix, suffix) without such values, also where the cursor stands in one."""
    text = prefix + suffix
    found = sorted(spans(text))
    if not found:
        return prefix, suffix
    parts, at = [], 0
    for start, end in found:
        parts += [text[at:start], re.sub(r"\S", MASK, text[max(at, start) : end])]
        at = max(at, end)
    text = "".join([*parts, text[at:]])
    return text[: len(prefix)], text[len(prefix) :]


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where such values begin and end, in no order; they may overlap. Under a millisecond for a window."""
    yield from _by_form(text)
    small = text.translate(_SMALL)
    for match in _HEADER.finditer(small):
        if _mixed(match[1]) and not _PLACEHOLDER.search(match[1]):
            yield match.span(1)
    for name in _NAME.finditer(small):
        if given := _GIVEN.match(text, name.end()):
            group = "double" if given["double"] else "single"
            if _is_secret(name[0], given[group]):
                yield given.span(group)
        elif bare := _BARE.match(text, name.end()):
            value, start = bare["value"], text.rfind("\n", 0, name.start()) + 1
            named = _BARE_BEFORE.fullmatch(small, start, name.start())
            if named and _mixed(value) and not _PLACEHOLDER.search(value) and not _TYPE.fullmatch(value):
                yield bare.span("value")


def _by_form(text: str) -> Iterator[tuple[int, int]]:
    """Those that can be told by their form, whatever they are called."""
    for run in _LONG.finditer(text):
        if _DIGIT.search(run[0]):
            for match in _KNOWN.finditer(text, *run.span()):
                yield match.span()
    if "PRIVATE KEY" in text:
        for pattern in (_PRIVATE_KEY, _PRIVATE_KEY_END):
            for match in pattern.finditer(text):
                yield match.span(1)
    for match in _KEY_LINES.finditer(text):
        yield match.span()
    for match in _IN_URL.finditer(text):
        yield match.span(1)
    for match in _QUOTED.finditer(text):
        if _is_random(match[2]):
            yield match.span(2)


def _is_secret(name: str, value: str) -> bool:
    """Whether a value in quotes is one that a name like that should hide, and not a word about it."""
    if _PLACEHOLDER.search(value) or (name in value.translate(_SMALL) and not _DIGIT.search(value)):
        return False
    if _PASSWORD.search(name):
        return " " not in value and not value.endswith((":", "_"))
    return len(value) >= 8 and " " not in value and _mixed(value)


def _mixed(value: str) -> bool:
    """Whether there are letters and digits, and no word with a number behind it."""
    return bool(re.search(r"[A-Za-z]", value)) and bool(re.search(r"\d.*[A-Za-z]", value))


def _is_random(value: str) -> bool:
    """Whether nobody wrote it: letters in both cases and digits, often one after the other, and few twice."""
    if not (re.search(r"[a-z]", value) and re.search(r"[A-Z]", value)):
        return False
    changes = len(re.findall(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]", value))
    in_order = sum(ord(b) - ord(a) == 1 for a, b in itertools.pairwise(value))
    return changes >= max(4, len(value) // 12) and in_order < len(value) / 8 and _entropy(value) >= 4.0


def _entropy(value: str) -> float:
    """Bits for each character (Shannon)."""
    count = len(value)
    return -sum(each / count * math.log2(each / count) for each in Counter(value).values())
