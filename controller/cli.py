"""`trimtab`: run or shadow a plant, check a configuration, browse a server, read the journal.

Exit codes: 0 done, 2 configuration, 3 artefact refused, 4 plant refused.  Heavy modules are
imported by the commands that need them, so that `--help` is quick.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.commissioning.certs_command import certs
from controller.demo.command import demo
from controller.errors import ConfigError, PlantRefusedError
from controller.hmi.command import hmi
from controller.journald import is_journal, prioritised
from controller.monitoring.command import monitor
from models.bundle import BundleError

EXIT_ARTEFACT = 3
IN_CLEAR: dict[str, Any] = {"policy": "None", "insecure": True}

MANUAL = """Supervisory controller over OPC UA: a policy learned offline, corrected with a
certificate on every scan.

From a server's address to AUTO: certs init, certs trust, tags browse, check,
shadow, run.  docs/connecting.md walks through it.

Examples:
  trimtab demo                                  the whole job on a soft plant
  trimtab check --config controller.toml
  trimtab run --config controller.toml

Exit codes:
  0  done
  1  a fault of the controller, or a demo that was not passed
  2  configuration: the message names file, key, value and what to do
  3  artefact refused: the bundle is damaged or does not fit
  4  plant refused: no server, no trust, wrong password, nodes that it lacks

Environment:
  TRIMTAB_SERVER__URL, TRIMTAB_SCAN__PERIOD_S, ...
      any key of controller.toml, with two underscores between table and key;
      stronger than the file, weaker than the command line
  TRIMTAB_PASSWORD
      of the account on the OPC UA server; better in a file
      (server.password_file) or a systemd credential (trimtab_password)
