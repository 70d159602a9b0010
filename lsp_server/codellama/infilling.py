"""Infilling: the control tokens a vocabulary names for it, and the order of a prompt."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from .errors import CheckpointError, InfillingUnsupported

Layout = Literal["psm", "spm"]
Setting = Literal["auto", "on", "off"]
LAYOUTS: tuple[Layout, ...] = ("psm", "spm")


class _Names(NamedTuple):
    """How one family of models spells its infilling tokens."""

    prefix: str
    suffix: str
    middle: str
    end: str | None = None


CODE_LLAMA = _Names("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>")
OTHERS = (
    _Names("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma, Granite 3 and later
    _Names("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder2, Granite Code
    _Names("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    _Names("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder: the third ends the *prompt*
)

DOCUMENT_ENDS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
    "<|file_separator|>",
    "<|file_sep|>",
    "<file_sep>",
    "<|repo_name|>",
    "<repo_name>",
    "<|fim_pad|>",
    "<fim_pad>",
    "<|EOT|>",
    "<|im_end|>",
    "<end_of_turn>",
)
"""Tokens that models write where a document, and so an infill, is over; Qwen2.5-Coder's README names several."""


# Where a checkpoint does not say otherwise: other files raise the exact completions of Code Llama 7B and 13B by a
# quarter and more (https://arxiv.org/abs/2609.01601).
RELATED_TOKENS = 512


@dataclass(frozen=True)
class InfillTokens:
    """Ids of the infilling tokens of one checkpoint, and the layouts it was trained on.

    `one_line_bias`: what is added to the end's logit where one line is asked for, which a small model is slow to end.
    `min_probability`: a line that this checkpoint finds less probable is seldom right. `related_tokens`: so many of
    other files in front of the code are worth their time.
    """

    prefix: int
    suffix: int
    middle: int
    end: int | None
    layouts: tuple[Layout, ...]
    one_line_bias: float = 0.0
    min_probability: float = 0.0
    related_tokens: int = RELATED_TOKENS

    @property
    def ids(self) -> tuple[int, ...]:
        """All of them, the end first."""
        end = () if self.end is None else (self.end,)
        return (*end, self.prefix, self.suffix, self.middle)


def find_tokens(id_of: Callable[[str], int | None], own: Mapping[str, Any]) -> InfillTokens | None:
    """The infilling tokens of a vocabulary; None where it names none.

    `own` is the checkpoint's infilling.json, {"prefix", "suffix", "middle", "end"?, "layouts"?, "one_line_bias"?,
    "min_probability"?, "related_tokens"?}, with which a checkpoint names tokens of its own. Raises CheckpointError
    where that file is wrong.
    """
    if own:
        named = {key: own.get(key) for key in ("prefix", "suffix", "middle", "end")}
        ids = {key: id_of(token) if isinstance(token, str) else None for key, token in named.items()}
        for key, token in named.items():
            if ids[key] is None and (token is not None or key != "end"):
                raise CheckpointError(
                    f"infilling.json names {reprlib.repr(token)} as the {key} token, which the vocabulary does not "
                    "have; name one that it has, or remove the file."
                )
        wanted = own.get("layouts", ["psm"])
        layouts = tuple(each for each in LAYOUTS if isinstance(wanted, list) and each in wanted)
        if not layouts:
            raise CheckpointError('infilling.json should give "layouts" as a list of "psm" and "spm".')
        bias = own.get("one_line_bias", 0.0)
        if type(bias) not in (int, float) or not abs(bias) <= 100:  # NaN is neither more nor less
            raise CheckpointError('infilling.json should give "one_line_bias" as a number from -100 to 100.')
        least = own.get("min_probability", 0.0)
        if type(least) not in (int, float) or not 0 <= least < 1:
            raise CheckpointError('infilling.json should give "min_probability" as a number from 0 to 1.')
        related = own.get("related_tokens", RELATED_TOKENS)
        if type(related) is not int or not 0 <= related <= 8192:
            raise CheckpointError('infilling.json should give "related_tokens" as a whole number from 0 to 8192.')
        tokens = _tokens(ids["prefix"], ids["suffix"], ids["middle"], ids["end"], layouts)
        return replace(tokens, one_line_bias=bias, min_probability=least, related_tokens=related)
    for names in (CODE_LLAMA, *OTHERS):
        prefix, suffix, middle = id_of(names.prefix), id_of(names.suffix), id_of(names.middle)
        if prefix is not None and suffix is not None and middle is not None:
            end = id_of(names.end) if names.end else None
            # The others document prefix-suffix-middle only, and differ in what they mean by the other order.
            return _tokens(prefix, suffix, middle, end, LAYOUTS if names is CODE_LLAMA else ("psm",))
    return None


def _tokens(
    prefix: int | None, suffix: int | None, middle: int | None, end: int | None, layouts: tuple[Layout, ...]
) -> InfillTokens:
    assert prefix is not None
    assert suffix is not None
    assert middle is not None
    return InfillTokens(prefix, suffix, middle, end, layouts)


def reason_against(tokens: InfillTokens | None, setting: Setting, is_70b: bool) -> str:
    """Why this checkpoint should not infill, in one sentence; "" where it should.

    7B and 13B were trained to infill. Of 70B Meta's documents disagree (README against model card), so it has to be
    asked for; the tokens being there says nothing, as all 70B variants share a vocabulary.
    """
    if tokens is None:
        return "This model's vocabulary has no infilling tokens, so it only sees the code before the cursor."
    if setting == "off":
        return "Infilling is switched off by the setting `codellama.infilling`."
    if setting == "auto" and is_70b:
        return (
            "Sources disagree on whether 70B was trained to infill, so it is off; "
            'set `codellama.infilling` to "on" to try it.'
        )
    return ""


def prompt_ids(
    tokens: InfillTokens, bos: int | None, prefix: list[int], suffix: list[int], layout: Layout
) -> list[int]:
    """The prompt in Meta's order (facebookresearch/codellama, llama/generation.py: infilling_prompt_tokens).

    `prefix` and `suffix` are ids of the code before and after the cursor, the suffix without an implicit space.
    Raises InfillingUnsupported where the model does not know the layout.
    """
    if layout not in tokens.layouts:
        known = " and ".join(tokens.layouts)
        raise InfillingUnsupported(f"This model was not trained on the layout {layout!r}, only on {known}.")
    start = [] if bos is None else [bos]
    if layout == "psm":
        return [*start, tokens.prefix, *prefix, tokens.suffix, *suffix, tokens.middle]
    return [*start, tokens.prefix, tokens.suffix, *suffix, tokens.middle, *prefix]
