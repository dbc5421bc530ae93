"""`trimtab check`: does this configuration fit this plant?  Reads only, prints a table.

Exit code 0 when everything fits, 2 when the configuration must change, 4 when the plant must.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

from controller.commissioning.check_table import print_findings
from controller.commissioning.comparison import (
    SELECTOR,
    Finding,
    Verdict,
    absent_parts,
    compare_methods,
    compare_tag,
)
from controller.commissioning.scales import Scale
from controller.commissioning.server import server_findings
from controller.errors import EXIT_CONFIGURATION, EXIT_PLANT, PlantRefusedError
from controller.opcua.certificates import days_left, subject
from controller.opcua.endpoint import FAULTS
from controller.opcua.image import measurement
from controller.opcua.nodes import resolve
from controller.opcua.operation_limits import operation_limits
from controller.opcua.security import ServerRefusedError
from controller.opcua.survey import survey
from controller.policy.start import probe
from controller.refusals import explain_error
from controller.startup import SPEED, check_period, policy_refused, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from asyncua import Client
    from cryptography import x509

    from controller.configuration.binding import Variable
    from controller.configuration.choices import Choice
    from controller.configuration.settings import Settings
    from controller.configuration.tags import Scaled, Tags
    from controller.opcua.nodes import AddressBook
    from controller.opcua.survey import NodeFacts
    from controller.startup import Prepared

TIMEOUT = "handshake.heartbeat_timeout"
EXPIRES_SOON_DAYS = 30.0
MISSED_BEATS = 2.0
"""Heartbeats within the plant's time-out: one may be late without a shed."""


async def check_plant(settings: Settings, file: Path) -> int:
    """Compare and print; return the exit code.

    Raises ConfigError and BundleError for what is wrong before the plant is asked, and
    PlantRefusedError when it cannot be reached.
    """
    prepared = prepare(settings)
    findings = [*await _policy(prepared, file), *await _compare(prepared)]
    print_findings(findings, prepared, file)
    verdicts = {finding.verdict for finding in findings}
    if Verdict.CONFIGURATION in verdicts:
        return EXIT_CONFIGURATION
    return EXIT_PLANT if Verdict.PLANT in verdicts else 0


async def _policy(prepared: Prepared, file: Path) -> list[Finding]:
    """Start a foreign policy, ask it once and end it.  Raises ConfigError."""
    options, wanted = prepared.policy_options, prepared.settings.policy
    if options is None or wanted is None:
        return []
    reason = await probe(options)
    if reason is not None:
        raise policy_refused(wanted, file, reason)
    found = f"{wanted.factory or wanted.onnx} answers in its own process"
    return [Finding(key="policy", verdict=Verdict.FITS, found=found)]


async def _compare(prepared: Prepared) -> list[Finding]:
    client = prepared.endpoint.client()
    try:
        server = await prepared.endpoint.connect(client)
        return [*_certificates(prepared, server), *await _findings(client, prepared)]
    except (*FAULTS, ServerRefusedError) as error:
        reason = explain_error(error, prepared.endpoint, prepared.tags_file)
        raise PlantRefusedError(reason) from None
    finally:
        try:
            await client.disconnect()
        except FAULTS:
            client.disconnect_socket()


def _certificates(prepared: Prepared, server: x509.Certificate | None) -> Iterable[Finding]:
    """How the line is protected, and for how long yet."""
    security = prepared.security
    if security is None or server is None:
        yield Finding(
            key="security.policy",
            verdict=Verdict.NOTE,
            found="None: password and values cross this machine in clear",
        )
        return
    yield Finding(
        key="security.policy",
        verdict=Verdict.FITS,
        found=f"{security.policy}, signed and encrypted, to {subject(server)}",
    )
    for name, certificate in (("own", security.certificate), ("server's", server)):
        left = days_left(certificate)
        late = left < EXPIRES_SOON_DAYS
        yield Finding(
            key="security.certificate",
            verdict=Verdict.NOTE if late else Verdict.FITS,
            found=f"the {name} expires on {certificate.not_valid_after_utc:%Y-%m-%d}, "
            f"in {left:.0f} days",
            action="renew it and have the other side trust the new one" if late else "",
        )


