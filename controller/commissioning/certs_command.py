"""The command line of `trimtab certs`; what it does is in `controller.opcua.pki`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.errors import ConfigError, PlantRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

certs = typer.Typer(
    help="Certificates: who we are to an OPC UA server, and which servers we trust.\n\n"
    "docs/security.md walks through it.\n\n"
    "Examples:\n  trimtab certs init\n  trimtab certs trust --from-url opc.tcp://HOST:4840",
    no_args_is_help=True,
)

Pki = Annotated[Path, typer.Option(help="Folder of certificates, ours and the soft plant's alike")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="Days that it is valid")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help="DNS name or IP address of this machine, may be repeated; default: its name, "
        "localhost and 127.0.0.1, at a renewal those of the old certificate",
    ),
]
FOLDER, DAYS = Path("pki"), 730


@certs.command()
def init(
    *,
    pki: Pki = FOLDER,
    uri: Annotated[
        str | None, typer.Option(help="Application URI; default: urn:HOST:trimtab:controller")
    ] = None,
    host: Hosts = None,
    days: Days = DAYS,
    bits: Annotated[
        int, typer.Option(min=2048, max=4096, help="Length of the RSA key, bits")
    ] = 2048,
) -> None:
    """Make a key (mode 0600) and a certificate for this controller.  Overwrites nothing.

    Examples:
      trimtab certs init
      trimtab certs init --pki /etc/trimtab/R101-pki --uri urn:HOST:trimtab:R101
      trimtab certs init --host apc1.example.org --days 365

    Exit codes: 0 made; 2 there is one already, or the folder cannot be written.
    """
    with _faults_as_exit_codes():
        from controller.opcua.pki import Folder, wish  # noqa: PLC0415

        folder = Folder(pki)
        _say(folder.init(wish(uri=uri, given=host or (), days=days), bits))
        typer.echo(
            f"made {folder.certificate} and its key.\n"
            "Next: trimtab certs trust --from-url opc.tcp://SERVER:4840, and have the server trust "
            f"{folder.certificate}"
        )


@certs.command()
def renew(
    *,
    pki: Pki = FOLDER,
    host: Hosts = None,
    days: Days = DAYS,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a new key as well")] = False,
) -> None:
    """Make a new certificate that says the same; the old one is kept beside it.

    It is used from the next start on; peers must trust it before that.

    Examples:
      trimtab certs renew
      trimtab certs renew --pki /etc/trimtab/R101-pki --new-key --days 365

    Exit codes: 0 renewed; 2 there is none to renew, or it cannot be written.
    """
    with _faults_as_exit_codes():
        from controller.opcua.pki import Folder  # noqa: PLC0415

        folder = Folder(pki)
        _say(folder.renew(days=days, given=host or (), new_key=new_key))
        typer.echo(
            f"renewed {folder.certificate}; peers must trust the new one before it is used, "
            "which is from the next start on"
        )


@certs.command()
def show(*, pki: Pki = FOLDER) -> None:
    """Show our certificate, whom we trust, and who was rejected.

    Tab-separated when piped.

    Examples:
      trimtab certs show
      trimtab certs show --pki /var/lib/trimtab-plant/pki

    Exit codes: 0 shown; 2 no such folder, or a file in it that is no certificate.
    """
    with _faults_as_exit_codes():
        from controller.commissioning.certs_table import print_folder  # noqa: PLC0415

        print_folder(pki)


@certs.command()
def trust(
    file: Annotated[
        Path | None,
        typer.Argument(help="The peer's certificate, DER or PEM; or give --from-url"),
    ] = None,
    *,
    from_url: Annotated[
        str | None, typer.Option(help="Ask this server for its certificate; or give FILE")
    ] = None,
    pki: Pki = FOLDER,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="The sha256 was compared; do not ask")
    ] = False,
) -> None:
    """Trust a peer, after its sha256 was compared with what the peer itself shows.

    Examples:
      trimtab certs trust --from-url opc.tcp://HOST:4840
      trimtab certs trust server.der --yes
      trimtab certs trust pki/rejected/client.der --pki /var/lib/trimtab-plant/pki

    Exit codes: 0 trusted; 2 no certificate, or nobody to ask and no --yes;
    4 the server does not answer.
    """
    with _faults_as_exit_codes():
        from controller.commissioning.certs import peer_at, peer_in  # noqa: PLC0415
        from controller.opcua.pki import Folder  # noqa: PLC0415

        if (file is None) == (from_url is None):
            raise ConfigError(
                file="command line", key="", received="both or neither of FILE and --from-url",
                allowed="one of them", action="name a file, or a server with --from-url",
            )  # fmt: skip
        peer = peer_in(file) if file is not None else peer_at(from_url or "")
        _say(peer)
        if not yes:
            _confirm()
        typer.echo(f"trusted: {Folder(pki).trust(peer)}")


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            file="command line", key="--yes", received="nothing, and nobody to ask",
            allowed="--yes, once the sha256 was compared", action="compare it, then add --yes",
        )  # fmt: skip
    typer.confirm("Is this sha256 the one that the peer itself shows?", abort=True)


def _say(certificate: x509.Certificate) -> None:
    """Print a certificate, a fact a line."""
    from controller.commissioning.certs_table import facts  # noqa: PLC0415

    for name, value in facts(certificate).items():
        typer.echo(f"{name:12} {value}")


@contextmanager
def _faults_as_exit_codes() -> Iterator[None]:
    """Print expected faults as a message; end with their exit code."""
    try:
        yield
    except (ConfigError, PlantRefusedError) as error:
        typer.echo(f"trimtab: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
