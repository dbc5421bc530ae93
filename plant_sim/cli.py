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

MANUAL = """The soft plant: a polymerisation CSTR with its DCS behind OPC UA.

Examples:
  trimtab-plant serve --credentials users.toml
  trimtab-plant serve --credentials users.toml --insecure --speed 3000 --noise
  trimtab-plant baseline --scenario startup --out pi.csv    the DCS's PI alone

Exit codes:
  0  done
  2  configuration: the message names the key, its value and what to do
  4  the plant could not be served: the port is in use

Environment:
  TRIMTAB_PLANT_SERVER__PORT, TRIMTAB_PLANT_SIMULATION__SPEED, ...
      any key of plant.toml, with two underscores between table and key;
      stronger than the file, weaker than the command line
"""
main = typer.Typer(
    name="trimtab-plant",
    help=MANUAL,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Scenario = Annotated[
    str | None, typer.Option(help="startup, grade_down or grade_up; default: startup")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; default: 0")]
Noise = Annotated[
    bool | None, typer.Option("--noise/--no-noise", help="Measurement noise; default: none")
]
Mismatch = Annotated[
    bool | None, typer.Option(help="Reactor parameters drawn per seed; default: the nominal ones")
]
Disturbance = Annotated[
    bool | None, typer.Option(help="Feed -10 %, UA -15 % after 24 plant hours; default: none")
]
Actuators = Annotated[
    bool | None, typer.Option(help="Actuator lag and rate limits; default: neither")
]


@main.command()
def serve(
    *,
    config: Annotated[
        Path | None, typer.Option(help="Settings, a plant.toml; default: the ones that ship")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port, 0 picks a free one; default: 4840")
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure/--secure",
            help="Encrypt nothing, loopback addresses only; default: encrypted",
        ),
    ] = None,
    pki: Annotated[
        str | None,
        typer.Option(help="Folder of certificates, made where it does not exist; default: pki"),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Plant seconds per wall second; default: 1")
    ] = None,
    scenario: Scenario = None,
    seed: Seed = None,
    noise: Noise = None,
    mismatch: Mismatch = None,
    disturbance: Disturbance = None,
    actuators: Actuators = None,
    paused: Annotated[
        bool | None, typer.Option(help="Start with plant time at rest; default: running")
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(help="Reactors, each at the next port, with the next seed; default: 1"),
    ] = None,
    heartbeat_timeout: Annotated[
        float | None, typer.Option(help="Age of a heartbeat that sheds, wall seconds; default: 3")
    ] = None,
    credentials: Annotated[
        str | None,
        typer.Option(help="Users and passwords, mode 0600; made where it does not exist. Needed"),
    ] = None,
    trend: Annotated[
        str | None, typer.Option(help="CSV to write, a row every plant minute; default: none")
    ] = None,
    history: Annotated[
        str | None, typer.Option(help="SQLite file for HistoryRead; default: in memory")
    ] = None,
    ready_file: Annotated[
        str | None, typer.Option(help="JSON, written when the server is up; default: none")
    ] = None,
) -> None:
    """Serve R101, or several of its kind, over OPC UA until Ctrl-C.

    Examples:
      trimtab-plant serve --credentials users.toml
      trimtab-plant serve --credentials users.toml --insecure --speed 3000 --noise
      trimtab-plant serve --credentials users.toml --port 4840 --units 3

    Exit codes: 0 ended by SIGINT or SIGTERM; 2 configuration; 4 the port is in use.

    Environment: any key of plant.toml, as TRIMTAB_PLANT_SERVER__PORT.
    """
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
    out: Annotated[Path, typer.Option(help="CSV to write, a row every plant minute")],
    scenario: Scenario = None,
    seed: Seed = None,
    hours: Annotated[
        float, typer.Option(min=0.1, max=1000.0, help="Length of the episode, plant hours")
    ] = 24.0,
    setpoint_at: Annotated[
        float, typer.Option(min=0.0, help="Plant time of the setpoint change, seconds")
    ] = 3600.0,
    noise: Noise = None,
    mismatch: Mismatch = None,
    disturbance: Disturbance = None,
    actuators: Actuators = None,
) -> None:
    """Run one episode under the DCS's own PI, without a server, and write its trend.

    Examples:
      trimtab-plant baseline --scenario startup --out pi.csv
      trimtab-plant baseline --scenario grade_up --seed 3 --noise --out pi.csv

    Exit codes: 0 written; 2 configuration, or the file cannot be written.
    """
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
    """Print the scenarios and their target setpoints.

    Example:
      trimtab-plant scenarios --json
    """
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
    """Print the address space as a Markdown page (docs/address_space.md).

    Example:
      trimtab-plant tags
    """
    from plant_sim.tag_page import tag_page  # noqa: PLC0415

    typer.echo(tag_page(), nl=False)


@main.command()
def nodeset(*, out: Annotated[Path, typer.Option(help="XML file to write")]) -> None:
    """Write the address space as a NodeSet2 file, for tools and servers of other makers.

    Example:
      trimtab-plant nodeset --out softplant.xml

    Exit codes: 0 written; 2 the file cannot be written.
    """
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
    """Tune one PI for all scenarios by its worst score (needs the dev extra; some minutes).

    Examples:
      trimtab-plant tune-pi --jobs 4
      trimtab-plant tune-pi --starts 1 --individuals 5 --generations 1

    Exit codes: 0 tuned; 2 CasADi is not installed.
    """
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
