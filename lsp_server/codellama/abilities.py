"""What a checkpoint can do, read from its vocabulary, config and chat template, never from its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from . import infilling
from .checkpoint import MOST_SIZE, whole_number
from .dialog import ChatFormat
from .infilling import InfillTokens, Layout
from .vocabulary import Vocabulary

ChatSetting = Literal["auto", "inst", "source-step", "template"]

STEP = "<step>"
CODE_LLAMA_CONTEXT = 16384
STEP_CONTEXT = 4096
"""70B-Instruct was not tuned to 16K, whatever its config says (codellama issue 188)."""
UNKNOWN_CONTEXT = 4096
_SHAPE_70B = (8192, 80)


@dataclass(frozen=True)
class Abilities:
    """What a checkpoint can do."""

    infilling: bool
    infilling_reason: str
    """Why it does not infill, in one sentence; "" where it does."""
    layouts: tuple[Layout, ...]
    """Orders of an infilling prompt that it knows; () where it does not infill."""
    chat: bool
    chat_format: ChatFormat | Literal[""]
    """The format `dialog_ids` writes; "" where there is none."""
    chat_reason: str
    """Why it should not be asked to chat, in one sentence; "" where it can."""
    context_length: int
    """Tokens of prompt and answer together."""
    model_type: str
    """As config.json has it, e.g. "llama"; "" where nothing says."""


def read_abilities(
    vocabulary: Vocabulary,
    config: Mapping[str, Any],
    template: str | None,
    tokens: InfillTokens | None,
    step: int | None,
    *,
    infilling_setting: infilling.Setting,
    chat_setting: ChatSetting,
) -> Abilities:
    """The abilities of a checkpoint with this config.json and chat template.

    `tokens`: its infilling tokens; `step`: the id of `<step>`; both None where the vocabulary has none.
    """
    is_code_llama = tokens is not None and infilling.CODE_LLAMA.prefix in vocabulary.control
    is_70b = step is not None or (config.get("hidden_size"), config.get("num_hidden_layers")) == _SHAPE_70B
    against = infilling.reason_against(tokens, infilling_setting, is_70b and is_code_llama)
    chat_format, chat_reason = _chat(vocabulary, template, step, chat_setting)
    return Abilities(
        infilling=not against,
        infilling_reason=against,
        layouts=tokens.layouts if tokens and not against else (),
        chat=not chat_reason,
        chat_format=chat_format,
        chat_reason=chat_reason,
        context_length=_context_length(config, step is not None, is_code_llama),
        model_type=_model_type(config) or ("llama" if vocabulary.llama_like else ""),
    )


def _chat(
    vocabulary: Vocabulary, template: str | None, step: int | None, setting: ChatSetting
) -> tuple[ChatFormat | Literal[""], str]:
    """The chat format, and why not to use it ("" where nothing speaks against it)."""
    if setting == "source-step" and step is None:
        return "", 'The vocabulary has no <step> token; set `codellama.chatFormat` to "auto".'
    if setting == "template" and template is None:
        return "", 'The checkpoint has no chat template; set `codellama.chatFormat` to "auto".'
    if setting != "auto":
        return setting, ""
    if step is not None:
        return "source-step", ""
    # Mistral's templates have [INST] too, but differ in spaces and, later, in making it a token of its own.
    if vocabulary.llama_like and template is not None and "[INST]" in template and "<<SYS>>" in template:
        return "inst", ""
    if template is not None:
        return "template", ""
    if vocabulary.llama_like:
        return "inst", (
            "This checkpoint has no chat template, so it is not known to be an Instruct variant; "
            'set `codellama.chatFormat` to "inst" if it is.'
        )
    return "", "This checkpoint has no chat template, so it cannot chat; use an Instruct variant."


def _model_type(config: Mapping[str, Any]) -> str:
    given = config.get("model_type")
    return given if isinstance(given, str) else ""


def _context_length(config: Mapping[str, Any], has_step: bool, is_code_llama: bool) -> int:
    text = config.get("text_config")
    source = text if isinstance(text, dict) else config
    known = whole_number(source, "max_position_embeddings", MOST_SIZE, "config.json")
    if has_step:
        # The 70B repositories first said 2048, which was a slip; a small model of this vocabulary may mean it.
        is_70b = (config.get("hidden_size"), config.get("num_hidden_layers")) == _SHAPE_70B
        return STEP_CONTEXT if known is None or is_70b else min(known, STEP_CONTEXT)
    return known or (CODE_LLAMA_CONTEXT if is_code_llama else UNKNOWN_CONTEXT)
