"""`trimtab-plant`: serve the soft plant, run the DCS alone, list scenarios and tags.

Exit codes: 0 done, 2 configuration, 4 the plant could not be served (port in use).
"""

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from plant_sim.errors import ConfigurationError, PlantRefusedError
from plant_sim.settings import SimulationSettings, load_settings

EXIT_CONFIGURATION = 2
EXIT_PLANT = 4

main = typer.Typer(
    name="trimtab-plant",
    help="The soft plant: a polymerisation CSTR with its DCS behind OPC UA.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Scenario = Annotated[str | None, typer.Option(help="startup, grade_down or grade_up")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random")]
Noise = Annotated[bool | None, typer.Option("--noise/--no-noise", help="Measurement noise")]
Mismatch = Annotated[bool | None, typer.Option(help="Reactor parameters drawn per seed")]
Disturbance = Annotated[bool | None, typer.Option(help="Feed -10 %, UA -15 % after 24 h")]
Actuators = Annotated[bool | None, typer.Option(help="Actuator lag and rate limits")]


@main.command()
def serve(
    *,
    config: Annotated[Path | None, typer.Option(help="Settings, see config/plant.toml")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 picks a free one")] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure/--secure", help="Encrypt nothing; loopback addresses only"),
    ] = None,
    pki: Annotated[
        str | None,
        typer.Option(help="Folder of certificates; made where it does not exist"),
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Plant seconds per wall second")] = None,
    scenario: Scenario = None,
    seed: Seed = None,
    noise: Noise = None,
    mismatch: Mismatch = None,
    disturbance: Disturbance = None,
    actuators: Actuators = None,
    paused: Annotated[bool | None, typer.Option(help="Start with plant time at rest")] = None,
    units: Annotated[
        int | None, typer.Option(help="Reactors; each at the next port, with the next seed")
    ] = None,
    heartbeat_timeout: Annotated[
        float | None, typer.Option(help="Age of a heartbeat that sheds, wall seconds")
    ] = None,
    credentials: Annotated[
        str | None, typer.Option(help="Users and passwords; made where it does not exist")
    ] = None,
    trend: Annotated[str | None, typer.Option(help="CSV, a row every plant minute")] = None,
    history: Annotated[
        str | None, typer.Option(help="SQLite file for HistoryRead; without it in memory")
    ] = None,
    ready_file: Annotated[str | None, typer.Option(help="Written when the server is up")] = None,
) -> None:
    """Serve R101, or several of its kind, over OPC UA until Ctrl-C."""
    overrides: dict[str, dict[str, Any]] = {
        "server": {"host": host, "port": port},
        "security": {"insecure": insecure, "pki": pki},
        "simulation": {
            "scenario": scenario,
            "seed": seed,
            "speed": speed,
            "noise": noise,
            "mismatch": mismatch,
            "disturbance": disturbance,
            "actuators": actuators,
            "paused": paused,
        },
        "units": {"count": units},
        "handshake": {"heartbeat_timeout_s": heartbeat_timeout},
        "history": {"file": history},
        "files": {"credentials": credentials, "trend": trend, "ready": ready_file},
    }
    gc.disable()  # until the server is up: collections cost a third of the start
    with _faults_as_exit_codes():
        settings = load_settings(config, overrides)
        from plant_sim.logs import configure_logs  # noqa: PLC0415  (asyncua takes half a second)
        from plant_sim.serve import serve as serve_plant  # noqa: PLC0415

        configure_logs()
        asyncio.run(serve_plant(settings))


@main.command()
def baseline(
    *,
    out: Annotated[Path, typer.Option(help="CSV to write")],
    scenario: Scenario = None,
    seed: Seed = None,
    hours: Annotated[float, typer.Option(min=0.1, max=1000.0, help="Plant hours")] = 24.0,
    setpoint_at: Annotated[
        float, typer.Option(min=0.0, help="Plant time of the setpoint change in s")
    ] = 3600.0,
    noise: Noise = None,
    mismatch: Mismatch = None,
    disturbance: Disturbance = None,
    actuators: Actuators = None,
) -> None:
    """Run one episode under the DCS's own PI, without a server, and write its trend."""
    from plant_sim.baseline import run_baseline  # noqa: PLC0415
    from plant_sim.trend import TrendFile  # noqa: PLC0415

    simulation = {
        "scenario": scenario,
        "seed": seed,
        "noise": noise,
        "mismatch": mismatch,
        "disturbance": disturbance,
        "actuators": actuators,
    }
    with _faults_as_exit_codes():
        chosen: SimulationSettings = load_settings(None, {"simulation": simulation}).simulation
        partial = out.with_name(f".{out.name}.partial")
        try:
            with TrendFile(partial) as trend:
                unit = run_baseline(
                    scenario=chosen.scenario,
                    seed=chosen.seed,
                    options=chosen.options(),
                    duration_s=hours * 3600.0,
                    setpoint_at_s=setpoint_at,
                    trend=trend,
                )
            failure = unit.failure or trend.failure
            if not failure:
                partial.replace(out)
        except OSError as error:
            failure = error.strerror or str(error)
        if failure:
            partial.unlink(missing_ok=True)
            raise ConfigurationError(f"--out {out}: not written ({failure})")


