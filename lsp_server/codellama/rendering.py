"""A chat template as text: rendered in the environment that transformers gives it, sandboxed and with limits.

`rendered` is pure. Still a template is a program, which can run for ever or fill the memory, so nobody calls it in a
process that must go on: this file is also the program of the process in which `renderer` has it called. It imports
nothing of this package, and is given the folders that it may import from.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

CPU_SECONDS = 3
MEMORY_BYTES = 512 * 2**20
MOST_CHARACTERS = 4 * 2**20
_MOST_REPEATED = 2**20
_MOST_PATTERN = 200
_MOST_SAID = 300


class TooMuch(Exception):
    """A template does more than the rendering of a dialog can need; the message says what."""


def rendered(template: str, messages: list[dict[str, str]], special: Mapping[str, str]) -> str:
    """The text of a dialog, up to where the answer begins. Raises TooMuch, and whatever a template may raise."""
    import jinja2

    try:
        return _text(template, messages, special)
    except jinja2.TemplateError:
        if messages[0]["role"] != "system":
            raise
        # Some models (Gemma) refuse a system turn: there it goes in front of the first question.
        system, first, *rest = messages
        return _text(
            template, [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest], special
        )


def _text(template: str, messages: list[dict[str, str]], special: Mapping[str, str]) -> str:
    values = {**special, "messages": messages, "add_generation_prompt": True, "tools": None, "documents": None}
    parts, size = [], 0
    for part in _compiled(template).generate(values):
        parts.append(part)
        size += len(part)
        if size > MOST_CHARACTERS:
            raise TooMuch(f"it writes more than {MOST_CHARACTERS} characters")
    return "".join(parts)


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

    class Environment(ImmutableSandboxedEnvironment):
        """Two operators make much of little: they are looked at before."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if _size(operator, left, right) > _MOST_REPEATED:
                raise TooMuch(f"it makes a value of more than {_MOST_REPEATED} parts")
            return super().call_binop(context, operator, left, right)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, **options)

    def strftime_now(pattern: str) -> str:
        if len(pattern) > _MOST_PATTERN:
            raise TooMuch(f"it asks for the time in a form of more than {_MOST_PATTERN} characters")
        return datetime.datetime.now().strftime(pattern)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment.from_string(template)


def _size(operator: str, left: Any, right: Any) -> float:
    """About how many characters, items or bits come out."""
    if operator == "**":
        whole = isinstance(left, int) and isinstance(right, int)
        return abs(left).bit_length() * max(0, right) if whole else 0
    for many, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(many, (str, bytes, list, tuple)):
            return len(many) * max(0, times)
    return 0


def main() -> None:
    """Render what is asked on standard input: a line of JSON each, [template, messages, special], to one of {"text"} or
    {"error"} on standard output. Arguments: the folders that the template library is in."""
    sys.path += sys.argv[1:]
    _limit_memory()
    for line in sys.stdin.buffer:
        _limit_time()
        spent = False
        try:
            answer = {"text": rendered(*json.loads(line))}
        except MemoryError:
            answer, spent = {"error": f"it takes more than {MEMORY_BYTES // 2**20} MB of memory"}, True
        except RecursionError:
            answer = {"error": "it calls itself without an end, or is nested too deeply"}
        except Exception as error:  # a template may fail in any way
            answer = {"error": " ".join(str(error).split())[:_MOST_SAID].rstrip(".") or type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if spent:
            return


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):  # Windows has no such limits, and macOS not all
        pass


def _limit_time() -> None:
    """Let this process end itself should nobody do it; who asked looks at the clock as well."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + CPU_SECONDS, hard))
    except (ImportError, ValueError, OSError):
        pass


if __name__ == "__main__":
    main()
