"""Compare controllers, and write the report of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.terminal import EXIT_ARTEFACT, EXIT_CONFIGURATION, ProgressBar, say


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
        float | None,
        typer.Option(help="Plant seconds between two moves; must be the bundle's, the default."),
    ] = None,
    controllers: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; default: all.")
    ] = None,
    sweep: Annotated[
        bool | None,
        typer.Option(help="Every tie to the policy; default: unless --controllers is given."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="With a section evaluation; default: the bundle's.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 takes all cores.")] = -1,
    cache: Annotated[
        Path, typer.Option(help="Finished episodes; a rerun computes what is missing.")
    ] = Path("work/evaluation"),
    json: Annotated[Path, typer.Option(help="Where the result goes.")] = Path("out.json"),
    report: Annotated[
        Path | None,
        typer.Option(help="Write a report with pictures as well, a .md file; default: none."),
    ] = None,
) -> None:
    r"""Compare all controllers on the same starts and write rows, references and scores.

    Score: 0 is the median of the published PI tunings, 100 the optimum with a perfect model.

    Examples:
      trimtab-models evaluate --starts 4 --controllers sequence,pi_robust
      trimtab-models evaluate --bundle work/polymer-cstr-1/bundle \
          --suite nominal,mismatch --seed 2026 --json out.json

    Exit codes: 0 done; 2 configuration, CasADi is not installed; 3 the bundle;
    130 interrupted.
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
        say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except BundleError as error:
        say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    except KeyboardInterrupt as interrupt:
        say("interrupted; the same command goes on from here")
        raise typer.Exit(130) from interrupt
    console = Console(width=max(Console().width, 100))  # the widest table fits
    for part in shown:
        console.print(part)


def assess(
    *,
    bundle: Annotated[
        Path | None, typer.Option(help="Directory of a bundle; default: the one that ships.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A history, .parquet or .csv, or dataset.safetensors of a work directory; "
            "default: the recipe's data, made again."
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The bundle was trained by it; default: by its name.")
    ] = None,
    states: Annotated[int, typer.Option(min=1, help="Drawn for the correction.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    device: Annotated[str, typer.Option(help="Where: cpu, cuda or cuda:N.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Processes that make data; -1 takes all cores.")] = -1,
    json: Annotated[
        Path | None, typer.Option(help="Where the result goes as well; default: nowhere.")
    ] = None,
) -> None:
    """Tell what a bundle makes of recorded data: prediction errors, policies, correction.

    No plant is flown. Of the data it learned from only the held-out episodes are judged.

    Examples:
      trimtab-models assess
      trimtab-models assess --recipe mine.toml --bundle mine --data newer.csv

    Exit codes: 0 done; 2 configuration; 3 the bundle, or data that do not fit it.
    """
    from models.bundle import BundleError, default_bundle, load_manifest  # noqa: PLC0415
    from models.data.checks import DataRefused  # noqa: PLC0415
    from models.evaluation.assessment import assess as run  # noqa: PLC0415
    from models.evaluation.assessment import recorded  # noqa: PLC0415
    from models.evaluation.assessment_tables import assessment_tables  # noqa: PLC0415
    from models.evaluation.output import write_result  # noqa: PLC0415
    from models.evaluation.pilot import EvaluationError  # noqa: PLC0415
    from models.evaluation.plan import recipe_named  # noqa: PLC0415
    from models.learning.devices import DeviceError, device_named  # noqa: PLC0415
    from models.recipe import RecipeError  # noqa: PLC0415

    at = bundle or default_bundle()
    try:
        where = device_named(device)
        manifest = load_manifest(at)
        chosen = recipe_named(recipe, manifest)
        made = recorded(data, chosen, manifest, jobs=jobs)
        found = run(at, made, chosen, states=states, seed=seed, device=where)
    except (EvaluationError, RecipeError, DeviceError) as error:
        say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except (BundleError, DataRefused) as error:
        say(str(error))
        raise typer.Exit(EXIT_ARTEFACT) from error
    if json is not None:
        write_result(json, found)
    console = Console(width=max(Console().width, 100))
    for part in assessment_tables(found):
        console.print(part)


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
        str | None, typer.Option(help="With a section evaluation; default: the result's.")
    ] = None,
) -> None:
    """Write the report of finished evaluations without running an episode.

    Bundles of other data, `published_pi` or `historian`, become rows of their own.

    Example:
      trimtab-models report --json out.json --out benchmark.md

    Exit codes: 0 written; 2 a result or a recipe that does not fit.
    """
    from models.evaluate import report as write  # noqa: PLC0415
    from models.evaluation.pilot import EvaluationError  # noqa: PLC0415
    from models.recipe import RecipeError  # noqa: PLC0415

    try:
        shown = write(json, out, cache, recipe=recipe)
    except (EvaluationError, RecipeError) as error:
        say(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from error
    for part in shown:
        Console().print(part)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
