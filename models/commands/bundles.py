"""Train a bundle, check the data for it, and look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.terminal import EXIT_ARTEFACT, EXIT_CONFIGURATION, ProgressBar, say


def train(
    recipe: Annotated[
        str, typer.Option(help="Name of a shipped recipe, or a .toml file.")
    ] = "polymer-cstr",
    *,
    seed: Annotated[
        int | None, typer.Option(help="Of everything random; default: the recipe's.")
    ] = None,
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
        typer.Option(
            help="Your own history, .parquet or .csv; default: data of the recipe's environment."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that make data; -1 takes all cores.")] = -1,
    device: Annotated[
        str, typer.Option(help="Where networks learn: cpu, cuda or cuda:N. Same bits: cpu only.")
    ] = "cpu",
) -> None:
    """Make the data, train policy and cost, and write a bundle.

    An interrupted run goes on where it was: give the same recipe, seed and --work again.

    Examples:
      trimtab-models train
      trimtab-models train --seed 7 --device cuda
      trimtab-models train --recipe mine.toml --data history.parquet --out bundle

    Exit codes: 0 written; 2 the recipe, a device, a training that diverged;
    3 data not fit to train on; 130 interrupted.
    """
    from models.data.checks import DataRefused  # noqa: PLC0415
    from models.learning.devices import DeviceError, device_named  # noqa: PLC0415
    from models.learning.loop import Diverged  # noqa: PLC0415
    from models.recipe import RecipeError, load_recipe  # noqa: PLC0415
    from models.train import train as run  # noqa: PLC0415

    try:
        chosen = load_recipe(recipe)
        if seed is not None:
            chosen = chosen.model_copy(update={"seed": seed})
        origin = "" if data is None else f"-{data.stem}"
        at = work or Path("work") / f"{chosen.name}{origin}-{chosen.seed}"
        where = device_named(device)
        to = out or at / "bundle"
        with ProgressBar() as bar:
            manifest = run(chosen, at, to, jobs=jobs, progress=bar, own_file=data, device=where)
    except (RecipeError, Diverged, DeviceError) as error:
        say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except DataRefused as error:
        say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    except KeyboardInterrupt as interrupt:
        say("interrupted; the same command goes on from here")
        raise typer.Exit(130) from interrupt
    for found in manifest.data_checks:
        say(f"data: {found.column}: {found.reason} ({found.figure}); {found.advice}")
    Console().print(f"wrote {to}: {manifest.name} {manifest.version}")


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
    """Tell whether data are fit to train on, with the reasons and figures.

    Examples:
      trimtab-models check-data
      trimtab-models check-data --recipe mine.toml --data history.parquet

    Exit codes: 0 fit; 2 the recipe; 3 not fit.
    """
    from models.data.checks import DataRefused  # noqa: PLC0415
    from models.data.tables import tables  # noqa: PLC0415
    from models.data.training_data import generated, own  # noqa: PLC0415
    from models.recipe import RecipeError, load_recipe  # noqa: PLC0415

    try:
        chosen = load_recipe(recipe)
        made = own(data, chosen) if data else generated(chosen, None, jobs=jobs)
    except RecipeError as error:
        say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except DataRefused as error:
        say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    for table in tables(made.facts(chosen), made.report):
        Console().print(table)
    if made.report.refused:
        say(made.report.words())
        raise typer.Exit(EXIT_ARTEFACT)


def show(
    bundle: Annotated[
        Path | None, typer.Argument(help="Directory of a bundle; default: the one that ships.")
    ] = None,
) -> None:
    """Check a bundle as the controller would and print its card.

    Examples:
      trimtab-models show
      trimtab-models show work/polymer-cstr-7/bundle

    Exit codes: 0 whole; 3 refused, with the file and the key.
    """
    from rich.markdown import Markdown  # noqa: PLC0415

    from models.bundle import BundleError, bundle_sha256, default_bundle  # noqa: PLC0415
    from models.bundle.card import model_card  # noqa: PLC0415
    from models.runtime import Runtime  # noqa: PLC0415

    try:
        runtime = Runtime.load(bundle or default_bundle())
    except BundleError as error:
        say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    Console().print(Markdown(model_card(runtime.manifest)))
    typer.echo(f"bundle sha256 {bundle_sha256(bundle or default_bundle())}")


def recipes() -> None:
    """List the recipes that ship.

    Example:
      trimtab-models recipes
    """
    from rich.table import Table  # noqa: PLC0415

    from models.recipe import load_recipe, shipped_recipes  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    for name in shipped_recipes():
        table.add_row(name, load_recipe(name).description)
    Console().print(table)
