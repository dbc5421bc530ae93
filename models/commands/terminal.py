"""What all commands show alike: exit codes, errors, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

EXIT_CONFIGURATION, EXIT_ARTEFACT = 2, 3


def say(words: str) -> None:
    """Tell an error."""
    typer.secho(f"trimtab-models: {words}", err=True, fg=typer.colors.RED)


class ProgressBar:
    """A rich progress bar; a `models.progress.Progress`."""

    def __init__(self) -> None:
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description:18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        self._task = self._bar.add_task("", visible=False, losses="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> None:
        """Show a new bar."""
        self._task = self._bar.add_task(name, total=total, losses="")

    def done(self, steps: int, losses: Mapping[str, float]) -> None:
        """Move the bar."""
        words = "  ".join(f"{key} {value:.4g}" for key, value in losses.items())
        self._bar.update(self._task, completed=steps, losses=words)
