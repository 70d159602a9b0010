"""The tokenizer of one checkpoint: prompts as exact token ids, and generated ids as exact text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import dialog, infilling
from .abilities import STEP, Abilities, ChatSetting, read_abilities
from .checkpoint import MOST_SIZE, CheckpointFiles, read_files, whole_number
from .errors import CheckpointError, DialogError, InfillingUnsupported
from .infilling import RELATED_TOKENS, InfillTokens, Layout
from .renderer import render
from .stream import StreamDecoder
from .template import template_ids
from .vocabulary import Vocabulary, read_vocabulary


@dataclass(frozen=True, eq=False)
class CodeLlamaTokenizer:
    """Made by `from_pretrained`. Text of the user never becomes a control token."""

    vocabulary: Vocabulary
    abilities: Abilities
    bos_id: int | None
    """The id every prompt starts with; None where the model has none."""
    eos_ids: tuple[int, ...]
    infill_tokens: InfillTokens | None
    step_id: int | None
    """The id of `<step>`, which ends a message in the 70B format."""
    template: str | None
    special: Mapping[str, str]

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        infilling: infilling.Setting = "auto",
        chat_format: ChatSetting = "auto",
    ) -> CodeLlamaTokenizer:
        """The tokenizer of the checkpoint folder `path`, which holds a tokenizer.json or a tokenizer.model.

        config.json, tokenizer_config.json and the like are read where they are there. `infilling` and `chat_format`
        are the settings of these names. Raises CheckpointError where a file is missing or broken.
        """
        return _read(read_files(path), infilling, chat_format)

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return self.vocabulary.size

    def encode(self, text: str) -> list[int]:
        """Ids of the beginning of a text, with the implicit leading space of vocabularies that have one, no BOS."""
        return self.vocabulary.encode(text, leading_space=True)

    def encode_raw(self, text: str) -> list[int]:
        """Ids of a text that continues another, or of a suffix: without the implicit leading space."""
        return self.vocabulary.encode(text, leading_space=False)

    def completion_ids(self, text: str) -> list[int]:
        """The prompt of a plain completion: BOS, if the model uses one, and the text."""
        return ([] if self.bos_id is None else [self.bos_id]) + self.encode(text)

    def infill_ids(self, prefix: str, suffix: str, layout: Layout = "psm") -> list[int]:
        """The prompt that asks for the code between `prefix` and `suffix`, with BOS.

        `layout`: "psm" for prefix, suffix, middle; "spm" for the suffix first. Raises InfillingUnsupported with the
        reason where the checkpoint cannot. Source: infilling_prompt_tokens in Meta's llama/generation.py.
        """
        if self.infill_tokens is None or not self.abilities.infilling:
            raise InfillingUnsupported(self.abilities.infilling_reason)
        return infilling.prompt_ids(
            self.infill_tokens, self.bos_id, self.encode(prefix), self.encode_raw(suffix), layout
        )

    def dialog_ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt that asks for the next answer of a dialog, [{"role", "content"}, ...], in the model's format.

        Raises DialogError where the dialog breaks a rule or the checkpoint has no chat format. A checkpoint's own
        template is rendered in another process, see `renderer`.
        """
        turns = dialog.checked_turns(messages)
        try:
            match self.abilities.chat_format:
                case "inst":
                    return dialog.inst_ids(turns, self.encode, self.bos_id, next(iter(self.eos_ids), None))
                case "source-step" if self.step_id is not None:
                    return dialog.source_step_ids(turns, self.encode_raw, self.bos_id, self.step_id)
                case "template" if self.template is not None:
                    return template_ids(turns, self.template, self.special, self.vocabulary, render)
        except CheckpointError as error:  # a text that the vocabulary cannot take
            raise DialogError(str(error)) from error
        raise DialogError(self.abilities.chat_reason)

    @property
    def infill_stop_ids(self) -> tuple[int, ...]:
        """Ids that end an infill; what comes after them is not part of it. The one the model was taught comes first."""
        return _distinct(self._infill_ids, self.eos_ids, self._known(infilling.DOCUMENT_ENDS))

    @property
    def completion_stop_ids(self) -> tuple[int, ...]:
        """Ids that end a plain completion."""
        return _distinct(self.eos_ids, self._infill_ids, self._known(infilling.DOCUMENT_ENDS))

    @property
    def dialog_stop_ids(self) -> tuple[int, ...]:
        """Ids that end an answer."""
        step = (self.step_id,) if self.abilities.chat_format == "source-step" and self.step_id is not None else ()
        return _distinct(step, self.eos_ids, self._known(dialog.TURN_ENDS))

    def infill_bias(self, *, one_line: bool) -> dict[int, float]:
        """What is added to the logits in an infill, by id. `one_line`: whether one line is asked for."""
        tokens = self.infill_tokens
        if not one_line or tokens is None or tokens.end is None or not tokens.one_line_bias:
            return {}
        return {tokens.end: tokens.one_line_bias}

    @property
    def related_tokens(self) -> int:
        """So many tokens of other files are worth their time in front of the code."""
        return self.infill_tokens.related_tokens if self.infill_tokens else RELATED_TOKENS

    @property
    def min_probability(self) -> float:
        """A line that this checkpoint finds less probable is seldom right; 0: not known."""
        return self.infill_tokens.min_probability if self.infill_tokens else 0.0

    @property
    def dialog_bias(self) -> dict[int, float]:
        """What is added to the logits in an answer, by id: the infilling tokens, with which a model would break it off,
        are ruled out."""
        return dict.fromkeys(self._infill_ids, -100.0)

    @property
    def _infill_ids(self) -> tuple[int, ...]:
        return self.infill_tokens.ids if self.infill_tokens else ()

    def decode(self, ids: Iterable[int]) -> str:
        """The exact text of generated ids: leading spaces are kept, control ids never shown (but 32000..32006,
        fragments of their names that occur in ordinary code, are). Bytes that are no character become U+FFFD."""
        decoder = self.decoder()
        return decoder.push(ids) + decoder.flush()

    def shown(self, ids: Iterable[int]) -> str:
        """The text of a prompt for people to read, with its control tokens visible."""
        parts, run = [], list[int]()
        for each in ids:
            if each in self.vocabulary.control_ids:
                parts += [self.decode(run), self.vocabulary.name_of(each)]
                run = []
            else:
                run.append(each)
        return "".join([*parts, self.decode(run)])

    def decoder(self) -> StreamDecoder:
        """A decoder for ids that arrive in pieces."""
        return StreamDecoder(self.vocabulary.bytes_of, each_byte=self.vocabulary.llama_like)

    def _known(self, tokens: Iterable[str]) -> tuple[int, ...]:
        control = self.vocabulary.control
        return tuple(control[token].id for token in tokens if token in control)


