"""The two streams of the commands, with styles where they are terminals; see `printing` for what is shown and how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

from lsp_server.printing import HIDDEN, one_line, visible


class Terminal(Console):
    """A console of rich that shows text and nothing but text: no markup and no names of emoji in it, no links that hide
    where they lead, and every character visible. Only the controls that rich makes of its own reach the terminal.

    Where it is none, lines are not wrapped, so that a sentence is one line.
    """

    def __init__(self, *, stderr: bool = False, **more: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **more)
        self.soft_wrap = not self.is_terminal

    def render_str(self, text: str, **how: Any) -> Text:
        """A text that is drawn. Here, because a `Text` drops some controls without a word when it is made."""
        return super().render_str(visible(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """All that is printed comes by here, the parts of a part as well: before lines are broken, and after."""
        if isinstance(renderable, Text):
            renderable = _visible(renderable)
        for segment in super().render(renderable, options):
            yield segment if segment.control else _harmless(segment)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    @contextlib.contextmanager
    def doing(self, text: str) -> Iterator[Callable[[str], None]]:
        """A line that says what is being done, as long as the context lasts; what it yields changes it."""
        spinner = "dots" if self.encoding.startswith("utf") else "line"
        with self.status(Text(one_line(text)), spinner=spinner) as line:
            yield lambda text: line.update(Text(one_line(text)))

    @contextlib.contextmanager
    def counting(self, text: str, total: int) -> Iterator[Callable[[], None]]:
        """A bar that shows how much of a work is done, where this is a terminal; what it yields counts one more."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self, transient=True, disable=not self.is_terminal) as bar:
            task = bar.add_task(one_line(text), total=total)
            yield lambda: bar.advance(task)

    @contextlib.contextmanager
    def following(self) -> Iterator[Callable[[str, float], None]]:
        """Follow a long work: what it yields is told a text and the share that is done, from 0 to 1. A terminal shows a
        bar; elsewhere there is a line for each text without its numbers, and for each tenth."""
        told = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
        columns = BarColumn(16), TaskProgressColumn(), TimeRemainingColumn(compact=True), told
        with Progress(*columns, console=self, transient=True, expand=True, disable=not self.is_terminal) as bar:
            task, said = bar.add_task("", total=1.0), ("", -1)

            def show(text: str, done: float) -> None:
                nonlocal said
                bar.update(task, description=one_line(text), completed=done)
                tenth = text.partition(":")[0], int(10 * done)
                if not self.is_terminal and tenth != said:
                    self.print(f"{one_line(text)} ({100 * done:.0f}%)")
                    said = tenth

            yield show

    def live(self) -> Live:
        """A part of the screen that is drawn anew, and is gone at the end."""
        return Live(console=self, refresh_per_second=10, transient=True)

    def add(self, text: str) -> None:
        """A part of a text as it comes: neither styled nor wrapped."""
        self.file.write(visible(text))
        self.file.flush()


def _visible(text: Text) -> Text:
    if not HIDDEN.search(text.plain):
        return text
    made, at = text.blank_copy(), 0
    for match in HIDDEN.finditer(text.plain):
        made.append_text(text[at : match.start()])
        made.append(visible(match[0]))
        at = match.end()
    return made.append_text(text[at:])


def _harmless(segment: Segment) -> Segment:
    style = segment.style
    if style is not None and style.link:
        style = style.update_link(None)
    if style is not segment.style or HIDDEN.search(segment.text):
        return Segment(visible(segment.text), style)
    return segment


output = Terminal()
# Standard error, so that standard output has the answer alone.
notes = Terminal(stderr=True)
