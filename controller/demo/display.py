"""Where the demo shows itself: a live screen on a terminal, lines of text anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live

from controller.demo.view import Frame, clock, screen

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

LINE_EVERY_H = 4.0


class Screen:
    """The live view on the terminal's other screen; what was there before comes back after."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        """Take the terminal over."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self._live.stop()

    def say(self, line: str) -> None:
        """Nothing: the screen shows the operator's log."""

    def show(self, frame: Frame) -> None:
        """Draw."""
        self._live.update(screen(frame, self._console.width), refresh=True)


class Lines:
    """What happens, line by line, and a line of figures every few hours of plant time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_h = LINE_EVERY_H
        self._scenario = ""

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to give back."""

    def say(self, line: str) -> None:
        """Print one event."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, frame: Frame) -> None:
        """Print the figures when plant time has passed the next mark."""
        if frame.scenario != self._scenario:
            self._scenario, self._next_h = frame.scenario, LINE_EVERY_H
        if frame.plant_h < self._next_h:
            return
        self._next_h = LINE_EVERY_H * (frame.plant_h // LINE_EVERY_H + 1)
        self.say(f"{clock(frame.plant_h)} {figures(frame)}")


def figures(frame: Frame) -> str:
    """The state in one line."""
    loops = ", ".join(
        f"{loop.name} {loop.pv:.1f}/{loop.sp:.1f} {loop.unit}" for loop in frame.loops
    )
    moves = ", ".join(f"{mv.name} {mv.actual:.2f} {mv.unit}" for mv in frame.manipulated)
    return (
        f"{loops}, {moves}, {frame.mode}, gap {frame.gap:.1e} of {frame.tolerance:.1e}, "
        f"scan p99 {1000 * frame.scan.p99_s:.1f} ms of {1000 * frame.scan.deadline_s:.0f}, "
        f"overruns {frame.scan.overruns}"
    )