@main.command()
def scenarios(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False
) -> None:
    """Print the scenarios and their target setpoints."""
    from plant_sim.scenarios import SCENARIOS  # noqa: PLC0415

    table = {
        name: {"PolymerConc": scenario.setpoint[0], "Temperature": scenario.setpoint[1]}
        for name, scenario in SCENARIOS.items()
    }
    if as_json:
        typer.echo(json.dumps(table, indent=2))
        return
    for name, setpoint in table.items():
        P, T = setpoint["PolymerConc"], setpoint["Temperature"]
        typer.echo(f"{name:12} PolymerConc {P:g} kg/m3, Temperature {T:g} K")


@main.command()
def tags() -> None:
    """Print the address space as a Markdown page (docs/address_space.md)."""
    from plant_sim.tag_page import tag_page  # noqa: PLC0415

    typer.echo(tag_page(), nl=False)


@main.command()
def nodeset(*, out: Annotated[Path, typer.Option(help="XML file to write")]) -> None:
    """Write the address space as a NodeSet2 file, for tools and servers of other makers."""
    from plant_sim.logs import configure_logs  # noqa: PLC0415  (asyncua takes half a second)
    from plant_sim.opcua.nodeset import nodeset_xml  # noqa: PLC0415

    configure_logs()
    with _faults_as_exit_codes():
        content = asyncio.run(nodeset_xml())
        try:
            out.write_bytes(content)
        except OSError as error:
            raise ConfigurationError(
                f"--out {out}: not written ({error.strerror or error})"
            ) from None


@main.command("tune-pi")
def tune_pi(
    *,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search")] = 0,
    starts: Annotated[int, typer.Option(min=1, help="Tuning starts in every cell")] = 3,
    individuals: Annotated[int, typer.Option(min=5, help="Tunings in a generation")] = 20,
    generations: Annotated[int, typer.Option(min=1, help="Generations after the first")] = 10,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the result is the same")] = 1,
) -> None:
    """Tune one PI for all scenarios by its worst score (needs the dev extra; some minutes)."""
    from plant_sim.yardstick import tuner  # noqa: PLC0415  (scipy, numba)
    from plant_sim.yardstick.symbolic import CasadiMissingError  # noqa: PLC0415

    budget = tuner.Budget(
        starts=starts, individuals=individuals, generations=generations, jobs=jobs
    )

    def say(generation: int, worst: float) -> None:
        typer.echo(f"generation {generation} of {generations}: worst cell {worst:.2f}", err=True)

    with _faults_as_exit_codes():
        try:
            typer.echo("references: published tunings and the optimum", err=True)
            references = tuner.references(budget)
        except CasadiMissingError as error:
            raise ConfigurationError(str(error)) from None
        tuned = tuner.tune(seed=seed, budget=budget, references=references, progress=say)
    typer.echo(f"kp {tuned.tuning.kp}  ki {tuned.tuning.ki}  bias {tuned.tuning.bias}")
    for (suite, scenario), score in tuned.scores.items():
        default = tuned.default_scores[suite, scenario]
        typer.echo(f"{suite:10} {scenario:12} score {score:7.2f}   DCS default {default:7.2f}")


@contextmanager
def _faults_as_exit_codes() -> Iterator[None]:
    """Turn the faults a user can mend into one message and an exit code."""
    try:
        yield
    except ConfigurationError as error:
        typer.echo(f"trimtab-plant: {error}", err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from None
    except PlantRefusedError as error:
        typer.echo(f"trimtab-plant: {error}", err=True)
        raise typer.Exit(EXIT_PLANT) from None


if __name__ == "__main__":
    main()
