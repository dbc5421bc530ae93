"""`trimtab-models`: train a bundle and look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, inspect and check the bundles that the controller runs.",
)
EXIT_CONFIGURATION, EXIT_ARTEFACT = 2, 3


def _say(words: str) -> None:
    typer.secho(f"trimtab-models: {words}", err=True, fg=typer.colors.RED)


class ProgressBar:
    """A rich progress bar as the training run's `Progress`."""

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


@app.command()
def train(
    recipe: Annotated[
        str, typer.Option(help="Name of a shipped recipe, or a .toml file.")
    ] = "polymer-cstr",
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Data and checkpoints; default: work/NAME-SEED."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The finished bundle; default: bundle inside --work."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that make data; -1 takes all cores.")] = -1,
) -> None:
    """Make the data, train policy and cost, and write a bundle.

    An interrupted run goes on where it was: give the same recipe, seed and --work again.
    """
    from models.loop import Diverged  # noqa: PLC0415
    from models.recipe import RecipeError, load_recipe  # noqa: PLC0415
    from models.train import train as run  # noqa: PLC0415

    try:
        chosen = load_recipe(recipe)
        if seed is not None:
            chosen = chosen.model_copy(update={"seed": seed})
        at = work or Path("work") / f"{chosen.name}-{chosen.seed}"
        with ProgressBar() as bar:
            manifest = run(chosen, at, out or at / "bundle", jobs=jobs, progress=bar)
    except (RecipeError, Diverged) as error:
        _say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except KeyboardInterrupt as interrupt:
        _say("interrupted; the same command goes on from here")
        raise typer.Exit(130) from interrupt
    Console().print(f"wrote {out or at / 'bundle'}: {manifest.name} {manifest.version}")


@app.command()
def show(
    bundle: Annotated[
        Path | None, typer.Argument(help="Directory of a bundle; default: the one that ships.")
    ] = None,
) -> None:
    """Check a bundle as the controller would and print its card."""
    from rich.markdown import Markdown  # noqa: PLC0415

    from models.bundle import BundleError, default_bundle  # noqa: PLC0415
    from models.model_card import model_card  # noqa: PLC0415
    from models.runtime import Runtime  # noqa: PLC0415

    try:
        runtime = Runtime.load(bundle or default_bundle())
    except BundleError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    Console().print(Markdown(model_card(runtime.manifest)))


@app.command()
def recipes() -> None:
    """List the recipes that ship."""
    from rich.table import Table  # noqa: PLC0415

    from models.recipe import load_recipe, shipped_recipes  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    for name in shipped_recipes():
        table.add_row(name, load_recipe(name).description)
    Console().print(table)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
