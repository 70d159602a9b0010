"""Whether a suggestion is worth showing, and which part of it: nothing that the user would have to delete again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from lsp_server.completion.filtering import balance, characters, depth, fitting, parsing, prose, repeating
from lsp_server.completion.stopping import Place

_NOTHING = "The model had nothing to add here."
_WORDS = "The model wrote words for people where code belongs."
_AGAIN = "The model only repeated itself."
_THERE = "What the model wrote is there already."
_UNBALANCED = "What the model wrote would not fit the brackets and quotes around it."
_BROKEN = "With what the model wrote the file would no longer parse."
# A filter may make room for one before it, but no more often than this.
MOST_ROUNDS = 4
# Characters of an answer that are looked at: more than a screen of code has.
LONGEST = 8000


@dataclasses.dataclass(frozen=True)
class Filter:
    """`apply` gives the part of a text that is worth showing at a place; where nothing is left, `reason` says why."""

    apply: Callable[[str, Place], str]
    reason: str


# What a model wrote goes through these in this order, until none of them finds anything.
FILTERS = (
    Filter(characters.without_invisible, _NOTHING),
    Filter(prose.without_prose, _WORDS),
    Filter(repeating.without_line_begun, _THERE),
    Filter(depth.at_own_depth, _NOTHING),
    Filter(depth.as_the_file_indents, _NOTHING),
    Filter(repeating.once, _AGAIN),
    Filter(repeating.without_loop, _AGAIN),
    Filter(prose.without_noise, _WORDS),
    Filter(parsing.without_next_definition, _NOTHING),
    Filter(characters.without_trailing_blanks, _NOTHING),
    Filter(repeating.without_lines_above, _THERE),
    Filter(repeating.without_lines_below, _THERE),
    Filter(balance.in_front_of_rest, _THERE),
    Filter(fitting.fitted_in, _UNBALANCED),
    Filter(balance.with_strings_closed, _UNBALANCED),
    Filter(balance.balanced, _UNBALANCED),
    Filter(characters.without_trailing_blanks, _NOTHING),
    Filter(parsing.parsing, _BROKEN),
)
# Of a suggestion that was shown and is typed along, what still fits where the editor has closed something since.
FITTING = (
    balance.in_front_of_rest,
    balance.balanced,
    characters.without_trailing_blanks,
)


def tidy(text: str, here: Place, *, finished: bool, control: Collection[str] = ()) -> tuple[str, str]:
    """The part of a generated `text` that is worth showing at `here`, or "" and the reason as one sentence.

    `finished`: whether it came to its own end; otherwise its last word or line may be half a one. `control`: names of
    the model's control tokens.
    """
    text, finished = characters.line_endings(text[:LONGEST]), finished and len(text) <= LONGEST
    whole = characters.without_control_text(text, here, control)
    if not finished and text.endswith(whole):
        whole = parsing.without_loose_end(whole, here)
    if not whole.strip():
        return "", _NOTHING
    for _ in range(MOST_ROUNDS):
        before = whole
        whole = characters.without_control_text(whole, here, control)  # of which half a name may be left
        for each in FILTERS:
            whole = each.apply(whole, here)
            if not whole.strip():
                return "", each.reason
        if whole == before:
            break
    return whole, ""


def fitted(text: str, here: Place) -> str:
    """The part of `text` that repeats nothing that stands right of the cursor, and fits the brackets around it."""
    for apply in FITTING:
        text = apply(text, here)
    return text
