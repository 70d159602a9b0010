"""A terminal for tests: Neovim as its user sees it, and a picture of that."""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ANSI = [(0, 0, 0), (205, 49, 49), (13, 188, 121), (229, 229, 16), (36, 114, 200), (188, 63, 188), (17, 168, 205)]
ANSI += [(229, 229, 229)]


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], rows: int = 24, columns: int = 100) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execve(arguments[0], list(arguments), dict(env))
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pump(self, seconds: float) -> None:
        """Take in what the program draws."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._fd], [], [], 0.03)[0]:
                with contextlib.suppress(OSError):
                    self._stream.feed(os.read(self._fd, 65536))

    def until(self, wanted: str | Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until a text is on the screen, or something is so."""
        end = time.monotonic() + seconds
        while not (wanted() if callable(wanted) else any(wanted in line for line in self.screen.display)):
            assert time.monotonic() < end, f"no {wanted!r} on the screen:\n" + "\n".join(self.screen.display)
            self.pump(0.05)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())
        self.pump(0.1)

    def colours(self, text: str) -> set[str]:
        """The colours of the characters of a text on the screen."""
        for row, line in enumerate(self.screen.display):
            if (at := line.find(text)) >= 0:
                return {self.screen.buffer[row][at + each].fg for each, sign in enumerate(text) if sign != " "}
        raise AssertionError(f"no {text!r} on the screen")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, b"\x1b\x1b:qa!\r")
            self.pump(0.5)
            os.close(self._fd)
        os.waitpid(self._pid, 0)

    def picture(self, path: Path, *, title: str, dark: bool) -> None:
        """Write the screen as an SVG that loads nothing from elsewhere."""
        back, front = ((20, 22, 27), (224, 226, 234)) if dark else ((224, 226, 234), (20, 22, 27))
        theme = TerminalTheme(back, front, ANSI, ANSI)
        console = Console(record=True, width=self.screen.columns, file=io.StringIO(), color_system="truecolor")
        for row in range(self.screen.lines):
            line = Text()
            cells = [self.screen.buffer[row][column] for column in range(self.screen.columns)]
            for style, run in itertools.groupby(cells, _style):
                line.append("".join(cell.data for cell in run), style)
            console.print(line, end="\n", no_wrap=True, crop=True)
        svg = console.export_svg(title=title, theme=theme)
        svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace, Menlo")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"terminal-\d+", "terminal", svg), encoding="utf-8")


def _style(cell: pyte.screens.Char) -> Style:
    fg, bg = (_colour(cell.fg), _colour(cell.bg))
    if cell.reverse:
        fg, bg = bg or "#14161b", fg or "#e0e2ea"
    return Style(color=fg, bgcolor=bg, bold=cell.bold, italic=cell.italics)


def _colour(name: str) -> str | None:
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else None