def _read(
    files: CheckpointFiles, infilling_setting: infilling.Setting, chat_setting: ChatSetting
) -> CodeLlamaTokenizer:
    vocabulary = read_vocabulary(files)
    config = files.folder / "config.json"
    model_size = whole_number(files.config, "vocab_size", MOST_SIZE, config) or vocabulary.size
    if model_size < vocabulary.text_size:
        raise CheckpointError(
            f"{config} gives a vocabulary of {model_size}, but the tokenizer has "
            f"{vocabulary.text_size} pieces; they belong to different models: download the checkpoint again."
        )

    def id_of(token: str) -> int | None:
        # Tokens beyond the model's embedding do not exist for it: 34B repositories add infilling tokens that way.
        found = vocabulary.id_of(token)
        return found if found is not None and found < model_size else None

    special = dict(files.special)
    if vocabulary.llama_like:
        for name, usual in (("bos_token", "<s>"), ("eos_token", "</s>")):
            if usual in vocabulary.control:
                special.setdefault(name, usual)
    bos = special.get("bos_token")
    uses_bos = files.tokenizer.get("add_bos_token")
    if not isinstance(uses_bos, bool):
        uses_bos = vocabulary.starts_with_bos or vocabulary.llama_like
    tokens = infilling.find_tokens(id_of, files.infilling)
    step = id_of(STEP)
    return CodeLlamaTokenizer(
        vocabulary=vocabulary,
        abilities=read_abilities(
            vocabulary,
            files.config,
            files.template,
            tokens,
            step,
            infilling_setting=infilling_setting,
            chat_setting=chat_setting,
        ),
        bos_id=id_of(bos) if bos and uses_bos else None,
        eos_ids=_eos_ids(files, vocabulary, special),
        infill_tokens=tokens,
        step_id=step,
        template=files.template,
        special=special,
    )


def _eos_ids(files: CheckpointFiles, vocabulary: Vocabulary, special: Mapping[str, str]) -> tuple[int, ...]:
    """The ends of text that the files name. Ids of ordinary pieces are not believed: a config that leaves the id out
    reads as 2, which in another vocabulary may be a letter."""
    named: list[object] = [vocabulary.id_of(special["eos_token"])] if "eos_token" in special else []
    for source in (files.generation, files.config):
        given = source.get("eos_token_id")
        named += given if isinstance(given, list) else [given]
    return _distinct([each for each in named if type(each) is int and each in vocabulary.control_ids])


def _distinct(*groups: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(each for group in groups for each in group))
