"""The command line of `trimtab hmi`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.errors import ConfigError, PlantRefusedError
from models.bundle import BundleError

EXIT_ARTEFACT = 3

Configs = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        help="Settings of a controller, such as config/controller.toml; once a unit; "
        "default: the ones that ship",
    ),
]


def hmi(
    *,
    config: Configs = None,
    fleet: Annotated[
        Path | None, typer.Option("--hmi", help="Settings of the HMI, a hmi.toml; or give --config")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to serve; default: 127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 for any free one; default: 8080")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file, for https; default: http")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file with its key; default: none")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The HMI's own user on the plant; default: observer")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Server of the one unit; default: as its settings say")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Encrypt nothing towards a plant on this machine")
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="JSON with url and pid, written when it serves; default: none"),
    ] = None,
) -> None:
    """Show the units in a browser until Ctrl-C; reads everything, writes only what operators do.

    Logs in on the plants as a user that may only read, with the password in
    TRIMTAB_HMI_PASSWORD.  Operators log in on the pages with their own users of the plant.

    Examples:
      trimtab hmi --config controller.toml
      trimtab hmi --config R101.toml --config R102.toml --port 8081
      trimtab hmi --hmi /etc/trimtab/hmi.toml

    Exit codes: 0 ended by SIGINT or SIGTERM; 1 a fault; 2 configuration, a port in
    use; 3 a bundle.

    Environment: TRIMTAB_HMI_PASSWORD; any key of the controllers' settings.
    """
    try:
        code = _serve(
            config or [],
            fleet,
            {"host": host, "port": port, "tls_certificate": tls_cert, "tls_key": tls_key},
            {"user": user, "url": url, "insecure": insecure, "ready": ready_file},
        )
    except BundleError as error:
        typer.echo(f"trimtab: {error}", err=True)
        raise typer.Exit(EXIT_ARTEFACT) from None
    except (ConfigError, PlantRefusedError) as error:
        typer.echo(f"trimtab: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(code)


def _serve(
    configs: list[Path], fleet: Path | None, web: dict[str, Any], given: dict[str, Any]
) -> int:
    from controller.configuration.settings import default_config_dir  # noqa: PLC0415
    from controller.hmi.fleet import prepare  # noqa: PLC0415
    from controller.hmi.server import check_tls, serve  # noqa: PLC0415
    from controller.hmi.settings import for_units, load_hmi  # noqa: PLC0415
    from controller.logs import configure  # noqa: PLC0415

    _refuse_both(configs, fleet, given)
    if fleet is not None:
        settings = load_hmi(fleet, web)
    else:
        found = configs or [default_config_dir() / "controller.toml"]
        settings = for_units(found, given["user"], web)
    overrides: dict[str, Any] = {}
    if given["url"] is not None:
        overrides["server"] = {"url": given["url"]}
    if given["insecure"]:
        overrides["security"] = {"policy": "None", "insecure": True}
    configure(level=settings.log.level, fmt=settings.log.format)
    check_tls(settings.web)
    units = prepare(settings, overrides)
    return asyncio.run(serve(settings, units, given["ready"]))


def _refuse_both(configs: list[Path], fleet: Path | None, given: dict[str, Any]) -> None:
    own = [f"--{key}" for key in ("user", "url") if given[key] is not None]
    if fleet is not None and (configs or own):
        raise ConfigError(
            file="command line", key="--hmi",
            received=f"--hmi together with {' '.join(['--config'] * bool(configs) + own)}",
            allowed="the units in hmi.toml, or on the command line",
            action="leave one of the two out",
        )  # fmt: skip
    if given["url"] is not None and len(configs) > 1:
        raise ConfigError(
            file="command line", key="--url", received=given["url"],
            allowed="with one --config only", action="put the urls into the files",
        )  # fmt: skip
