"""`trimtab demo` on the command line."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

SLOWEST, FASTEST = 1.0, 6000.0


def demo(
    *,
    headless: Annotated[bool, typer.Option("--headless", help="Lines, no live view.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="4 plant hours each, under 30 seconds.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the plant.")] = 1,
    speed: Annotated[
        float, typer.Option(min=SLOWEST, max=FASTEST, help="Plant seconds per wall second.")
    ] = 3000.0,
    out: Annotated[Path, typer.Option(help="Gets a folder for this run.")] = Path("runs"),
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: the one that ships.")
    ] = None,
) -> None:
    """Run the whole job on the soft plant: startup, grade change up, grade change down.

    Exit code 0 only if every scenario ended on spec, no temperature exceeded 365 K and every move
    was certified; with --quick, on safety, certificates and falling error.

    Examples:
      trimtab demo
      trimtab demo --quick --headless
      trimtab demo --seed 7 --bundle work/polymer-cstr-7/bundle

    Exit codes:
      0  passed
      1  not passed; the reasons are printed
      2, 3, 4  configuration, artefact, plant
      130  interrupted, after an orderly end
    """
    from controller.demo.plan import Options  # noqa: PLC0415 - --help need not load all of it
    from controller.demo.processes import DemoError  # noqa: PLC0415
    from controller.demo.session import Session  # noqa: PLC0415
    from models.bundle import default_bundle  # noqa: PLC0415

    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    options = Options(
        headless=headless,
        quick=quick,
        seed=seed,
        speed=speed,
        out=out,
        bundle=bundle or default_bundle(),
    )
    try:
        code = asyncio.run(Session(options, Console()).run())
    except DemoError as error:
        Console(stderr=True).print(f"trimtab demo: {error}", markup=False, soft_wrap=True)
        code = error.exit_code
    raise typer.Exit(code)
