"""Which regular expressions of a foreign tokenizer are safe to run: those whose time grows with the text, not faster.

They are run by a library that goes back and forth for as long as a pattern makes it (or gives up in a panic), and what
a pattern does depends on the user's text, so that no trial shows it. It is read from the pattern instead: in each of
its alternatives nothing may be missing after the first character that is repeated, so there is nothing to go back for.
Nearly all that models use is of this form; what else is well known stands here as it is.
"""

from __future__ import annotations

import re

_MOST_CHARACTERS = 512

_ESCAPE = r"\\(?:[pP]\{\^?\w{1,20}\}|[dDsSwWrntfv]|[^\w\s])"
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^\[\]\\])+\]"
_CHARACTER = r"[^\\\[\](){}|?*+.^$]"
_ENDINGS = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)", "'(?:[sdmt]|ll|ve|re)")
# One character or English ending, and how often: what follows is neither lazy nor possessive.
_PART = re.compile(
    rf"(?:{_ESCAPE}|{_CLASS}|{_CHARACTER}|(?P<ending>{'|'.join(map(re.escape, _ENDINGS))}))"
    r"(?P<times>[?*+]|\{\d(?:,\d?)?\})?(?![?*+{])"
)
# White space that looks at what comes after it: harmless where `\s+`, later, takes what these do not.
_SPACES = re.compile(r"(?:\\s\*\[\\r\\n\]\+?|\\s\+\(\?!\\S\))(?=\||\Z)")
_ALL_SPACES = r"\s+"

_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _by_case(ending: str, digits: str) -> str:
    """Words that begin in capitals or end in small letters: the two alternatives together take what either fails at."""
    first = rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{ending}"
    return rf"{first}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{ending}|{digits}|{_REST}"


_KNOWN = frozenset(
    {
        _by_case(_ENDINGS[0] + "?", r"\p{N}{1,3}"),  # GPT-4o, and several after it
        _by_case("", r"\p{N}"),  # Mistral's since 2024
        _by_case("", r"\p{N}{1,3}"),
        " ?[^(\\s|[.,!?…。，、।۔،])]+",  # Bloom
    }
)


def is_linear(pattern: str) -> bool:
    """Whether the time that `pattern` takes grows in proportion to the text, whatever that is."""
    if pattern in _KNOWN:
        return True
    if not pattern or len(pattern) > _MOST_CHARACTERS or "&&" in pattern:
        return False
    at, open_spaces = 0, False
    while at <= len(pattern):
        start = at
        if spaces := _SPACES.match(pattern, at):
            at, open_spaces = spaces.end(), True
        else:
            times: list[str] = []
            while at < len(pattern) and pattern[at] != "|":
                part = _PART.match(pattern, at)
                if part is None or (part["ending"] and part["times"] not in (None, "?")):
                    return False
                times.append(part["times"] or "")
                at = part.end()
            if not _never_goes_back(times):
                return False
            open_spaces = open_spaces and pattern[start:at] != _ALL_SPACES
        at += 1  # the bar between two alternatives
    return not open_spaces


def _never_goes_back(times: list[str]) -> bool:
    """Whether a sequence of characters, each so often, is found or not in one go.

    One of them may be there or not before the first that is repeated without a limit; after that, all may be missing.
    """
    endless = next((at for at, each in enumerate(times) if each in ("*", "+") or each.endswith(",}")), len(times))
    return sum(map(bool, times[:endless])) <= 1 and all(each in ("*", "?") for each in times[endless + 1 :])
