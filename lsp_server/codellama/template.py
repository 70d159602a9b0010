"""A checkpoint's own chat template, for models outside the Code Llama family."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .dialog import Turn
from .errors import DialogError
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from jinja2 import Template

_PRIVATE_USE = range(0xF0000, 0xFFFFE)


def template_ids(turns: Sequence[Turn], template: str, special: Mapping[str, str], vocabulary: Vocabulary) -> list[int]:
    """Ids of the rendered template, its control tokens as control tokens, those in the messages as plain text.

    What a message holds of control tokens is replaced by private characters while the template is rendered, and put
    back once the control tokens of the template itself have been found. Raises DialogError where it cannot be rendered.
    """
    control = sorted(vocabulary.control, key=len, reverse=True)
    if not control:
        return vocabulary.encode(_render(template, turns, special), leading_space=True)
    pattern = re.compile("|".join(map(re.escape, control)))
    found = sorted({token for turn in turns for token in pattern.findall(turn.content)})
    everything = {char for turn in turns for char in turn.content}
    free = (chr(code) for code in _PRIVATE_USE if chr(code) not in everything)
    stand_in = dict(zip(found, free, strict=False))
    masked = [Turn(t.role, pattern.sub(lambda m: stand_in[m.group()], t.content), t.destination) for t in turns]
    restore = str.maketrans({char: token for token, char in stand_in.items()})

    ids: list[int] = []
    text, at, strip_next = _render(template, masked, special), 0, False
    for match in [*pattern.finditer(text), None]:
        segment = text[at : match.start() if match else len(text)]
        token = vocabulary.control[match.group()] if match else None
        if strip_next:
            segment = segment.lstrip()
        if token and token.lstrip:
            segment = segment.rstrip()
        leading = vocabulary.prefixing == "always" or (vocabulary.prefixing == "first" and at == 0)
        ids += vocabulary.encode(segment.translate(restore), leading_space=leading)
        if match and token:
            ids.append(token.id)
            at, strip_next = match.end(), token.rstrip
    return ids


def _render(template: str, turns: Sequence[Turn], special: Mapping[str, str]) -> str:
    import jinja2  # here, because most checkpoints never need it

    def rendered(messages: list[dict[str, str]]) -> str:
        return _compiled(template).render(
            messages=messages, add_generation_prompt=True, tools=None, documents=None, **special
        )

    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    try:
        try:
            return rendered(messages)
        except jinja2.TemplateError:
            if messages[0]["role"] != "system":
                raise
            # Some models (Gemma) refuse a system turn: there it goes in front of the first question.
            system, first, *rest = messages
            return rendered([{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest])
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise DialogError(f"The checkpoint's chat template does not take this dialog: {error}.") from error


@lru_cache(maxsize=4)
def _compiled(template: str) -> Template:
    """The template in the environment that transformers gives it (utils/chat_template_utils.py), and as sandboxed."""
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the answers for training; here it is looked through."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, **options)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(pattern)
    return environment.from_string(template)
