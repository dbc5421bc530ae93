"""What `trimtab certs show` prints: tables on a terminal, tabs where the output is piped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.opcua.certificates import (
    days_left,
    fault,
    hosts,
    kept,
    short_thumbprint,
    subject,
    thumbprint,
    uris,
)
from controller.opcua.pki import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography import x509

SOON_DAYS = 30.0
HEADINGS = ("", "subject", "application", "sha256", "valid to", "days left", "file")


def facts(certificate: x509.Certificate) -> dict[str, str]:
    """Everything about one certificate that a person compares."""
    return {
        "subject": subject(certificate),
        "application": ", ".join(uris(certificate)) or "not named",
        "hosts": ", ".join(hosts(certificate)) or "not named",
        "sha256": thumbprint(certificate),
        "sha1": short_thumbprint(certificate),
        "valid": f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
        "days left": f"{days_left(certificate):.0f}",
    }


def print_folder(pki: Path) -> None:
    """Print our certificate, the trusted and the rejected ones.  Raises ConfigError."""
    folder = Folder(pki)
    own = folder.own()
    rows: list[tuple[str, Path, x509.Certificate | None]] = [("own", folder.certificate, own)]
    for name, place in (("trusted", folder.trusted), ("rejected", folder.rejected)):
        rows += [(name, item.file, item.certificate) for item in kept(place)]
    console = Console()
    lines = [(who, *_cells(file, certificate)) for who, file, certificate in rows]
    if not console.is_terminal:
        for line in (HEADINGS, *lines):
            sys.stdout.write("\t".join(line) + "\n")
        return
    table = Table(title=f"certificates in {pki}", title_justify="left", box=SIMPLE)
    for heading in ("", "certificate", "sha256", "valid"):
        table.add_column(heading, overflow="fold")
    for line, (_, _, certificate) in zip(lines, rows, strict=True):
        table.add_row(*(Text(cell) for cell in _stacked(line)), style=_style(certificate))
    console.print(table)


def _stacked(line: tuple[str, ...]) -> tuple[str, ...]:
    """Cells that fit 80 columns."""
    who, name, application, digest, end, left, file = line
    halves = f"{digest[:32]}\n{digest[32:]}"
    return who, f"{name}\n{application}\n{file}", halves, f"to {end}\n{left} days" if end else ""


def _cells(file: Path, certificate: x509.Certificate | None) -> Iterator[str]:
    if certificate is None:
        yield from ("not a certificate", "", "", "", "", str(file))
        return
    problem = fault(certificate)
    yield subject(certificate)
    yield ", ".join(uris(certificate))
    yield thumbprint(certificate)
    yield f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    yield f"{days_left(certificate):.0f}" + (f" ({problem})" if problem else "")
    yield str(file)


def _style(certificate: x509.Certificate | None) -> str:
    if certificate is None or fault(certificate) is not None:
        return "red"
    return "yellow" if days_left(certificate) < SOON_DAYS else ""
