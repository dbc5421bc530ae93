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
    *,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Data and checkpoints; default: work/NAME-SEED."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The finished bundle; default: bundle inside --work."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your own history, .parquet or .csv, instead of the environment's."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that make data; -1 takes all cores.")] = -1,
) -> None:
    """Make the data, train policy and cost, and write a bundle.

    An interrupted run goes on where it was: give the same recipe, seed and --work again.
    """
    from models.data.checks import DataRefused  # noqa: PLC0415
    from models.learning.loop import Diverged  # noqa: PLC0415
    from models.recipe import RecipeError, load_recipe  # noqa: PLC0415
    from models.train import train as run  # noqa: PLC0415

    try:
        chosen = load_recipe(recipe)
        if seed is not None:
            chosen = chosen.model_copy(update={"seed": seed})
        origin = "" if data is None else f"-{data.stem}"
        at = work or Path("work") / f"{chosen.name}{origin}-{chosen.seed}"
        with ProgressBar() as bar:
            manifest = run(chosen, at, out or at / "bundle", jobs=jobs, progress=bar, own_file=data)
    except (RecipeError, Diverged) as error:
        _say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except DataRefused as error:
        _say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    except KeyboardInterrupt as interrupt:
        _say("interrupted; the same command goes on from here")
        raise typer.Exit(130) from interrupt
    for found in manifest.data_checks:
        _say(f"data: {found.column}: {found.reason} ({found.figure}); {found.advice}")
    Console().print(f"wrote {out or at / 'bundle'}: {manifest.name} {manifest.version}")


@app.command()
def check_data(
    recipe: Annotated[
        str, typer.Option(help="Name of a shipped recipe, or a .toml file.")
    ] = "polymer-cstr",
    data: Annotated[
        Path | None,
        typer.Option(help="Your own history, .parquet or .csv; default: the recipe's data."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that make data; -1 takes all cores.")] = -1,
) -> None:
    """Tell whether data are fit to train on, with the reasons and figures; exit 3 if not."""
    from models.data.checks import DataRefused  # noqa: PLC0415
    from models.data.tables import tables  # noqa: PLC0415
    from models.data.training_data import generated, own  # noqa: PLC0415
    from models.recipe import RecipeError, load_recipe  # noqa: PLC0415

    try:
        chosen = load_recipe(recipe)
        made = own(data, chosen) if data else generated(chosen, None, jobs=jobs)
    except RecipeError as error:
        _say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except DataRefused as error:
        _say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    for table in tables(made.facts(chosen), made.report):
        Console().print(table)
    if made.report.refused:
        _say(made.report.words())
        raise typer.Exit(EXIT_ARTEFACT)


@app.command()
def show(
    bundle: Annotated[
        Path | None, typer.Argument(help="Directory of a bundle; default: the one that ships.")
    ] = None,
) -> None:
    """Check a bundle as the controller would and print its card."""
    from rich.markdown import Markdown  # noqa: PLC0415

    from models.bundle import BundleError, bundle_sha256, default_bundle  # noqa: PLC0415
    from models.bundle.card import model_card  # noqa: PLC0415
    from models.runtime import Runtime  # noqa: PLC0415

    try:
        runtime = Runtime.load(bundle or default_bundle())
    except BundleError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    Console().print(Markdown(model_card(runtime.manifest)))
    typer.echo(f"bundle sha256 {bundle_sha256(bundle or default_bundle())}")


@app.command()
def evaluate(
    *,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="Directory of a bundle; one for each dataset seed. Default: shipped."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Suites of the recipe, separated by commas.")] = (
        "nominal"
    ),
    starts: Annotated[int, typer.Option(min=1, help="Starts of every scenario.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts; 500 is for tuning.")] = 0,
    sample_time: Annotated[
        float | None, typer.Option(help="[s]; must be the bundle's, and is by default.")
    ] = None,
    controllers: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; default: all.")
    ] = None,
    sweep: Annotated[
        bool | None,
        typer.Option(help="Every tie to the policy; default: unless --controllers is given."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="With the section [evaluation]; default: the bundle's.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 takes all cores.")] = -1,
    cache: Annotated[
        Path, typer.Option(help="Finished episodes; a rerun computes what is missing.")
    ] = Path("work/evaluation"),
    json: Annotated[Path, typer.Option(help="Where the result goes.")] = Path("out.json"),
    report: Annotated[
        Path | None, typer.Option(help="Write a report with pictures as well, a .md file.")
    ] = None,
) -> None:
    """Compare all controllers on the same starts and write rows, references and scores.

    Score: 0 is the median of the published PI tunings, 100 the optimum with a perfect model.
    """
    from models.bundle import BundleError, default_bundle  # noqa: PLC0415
    from models.evaluate import command  # noqa: PLC0415
    from models.evaluate import report as write_report  # noqa: PLC0415
    from models.evaluation.pilot import EvaluationError  # noqa: PLC0415
    from models.evaluation.plan import Plan  # noqa: PLC0415
    from models.recipe import RecipeError  # noqa: PLC0415

    plan = Plan(
        bundles=bundle or [default_bundle()],
        suites=_names(suite),
        starts=starts,
        seed=seed,
        sample_time_s=sample_time,
        controllers=None if controllers is None else _names(controllers),
        sweep=sweep,
        recipe=recipe,
    )
    try:
        with ProgressBar() as bar:
            shown = command(plan, cache, json, jobs=jobs, progress=bar)
        if report is not None:
            shown += write_report([json], report, cache, recipe=recipe)
    except (EvaluationError, RecipeError) as error:
        _say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except BundleError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    except KeyboardInterrupt as interrupt:
        _say("interrupted; the same command goes on from here")
        raise typer.Exit(130) from interrupt
    console = Console(width=max(Console().width, 100))  # the widest table fits
    for part in shown:
        console.print(part)


@app.command()
def report(
    *,
    json: Annotated[
        list[Path],
        typer.Option(help="Result of `evaluate`; the first is reported on, further ones join it."),
    ],
    cache: Annotated[Path, typer.Option(help="Of the same evaluation, for the trends.")] = Path(
        "work/evaluation"
    ),
    out: Annotated[Path, typer.Option(help="The report; pictures go to images beside it.")] = Path(
        "docs/benchmark.md"
    ),
    recipe: Annotated[
        str | None, typer.Option(help="With the section [evaluation]; default: the result's.")
    ] = None,
) -> None:
    """Write the report of finished evaluations without running an episode.

    Bundles of other data, `published_pi` or `historian`, become rows of their own.
    """
    from models.evaluate import report as write  # noqa: PLC0415
    from models.evaluation.pilot import EvaluationError  # noqa: PLC0415
    from models.recipe import RecipeError  # noqa: PLC0415

    try:
        shown = write(json, out, cache, recipe=recipe)
    except (EvaluationError, RecipeError) as error:
        _say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    for part in shown:
        Console().print(part)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


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
