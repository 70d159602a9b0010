"""Every setting, once, with its documentation.

An editor sends them as JSON, by `initializationOptions` or `workspace/configuration` (section `codellama`), under the
camelCase form of the names here: `max_tokens` is `codellama.maxTokens`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

SECTION = "codellama"


Restarts = Literal["nothing", "client", "engine"]


def _setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    restarts: Restarts = "nothing",
    secret: bool = False,
) -> Any:
    """A dataclass field with its documentation, bounds and what a change of it restarts (see `restarts`); a list or
    dict default is copied for each instance. `secret`: no message shows its value."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "restarts": restarts, "secret": secret}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user can set. Field metadata holds the documentation that editors show."""

    enabled: bool = _setting(True, "Whether suggestions are shown at all.")
    disabled_languages: list[str] = _setting([], "Language ids in which no suggestion is shown, e.g. `markdown`.")
    model: str = _setting(
        "starter",
        "The model: a hub id such as `codellama/CodeLlama-7b-hf`, the folder of a checkpoint, a GGUF file, or "
        "`starter`, a small model that runs on a laptop.",
        restarts="client",
    )
    engine_url: str = _setting(
        "",
        "The URL of an OpenAI-compatible server, such as vLLM, that serves the model, e.g. `http://gpu-box:8000`. "
        "Several, with white space or commas between them: each request goes to the one that is there and has least "
        "to do. Empty: the model runs on this machine. Your code is sent there.",
        restarts="client",
        secret=True,  # a password may be in it
    )
    engine_token: str = _setting(
        "",
        "The bearer token that the server at `engineUrl` asks for; it is sent to the address that it was set along "
        "with. Or for each server its address, a space and its token: then it is sent nowhere else.",
        restarts="client",
        secret=True,
    )
    allow_plain_http: bool = _setting(
        False,
        "Whether a token or password may be sent to another machine by plain `http`, where others on the way can read "
        "it.",
        restarts="client",
    )
    ca_file: str = _setting(
        "",
        "With `engineUrl`: a file with the certificate, in PEM form, of who vouches for the server, where the system "
        "does not know them; for a self-signed certificate, the file of that.",
        restarts="client",
    )
    remote_model: str = _setting(
        "",
        "With `engineUrl`: what the server calls the model. Empty: the one named like `model` or `tokenizer`, or the "
        "only one that it has.",
        restarts="client",
    )
    first_token_seconds: float = _setting(
        120,
        "With `engineUrl`: how many seconds the server may take until an answer begins.",
        minimum=1,
        maximum=3600,
        restarts="client",
    )
    next_token_seconds: float = _setting(
        30,
        "With `engineUrl`: how many seconds the server may be silent in the middle of an answer.",
        minimum=1,
        maximum=3600,
        restarts="client",
    )
    tokenizer: str = _setting(
        "",
        "With `engineUrl`: the checkpoint folder or hub id that has the served model's tokenizer. Empty: that of "
        "`model`.",
        restarts="client",
    )
    chat_model: str = _setting(
        "",
        "The model for chat and code actions, named like `model`, where it is another one. It runs on this machine "
        "beside that of the suggestions, in the memory which that leaves, unless `chatEngineUrl` or `chatRemoteModel` "
        "says that a server has it. Empty: one model does all.",
        restarts="client",
    )
    chat_engine_url: str = _setting(
        "",
        "The URL of the server that has the model for chat and code actions, or several, as in `engineUrl`. Your code "
        "is sent there. The token in `engineToken` goes there only where its address says so, or where it is the same "
        "server.",
        restarts="client",
        secret=True,
    )
    chat_remote_model: str = _setting(
        "",
        "What the server calls the model for chat and code actions: that at `chatEngineUrl`, or without it the one at "
        "`engineUrl`.",
        restarts="client",
    )
    chat_tokenizer: str = _setting(
        "",
        "With a server for chat: the checkpoint folder or hub id that has the tokenizer of its model. Empty: that of "
        "`chatModel`, else that of the suggestions.",
        restarts="client",
    )
    infilling: Literal["auto", "on", "off"] = _setting(
        "auto",
        "Whether to infill (use the code after the cursor). `auto`: where the model is known to have been trained for "
        "it. `on`: wherever its vocabulary has the tokens, which includes 70B, on which Meta's documents disagree.",
        restarts="engine",
    )
    layout: Literal["auto", "psm", "spm"] = _setting(
        "auto",
        "Order of an infilling prompt: `psm` prefix first, `spm` suffix first. `auto`: suffix first; with `engineUrl` "
        "not in the middle of a word, which such a server cannot complete well that way.",
    )
    chat_format: Literal["auto", "inst", "source-step", "template"] = _setting(
        "auto",
        "The chat format: `inst` ([INST], 7B to 34B), `source-step` (70B), `template` (the checkpoint's own). "
        "`auto`: read from the checkpoint.",
        restarts="engine",
    )
    in_comments: bool = _setting(
        True, "Whether suggestions come of themselves inside comments; asked for by hand they always come."
    )
    in_strings: bool = _setting(
        True, "Whether suggestions come of themselves inside strings; asked for by hand they always come."
    )
    quiet_when_passed_over: bool = _setting(
        True,
        "After two suggestions on a line that you read and passed over, none comes of itself there until you have "
        "typed some more.",
    )
    max_tokens: int = _setting(64, "Most tokens in one suggestion.", minimum=1, maximum=1024)
    temperature: float = _setting(
        0.0, "How freely suggestions are chosen: 0 always shows the likeliest.", minimum=0, maximum=2
    )
    top_p: float = _setting(
        1.0, "Their tokens are chosen from those that make up so much of the probability.", minimum=0, maximum=1
    )
    seed: int = _setting(
        -1,
        "With a temperature: the same number chooses the same text each time, in suggestions and in chat. -1: another "
        "each time.",
        minimum=-1,
        maximum=2**31 - 1,
    )
    multiline: Literal["auto", "always", "never"] = _setting(
        "auto",
        "Whether a suggestion may have several lines. `auto`: on an empty line or after one that opens a block.",
    )
    window_tokens: int = _setting(
        0,
        "Most tokens of the buffer that are sent around the cursor. 0: automatic, from 1024 to 4096 by the speed of "
        "the model on this machine, 2048 with `engineUrl`.",
        minimum=0,
        maximum=16384,
    )
    related_tokens: int = _setting(
        -1,
        "Most tokens of your other work that are sent in front of the code around the cursor: of other files, and of "
        "what you edited of late. At most half of `windowTokens`. 0: none. -1: as many as the checkpoint says that it "
        "makes use of, mostly 512.",
        minimum=-1,
        maximum=8192,
    )
    workspace_index: bool = _setting(
        True,
        "Keep an index of the open folders' source files in the cache folder, for what other files add to a "
        "suggestion. Ignored and secret files are not in it.",
    )
    related_imports: bool = _setting(
        True,
        "Take signatures of what the file imports from its own project, of what the function uses, and of what stands "
        "before the dot at the cursor. Where it is known what that is, its members are preferred to names that there "
        "are none of; only the engine of this machine can do that.",
    )
    related_edits: bool = _setting(True, "Take what you edited in the last minutes, here and elsewhere.")
    related_similar: bool = _setting(True, "Take pieces of other files that are about the same names.")
    related_counterpart: bool = _setting(True, "Take from the test of a source file, and from the source of a test.")
    related_open: bool = _setting(True, "Take from open tabs and recently seen files what the lines here use.")
    related_copied: bool = _setting(True, "Take what was just copied inside the editor, where the editor tells.")
    related_cells: bool = _setting(True, "In a notebook, take the cells before.")
    next_edit: bool = _setting(
        True,
        "After a change, offer the next one that follows from it: the other places of a name, the calls of a function "
        "whose parameters changed, lines for which the same was done twice. These need no model.",
    )
    next_edit_fills: bool = _setting(
        True,
        "Where it is known where the next edit goes, and a part of its text does not follow from the change, have the "
        "model of the suggestions write that part: a new argument, the branch for one more case. It is offered where "
        "the model is sure of it.",
    )
    next_edit_model: str = _setting(
        "",
        "A model that was trained to write next edits, named like `model`, such as `sweepai/sweep-next-edit-1.5B`: it "
        "is asked where no edit follows from the change, in place of the one of the suggestions. It runs on this "
        "machine beside that, unless `nextEditUrl` or `engineUrl` says that a server has it. Empty: there is none.",
        restarts="client",
    )
    next_edit_url: str = _setting(
        "",
        "The URL of the server that has the model in `nextEditModel`, or several, as in `engineUrl`. Your code is sent "
        "there. Empty: the one at `engineUrl`, or this machine.",
        restarts="client",
        secret=True,
    )
    next_edit_format: Literal["auto", "zeta", "sweep"] = _setting(
        "auto",
        "The prompts that the model in `nextEditModel` was trained with: `zeta` (Zed's Zeta), `sweep` (Sweep's "
        "Next-Edit). `auto`: by its name.",
    )
    debounce_ms: int = _setting(
        -1,
        "How long to wait, in milliseconds, for another keystroke before the model is asked. A suggestion that is "
        "known already never waits. -1: as long as fits your typing and the model's speed, which is not at all where "
        "that keeps up.",
        minimum=-1,
        maximum=2000,
    )
    time_budget_ms: int = _setting(
        500,
        "After this many milliseconds a suggestion of several lines is shown with the lines it has. 0: no limit.",
        minimum=0,
        maximum=60000,
    )
    min_probability: float = _setting(
        -1,
        "A suggestion whose first line the model itself finds less probable is not shown, unless you ask for one "
        "yourself. 0: everything is shown. -1: as was found to be right for the model, where that was measured.",
        minimum=-1,
        maximum=1,
    )
    prefetch: bool = _setting(
        True,
        "While you read a suggestion, compute what would come after it; and where the cursor rests, what the next key "
        "will want. Where the model is slow, the first suggestion at a new place then sees only the lines around it, "
        "and the next ones the whole window. Not with `engineUrl`: others use that server.",
    )
    completion_menu: bool = _setting(
        False,
        "Also offer the suggestion in the ordinary completion menu, for editors without inline completion.",
    )
    context_length: int = _setting(
        0,
        "Tokens of context the engine makes room for, per request. 0: what the model was trained for, at most 8192, "
        "less where memory is short.",
        minimum=0,
        maximum=131072,
        restarts="engine",
    )
    quantization: Literal["auto", "8", "4", "16"] = _setting(
        "auto",
        "Bits of a weight, of a model on this machine. `8`: as good as unrounded. `4`: half the memory, somewhat worse "
        "answers. `16`: as trained, to compare. `auto`: 8 where they fit the graphics cards, else 4 where those do, "
        "else 8 with the rest in memory. `codellama-ls models` says what fits and how fast each is.",
        restarts="engine",
    )
    idle_minutes: float = _setting(
        30,
        "Minutes without a request after which the engine ends and frees its memory. 0: never.",
        minimum=0,
        restarts="engine",
    )
    threads: int = _setting(
        0, "Processor threads of the engine. 0: one for each core.", minimum=0, maximum=1024, restarts="engine"
    )
    system_prompt: str = _setting(
        "You are a helpful and honest code assistant.", "What chat tells the model about its role. Empty: nothing."
    )
    # As the card of Code Llama samples.
    chat_temperature: float = _setting(
        0.2, "How freely chat answers: 0 always says the likeliest, 1 as the model was trained.", minimum=0, maximum=2
    )
    chat_top_p: float = _setting(
        0.95,
        "The tokens of a chat's answer are chosen from those that make up so much of the probability.",
        minimum=0,
        maximum=1,
    )
    chat_read_seconds: float = _setting(
        6,
        "For how many seconds the model may read what is attached to a question, by its speed on this machine: of a "
        "long file the lines around what is asked are sent, and it is said which. 0: as much as has room.",
        minimum=0,
        maximum=3600,
    )
    chat_max_tokens: int = _setting(1024, "Most tokens of a chat's answer.", minimum=1, maximum=131072)
    actions: list[dict[str, Any]] = _setting(
        [],
        "Your own code actions: each with a `title` and an `instruction`, and if need be `appliesTo` (a list of "
        "`function`, `class`, `selection`), `languages` (a list of language ids) and `result` (`edit` or `answer`).",
    )
    show_cost: bool = _setting(
        False, "Show beside the state how long the suggestion on the screen took, and how many tokens it has."
    )
    keep_statistics: bool = _setting(
        True,
        "Count on this machine what becomes of suggestions, for `codellama-ls stats`: numbers by day, language and "
        "editor, no text. Nothing of it is sent anywhere.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "How much is logged. The text of your buffers never is.", restarts="engine"
    )

    @property
    def token_url(self) -> str:
        """The address that `engine_token` belongs to where it names none."""
        return self.engine_url or self.chat_engine_url

    @property
    def fixed_seed(self) -> int | None:
        """`seed`; None where each text is another."""
        return self.seed if self.seed >= 0 else None


def restarts(old: Settings, new: Settings) -> Restarts:
    """What has to begin anew where `new` takes the place of `old`: the client, which reaches a model and reads its
    tokenizer; and with it the engine of this machine, which is to have other options."""
    kinds = {
        field.metadata["restarts"]
        for field in dataclasses.fields(Settings)
        if getattr(old, field.name) != getattr(new, field.name)
    }
    if "engine" in kinds and not new.engine_url:
        return "engine"
    return "client" if kinds - {"nothing"} else "nothing"


def camel(name: str) -> str:
    """`max_tokens` -> `maxTokens`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