async def _findings(client: Client, prepared: Prepared) -> list[Finding]:
    wanted, tags = prepared.wanted, prepared.tags
    limits = await operation_limits(client)
    book = await resolve(client, wanted.references, wanted.methods, limits)
    surveyed = await survey(client, list(book.nodes.values()))
    facts = dict(zip(book.nodes, surveyed, strict=True))
    findings = [
        Finding(
            key=missing.key,
            verdict=Verdict.PLANT,
            found=f"{missing.reference}: {missing.detail}",
            action="correct the reference in tags.toml; `trimtab tags browse` lists the nodes",
        )
        for missing in book.missing
    ]
    for key, fact in facts.items():
        findings += compare_tag(
            key,
            fact,
            _scale(prepared, key),
            written=key in wanted.written,
            choices=_choices(tags, key),
            numbers=_numbers(tags, key),
        )
    findings += compare_methods(await _executable(client, book))
    if SPEED in facts or SPEED not in wanted.references:
        findings.append(_period(prepared, facts))
    findings += _heartbeat(prepared, facts)
    findings += await server_findings(
        client, wanted=wanted, binding=prepared.binding, nodes=book.nodes, limits=limits
    )
    return [*findings, *absent_parts(tags)]


def _choices(tags: Tags, key: str) -> tuple[Choice, ...]:
    """What tags.toml takes a selector or the mode of an MV to show."""
    if key == SELECTOR:
        return tags.handshake.mode_values.all
    group, name, *_ = key.split(".")
    return tags.mv[name].remote if group == "mv" else (0,)


def _scale(prepared: Prepared, key: str) -> Scale | None:
    """How the values of a tag are read; None for a tag without a unit."""
    group, name, *_ = key.split(".")
    tags, binding = prepared.tags, prepared.binding
    tables: Mapping[str, Mapping[str, Scaled]] = {"cv": tags.cv, "mv": tags.mv, "dv": tags.dv}
    manifest = prepared.runtime.manifest
    variables: dict[str, Sequence[Variable]] = {
        "cv": manifest.cvs,
        "mv": manifest.mvs,
        "dv": manifest.dvs,
    }
    if group not in tables:
        return None
    ways = {f"cv.{cv.name}": cv.pv.conversion for cv in binding.cvs}
    ways |= {f"mv.{mv.name}": mv.conversion for mv in binding.mvs}
    ways |= {f"dv.{dv.name}": dv.pv.conversion for dv in binding.dvs}
    return Scale(
        table=tables[group][name],
        variable=next(item for item in variables[group] if item.name == name),
        conversion=ways[f"{group}.{name}"],
    )


def _numbers(tags: Tags, key: str) -> Mapping[int, str]:
    """What tags.toml makes of the numbers of an enumeration."""
    meant: dict[Choice, str] = {}
    group, name, *rest = key.split(".")
    if key == SELECTOR:
        values = tags.handshake.mode_values
        shadow = values.shadow or ()
        meant = dict.fromkeys(values.manual, "manual") | dict.fromkeys(shadow, "shadow")
        meant |= dict.fromkeys(values.auto, "auto")
    elif group == "mv" and rest == ["mode"]:
        meant = dict.fromkeys(tags.mv[name].remote, "remote")
    return {value: mode for value, mode in meant.items() if type(value) is int}


async def _executable(client: Client, book: AddressBook) -> dict[str, bool | None]:
    if not book.methods:
        return {}
    answers = await client.uaclient.read_attributes(
        [method for _, method in book.methods.values()], ua.AttributeIds.UserExecutable
    )
    return {
        key: answer.Value.Value if answer.Value is not None else None
        for key, answer in zip(book.methods, answers, strict=True)
    }


def _period(prepared: Prepared, facts: Mapping[str, NodeFacts]) -> Finding:
    held = facts[SPEED].value if SPEED in facts else None
    image = {} if held is None else {SPEED: measurement(SPEED, held, 0.0)}
    problem = check_period(prepared, image)
    period = prepared.settings.scan.period_s
    if problem is None:
        found = f"{period:g} s, as the model's sample time and the plant's speed ask for"
        return Finding(key="scan.period_s", verdict=Verdict.FITS, found=found)
    return Finding(
        key="scan.period_s",
        verdict=Verdict.CONFIGURATION,
        found=f"{period:g} s does not fit",
        action=problem,
    )


def _heartbeat(prepared: Prepared, facts: Mapping[str, NodeFacts]) -> Iterable[Finding]:
    """The plant must wait for more than one missed heartbeat before it sheds."""
    held = facts[TIMEOUT].value if TIMEOUT in facts else None
    allowed = None if held is None or held.Value is None else held.Value.Value
    tick = prepared.settings.scan.supervision_s
    if isinstance(allowed, int | float) and allowed < MISSED_BEATS * tick:
        yield Finding(
            key=TIMEOUT,
            verdict=Verdict.CONFIGURATION,
            found=f"the plant sheds after {allowed:g} s, a heartbeat comes every {tick:g} s",
            action=f"set scan.tick_s to at most {allowed / MISSED_BEATS:g}, or have the "
            "plant wait longer",
        )
