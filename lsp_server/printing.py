"""What is printed: text of others made visible, so that it cannot steer the terminal or deceive who reads it.

A model, a file's name, a stored conversation, a server's sentence: each may hold characters that a terminal obeys
(escape sequences set the window's title, write the clipboard, move over what was said before) or that a reader does not
see (controls of direction, joiners, tags). They are replaced one by one, `␛` or `<U+202E>`, so that no state is needed
where a text comes in parts. Tabs and newlines stay, and a newline of Windows becomes one.

Everything goes through here, or through `commands.console`, which draws with `visible`:

    for people             always visible, also in a pipe or a file: `less -R` shows it later
    code (`complete`)      visible on a terminal; to a pipe or a file exactly as it is, in UTF-8
    JSON                   ASCII, with control characters escaped: exact and harmless alike
    standard error, logs   visible
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import io
import json
import logging
import os
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, NoReturn

# What a terminal obeys or a reader does not see: Unicode's Cc and Cf, less the signs of Arabic, Syriac and Kaithi that
# stand before a word and are seen; its separators of lines and paragraphs; halves of a surrogate pair; letters and
# marks that are drawn as nothing. Selectors of a variant stay: what they belong to is seen.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)

# For streams: what an encoding cannot hold is named as well, and nothing fails.
ENCODING_ERRORS = "codellama-ls.visible"

# Failures of files that have more to say than the system's words for them.
_FILES = {
    errno.ENOENT: "There is no {}; check its name.",
    errno.ENOTDIR: "There is no {}; a part of its path is a file, not a folder.",
    errno.EISDIR: "{} is a folder; name a file.",
    errno.EACCES: "{} is closed to you; change its permissions, or name another.",
    errno.EPERM: "{} is closed to you; change its permissions, or name another.",
    errno.EROFS: "{} is on a disk that cannot be written; name another place.",
    errno.ENOSPC: "There is no room left for {}; free some space.",
    errno.ENAMETOOLONG: "{} is longer than a name may be; give a shorter one.",
}


def visible(text: str) -> str:
    """`text` as it may be printed: nothing in it steers a terminal or hides."""
    return HIDDEN.sub(_name, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(line.strip() for line in visible(text).split("\n") if line.strip())


def _name(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a picture of each
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


def _named(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(f"<U+{ord(each):04X}>" for each in error.object[error.start : error.end]), error.end


codecs.register_error(ENCODING_ERRORS, _named)


def prepare() -> None:
    """Make this process's streams take every character, and show an unexpected failure as other text is shown.

    A stream that was closed by who started the process has nothing to give, or takes all and keeps nothing.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, ENCODING_ERRORS), (sys.stderr, ENCODING_ERRORS)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    sys.excepthook = _fault
    threading.excepthook = lambda args: _fault(args.exc_type, args.exc_value, args.exc_traceback)


def _fault(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))


def typed(word: str) -> str:
    """An argument that is text, not a file's name: UTF-8 whatever the locale is, with other bytes replaced."""
    return os.fsencode(word).decode("utf-8", "replace")


def say(text: str) -> None:
    """Text for people, on standard output."""
    print(visible(text))


def note(text: str) -> None:
    """One line for people, on standard error."""
    print(one_line(text), file=sys.stderr)


def code(text: str) -> None:
    """Code on standard output, with a newline at its end: exactly as it is and in UTF-8, but for a terminal."""
    if sys.stdout.isatty() or not isinstance(sys.stdout, io.TextIOWrapper):
        return say(text)
    sys.stdout.flush()
    sys.stdout.buffer.write((text + "\n").encode("utf-8", ENCODING_ERRORS))
    sys.stdout.buffer.flush()


def code_part(text: str) -> None:
    """A part of a code on standard output, as it is written: without a newline of its own, otherwise as `code`."""
    if sys.stdout.isatty() or not isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.write(visible(text))
    else:
        sys.stdout.buffer.write(text.encode("utf-8", ENCODING_ERRORS))
    sys.stdout.flush()


def end_code() -> None:
    """The end of a code that came in parts: on a terminal what follows begins a line of its own."""
    if sys.stdout.isatty():
        sys.stdout.write("\n")


def write(file: str, text: str) -> None:
    """Write `text` to a file as it is; to a terminal, which has a file's name too, as text is shown. Raises OSError."""
    with open(file, "w", encoding="utf-8", errors=ENCODING_ERRORS) as out:
        out.write(visible(text) if out.isatty() else text)


def as_json(value: Any, indent: int | None = None) -> None:
    """JSON on standard output, in ASCII without any control character."""
    print(json.dumps(value, indent=indent, ensure_ascii=True).replace("\x7f", "\\u007f"))


def sentence(error: BaseException) -> str:
    """What an error says to the user, on one line. Those of the system lose their number and gain the way to mend."""
    if not isinstance(error, OSError) or error.errno is None or not error.strerror:
        return one_line(str(error))
    if error.filename is None:
        return one_line(f"{error.strerror}.")
    name = codecs.decode(error.filename, "utf-8", "replace") if isinstance(error.filename, bytes) else error.filename
    return one_line(_FILES.get(error.errno, f"{{}}: {error.strerror}.").format(name))


class Parser(argparse.ArgumentParser):
    """Options of a command line; what it says of a wrong one shows the user's words as all text is shown."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


class Lines(logging.Formatter):
    """Lines of a log. What follows in the same record is indented, so that no text can pass for a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record)).replace("\n", "\n    ")


def log_to_stderr(level: int | str) -> None:
    """Let everything that is logged in this process, and its warnings, go to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(is_news)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def is_news(record: logging.LogRecord) -> bool:
    """All but one thing: a request that is ended just as something of its answer comes, as any key may end the one
    before it, has anyio, which httpx reads sockets with, tell a cancelled future of that, and asyncio say so."""
    error = record.exc_info[1] if record.exc_info else None
    told_too_late = type(error).__name__ == "InvalidStateError" and "Future.set_result(None)" in record.getMessage()
    return not (record.name == "asyncio" and told_too_late)


def flush() -> None:
    """Write what is still held back on standard output. Raises OSError where it cannot be written."""
    if sys.stdout.closed:  # as the language server leaves it
        return
    try:
        sys.stdout.flush()
    except OSError:
        give_up()
        raise


def give_up() -> None:
    """Let what is held back for standard output go nowhere: its reader is gone, or its disk is full."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