"""
main = typer.Typer(
    name="trimtab",
    help=MANUAL,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
tags = typer.Typer(
    help="Find out which nodes a server has.\n\n"
    "Example:\n  trimtab tags browse --url opc.tcp://HOST:4840 --user apc --out tags.toml",
    no_args_is_help=True,
)
journal = typer.Typer(
    help="Read the audit record of a controller.\n\n"
    "Example:\n  trimtab journal show --db /var/lib/trimtab/R101/journal.db --tail 20",
    no_args_is_help=True,
)
main.add_typer(tags, name="tags")
main.add_typer(journal, name="journal")
main.add_typer(certs, name="certs")
main.command()(demo)
main.command()(monitor)
main.command()(hmi)

Config = Annotated[
    Path | None,
    typer.Option(help="Settings, a controller.toml; default: the ones that ship"),
]
TagsFile = Annotated[
    Path | None,
    typer.Option("--tags", help="tags.toml; default: as the settings say"),
]
Bundle = Annotated[
    Path | None,
    typer.Option(help="Folder of the model; default: as the settings say, or the shipped one"),
]
Url = Annotated[
    str | None,
    typer.Option(help="Server, such as opc.tcp://127.0.0.1:4840; default: as the settings say"),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Encrypt nothing; only to a server on this machine"),
]
User = Annotated[str | None, typer.Option(help="User name on the server; default: anonymous")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File of mode 0600 with the password; default: TRIMTAB_PASSWORD"),
]


@main.command()
def run(
    *,
    config: Config = None,
    tags_file: TagsFile = None,
    bundle: Bundle = None,
    url: Url = None,
    insecure: Insecure = False,
) -> None:
    """Control the plant until Ctrl-C, which hands the MVs back to the DCS first.

    AUTO begins when the operator selects it in the DCS, never by itself.  What it
    reads, computes and writes is in the journal; metrics are served on loopback.

    Examples:
      trimtab run --config /etc/trimtab/R101.toml
      trimtab run --config controller.toml --bundle work/polymer-cstr-7/bundle
      TRIMTAB_SCAN__PERIOD_S=0.1 trimtab run --insecure     soft plant, speed 3000

    Exit codes:
      0  ended by SIGINT or SIGTERM, after the MVs were handed back
      1  a fault of the controller; it has shed
      2, 3, 4  configuration, artefact, plant: refused before anything was written

    Environment: any key, as TRIMTAB_SERVER__URL; TRIMTAB_PASSWORD.
    """
    _serve(config, {"tags": tags_file, "bundle": bundle, "url": url, "insecure": insecure})


@main.command()
def shadow(
    *,
    config: Config = None,
    tags_file: TagsFile = None,
    bundle: Bundle = None,
    url: Url = None,
    insecure: Insecure = False,
) -> None:
    """Compute and record everything and write nothing at all, on any OPC UA server.

    Examples:
      trimtab shadow --config controller.toml
      trimtab shadow --config controller.toml --bundle work/mine-1/bundle

    Exit codes: as of `trimtab run`.

    Environment: any key, as TRIMTAB_SERVER__URL; TRIMTAB_PASSWORD.
    """
    _serve(
        config,
        {"tags": tags_file, "bundle": bundle, "url": url, "insecure": insecure},
        read_only=True,
    )


@main.command()
def check(
    *,
    config: Config = None,
    tags_file: TagsFile = None,
    bundle: Bundle = None,
    url: Url = None,
    insecure: Insecure = False,
) -> None:
    """Compare configuration, model and server tag by tag; say what to correct.  Writes nothing.

    Examples:
      trimtab check --config controller.toml
      trimtab check --config controller.toml --url opc.tcp://HOST:4840

    Exit codes:
      0  all fits
      2  the configuration has to change
      3  the bundle is damaged or does not fit the tags
      4  the plant has to change, or does not let us in

    Environment: any key, as TRIMTAB_SERVER__URL; TRIMTAB_PASSWORD.
    """
    with _faults_as_exit_codes():
        from controller.commissioning.check import check_plant  # noqa: PLC0415
        from controller.logs import configure  # noqa: PLC0415

        configure(level="warning")
        file, settings = _settings(
            config, {"tags": tags_file, "bundle": bundle, "url": url, "insecure": insecure}
        )
        code = asyncio.run(check_plant(settings, file))
    raise typer.Exit(code)


@tags.command("browse")
def browse(
    *,
    url: Annotated[str, typer.Option(help="Server, such as opc.tcp://127.0.0.1:4840")],
    user: User = None,
    password_file: PasswordFile = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings whose table security counts; default: folder pki here"),
    ] = None,
    insecure: Insecure = False,
    bundle: Bundle = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: the terminal")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file")] = False,
    depth: Annotated[int, typer.Option(min=1, max=50, help="Deepest level below Objects")] = 12,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most variables listed")] = 5000,
) -> None:
    r"""List a server's variables and propose a tags.toml to edit.  Reads only.

    What it proposes are comments: check each, remove its #, then run `trimtab check`.

    Examples:
      trimtab tags browse --url opc.tcp://HOST:4840 --user apc --out tags.toml
      trimtab tags browse --url opc.tcp://HOST:4840 --user apc \
          --password-file apc.password --bundle work/mine-1/bundle --limit 20000

    Exit codes: 0 written; 2 a file that exists, a wrong option; 3 the bundle;
    4 the server does not answer, is not trusted, or does not let us in.

    Environment: TRIMTAB_PASSWORD.
    """
    with _faults_as_exit_codes():
        from controller.commissioning.browse import browse_to  # noqa: PLC0415
        from controller.commissioning.walk import Limits  # noqa: PLC0415
        from controller.logs import configure  # noqa: PLC0415

        configure(level="warning")

        text = browse_to(
            url=url,
            user=user,
            password_file=password_file,
            security=_security(config, insecure=insecure),
            bundle=bundle,
            out=out,
            force=force,
            limits=Limits(depth=depth, variables=limit),
        )
    typer.echo(text if out is None else f"wrote {out}: edit it, then run `trimtab check`", nl=True)


@journal.command("show")
def show(
    *,
    db: Annotated[Path, typer.Option(help="The journal's file")] = Path("runs/journal.db"),
    run_number: Annotated[
        int | None, typer.Option("--run", help="Number of a run; default: the last")
    ] = None,
    scan: Annotated[
        int | None, typer.Option(help="One scan, whole, as JSON; default: the last ones, in short")
    ] = None,
    tail: Annotated[int, typer.Option(min=1, help="How many of the last scans")] = 20,
    events: Annotated[bool, typer.Option("--events", help="Operator's acts, modes, stops")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check the hash chain")] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Compute every scan again and compare every bit")
    ] = False,
    bundle: Bundle = None,
) -> None:
    """Show the last scans, one scan, the events; verify the chain; replay a run.

    The file may be read while a controller writes it.

    Examples:
      trimtab journal show --tail 50
      trimtab journal show --db /var/lib/trimtab/R101/journal.db --scan 311
      trimtab journal show --events
      trimtab journal show --verify
      trimtab journal show --replay

    Exit codes: 0 shown, whole, the same bits; 1 the chain is broken or a replay
    differs; 2 no journal there; 3 the bundle of a replay.
    """
    with _faults_as_exit_codes():
        from controller.journal.view import View, show_journal  # noqa: PLC0415

        view = View(
            run=run_number,
            scan=scan,
            tail=tail,
            events=events,
            verify=verify,
            replay=replay,
            bundle=bundle,
        )
        code = show_journal(db, view)
    raise typer.Exit(code)


@main.command()
def version() -> None:
    """Print the version.

    Example:
      trimtab version
    """
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(f"trimtab {installed('trimtab')}")


def _serve(config: Path | None, given: dict[str, Any], *, read_only: bool = False) -> None:
    with _faults_as_exit_codes():
        from controller.logs import configure  # noqa: PLC0415
        from controller.service import Service  # noqa: PLC0415
        from controller.startup import prepare  # noqa: PLC0415

        file, settings = _settings(config, given, read_only=read_only)
        configure(level=settings.log.level, fmt=settings.log.format)
        prepared = prepare(settings)

        async def serve() -> int:
            return await Service(prepared, file).run()

        code = asyncio.run(serve())
    raise typer.Exit(code)


def _settings(
    config: Path | None, given: dict[str, Any], *, read_only: bool = False
) -> tuple[Path, Any]:
    """Load the settings; what the command line gives wins over the environment and the file."""
    from controller.configuration.settings import default_config_dir, load_settings  # noqa: PLC0415

    file = config if config is not None else default_config_dir() / "controller.toml"
    overrides: dict[str, Any] = {}
    for key, value in (("tags", given["tags"]), ("bundle", given["bundle"])):
        if value is not None:
            overrides[key] = {"path": value.expanduser().absolute()}
    if given["url"] is not None:
        overrides["server"] = {"url": given["url"]}
    if given["insecure"]:
        overrides["security"] = IN_CLEAR
    if read_only:
        overrides["mode"] = {"read_only": True}
    return file, load_settings(file, overrides)


def _security(config: Path | None, *, insecure: bool) -> Any:
    """[security] for a command that has no other settings."""
    from controller.configuration.security import SecuritySettings  # noqa: PLC0415
    from controller.configuration.settings import load_settings  # noqa: PLC0415

    if insecure:
        return SecuritySettings(**IN_CLEAR)
    return SecuritySettings() if config is None else load_settings(config).security


@contextmanager
def _faults_as_exit_codes() -> Iterator[None]:
    """Print expected faults as a message; end with their exit code, without a traceback."""
    try:
        yield
    except BundleError as error:
        _complain(error)
        raise typer.Exit(EXIT_ARTEFACT) from None
    except (ConfigError, PlantRefusedError) as error:
        _complain(error)
        raise typer.Exit(error.exit_code) from None


def _complain(error: Exception) -> None:
    text = f"trimtab: {error}"
    typer.echo(prioritised(text, "error") if is_journal(sys.stderr) else text, err=True)


if __name__ == "__main__":
    main()
