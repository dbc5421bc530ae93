"""`trimtab monitor` on the command line."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

SLOWEST, FASTEST = 1.0, 6000.0


def monitor(
    *,
    auto: Annotated[
        bool, typer.Option("--auto", help="Play the operator: select Auto, enter the setpoints.")
    ] = False,
    speed: Annotated[
        float, typer.Option(min=SLOWEST, max=FASTEST, help="Plant seconds per wall second.")
    ] = 300.0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the plant.")] = 1,
    out: Annotated[Path, typer.Option(help="Gets a folder for this run.")] = Path("runs"),
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: the one that ships.")
    ] = None,
) -> None:
    """Run a soft plant, its controller, the HMI and a local Prometheus until Ctrl-C.

    Prints where each is to be seen.  Nothing goes to AUTO by itself unless --auto is given.
    Prometheus is left out where it is not installed.  Passwords are made for the run.

    Examples:
      trimtab monitor
      trimtab monitor --auto --speed 600

    Exit codes: 0 ended by Ctrl-C; 2, 3, 4 configuration, artefact, plant.
    """
    from controller.demo.plan import Options  # noqa: PLC0415 - --help need not load all of it
    from controller.demo.processes import DemoError  # noqa: PLC0415
    from controller.monitoring.session import Session  # noqa: PLC0415
    from models.bundle import default_bundle  # noqa: PLC0415

    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    options = Options(
        headless=True,
        quick=False,
        seed=seed,
        speed=speed,
        out=out,
        bundle=bundle or default_bundle(),
    )
    try:
        code = asyncio.run(Session(options, Console(), auto=auto).run())
    except DemoError as error:
        Console(stderr=True).print(f"trimtab monitor: {error}", markup=False, soft_wrap=True)
        code = error.exit_code
    raise typer.Exit(code)
