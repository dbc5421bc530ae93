"""Everything that is read and checked before the plant is touched.

`prepare` loads settings, tags and bundle and joins them; any fault ends here, with nothing written
and nothing connected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

from controller.configuration.binding import bind
from controller.configuration.settings import read_password
from controller.configuration.tags import load_tags
from controller.core.state import Mode
from controller.core.types import OperatorMode, Quality
from controller.core.validate import ValidationRules
from controller.errors import ConfigError
from controller.metrics import Labelling
from controller.opcua.connection import Wanted
from controller.opcua.endpoint import Endpoint
from controller.opcua.lease import Ownership
from controller.opcua.link import LinkOptions
from controller.opcua.outbound import WRITTEN_KEYS
from controller.opcua.release import SELECTOR
from controller.opcua.security import load_security
from controller.policy.start import PolicyOptions
from controller.reporting import TRANSITIONS
from controller.scan_meter import OUTCOMES, REFUSALS, Yardsticks
from controller.warmup import WarmUp, middle, warm_up
from models.bundle import MANIFEST, BundleError, default_bundle, sha256
from models.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from controller.configuration.binding import Binding
    from controller.configuration.settings import PolicySettings, ScanSettings, Settings
    from controller.configuration.tags import Tags
    from controller.core.types import Measurement
    from controller.opcua.security import ClientSecurity
    from models.bundle import Manifest

Image: TypeAlias = "Mapping[str, Measurement]"

SHORTEST_PUBLISHING_S = 0.1
LONGEST_PUBLISHING_S = 1.0

PERIOD_TOLERANCE = 1e-3
"""Relative difference of period x speed from the sample time that still counts as equal."""

SPEED = "clock.speed"

POLICY_SHARE = 0.8
"""Share of the scan's deadline that a foreign policy may take unless configured."""

STUCK_SCANS = 3.0
STUCK_AT_LEAST_S = 5.0
"""Silence after which a foreign policy's worker is replaced: three scans (AUTO has shed by then),
but at least so long, as a start may take longer than the overrun that it is to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that a controller is made of, checked and joined; nothing is open yet."""

    settings: Settings
    tags: Tags
    tags_file: Path
    bundle: Path
    manifest_sha256: str
    runtime: Runtime
    warm_up: WarmUp
    binding: Binding
    password: str | None = field(repr=False)
    security: ClientSecurity | None

    @property
    def read_only(self) -> bool:
        """True when nothing at all may be written to the plant."""
        return self.settings.mode.read_only

    @property
    def rules(self) -> ValidationRules:
        """How values are doubted."""
        manifest = self.runtime.manifest
        return ValidationRules(
            sample_time_s=manifest.sample_time_s,
            max_gap_s=manifest.max_gap_s,
            heartbeat_limit_s=self.settings.scan.heartbeat_limit_s,
            stand_in=OperatorMode(self.settings.mode.operator_mode),
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect, and as whom."""
        server = self.settings.server
        return Endpoint(
            url=server.url,
            user=server.user,
            password=self.password,
            connect_timeout_s=server.connect_timeout_s,
            security=self.security,
        )

    @property
    def wanted(self) -> Wanted:
        """What a session must offer.  What is only written is not read."""
        references = self.tags.references()
        only_written = {
            key for key in references if key.startswith("diagnostics.") or key == WRITTEN_KEYS[0]
        }
        targets = [mv.target_key for mv in self.binding.mvs]
        written = only_written | set(targets) | (set(WRITTEN_KEYS) & set(references))
        if self.binding.mode_on_shed is not None:
            written.add(SELECTOR)
        tick = self.settings.scan.supervision_s
        return Wanted(
            references=references,
            methods=self.tags.methods(),
            read=[key for key in references if key not in only_written],
            written=[] if self.read_only else [key for key in references if key in written],
            targets=[] if self.read_only else targets,
            publishing_s=min(max(tick / 2.0, SHORTEST_PUBLISHING_S), LONGEST_PUBLISHING_S),
        )

    @property
    def link_options(self) -> LinkOptions:
        """How the link behaves; a read and a write together fit into one period."""
        server, scan = self.settings.server, self.settings.scan
        return LinkOptions(
            read_only=self.read_only,
            request_timeout_s=min(server.request_timeout_s, 0.5 * scan.period_s),
            reconnect_max_s=server.reconnect_max_s,
            ownership=Ownership(owner=server.owner, lease_ttl_s=server.lease_ttl_s),
        )

    @property
    def policy_options(self) -> PolicyOptions | None:
        """What runs in the place of the bundle's policy; None for the bundle's own."""
        wanted, scan = self.settings.policy, self.settings.scan
        return None if wanted is None else _policy_options(wanted, scan, self.runtime.manifest)

    @property
    def yardsticks(self) -> Yardsticks:
        """What scans are measured against."""
        return Yardsticks.of(self.runtime.manifest)

    @property
    def labelling(self) -> Labelling:
        """Everything that names a series of the metrics."""
        manifest, scan = self.runtime.manifest, self.settings.scan
        return Labelling(
            cvs=[(cv.name, cv.unit) for cv in manifest.cvs],
            mvs=[(mv.name, mv.unit) for mv in manifest.mvs],
            tags=list(self.wanted.read),
            modes=[mode.value for mode in Mode],
            outcomes=OUTCOMES,
            refusals=[str(reason) for reason in REFUSALS],
            period_s=scan.period_s,
            deadline_s=scan.deadline_s,
            version=version("trimtab"),
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=self.manifest_sha256,
            transitions=TRANSITIONS,
            constraints=[ceiling.name for ceiling in self.yardsticks.ceilings],
        )


def prepare(settings: Settings) -> Prepared:
    """Load and join everything.  Raises ConfigError (exit 2) or BundleError (exit 3)."""
    _check_policy_timeout(settings)
    tags = load_tags(settings.tags.path)
    bundle = settings.bundle.path or default_bundle()
    digest = _pinned(bundle, settings.bundle.manifest_sha256)
    runtime = Runtime.load(bundle)
    return Prepared(
        settings=settings,
        tags=tags,
        tags_file=settings.tags.path,
        bundle=bundle,
        manifest_sha256=digest,
        runtime=runtime,
        warm_up=warm_up(runtime),
        binding=bind(tags, runtime.manifest, file=settings.tags.path),
        password=_password(settings),
        security=load_security(settings.security),
    )


def policy_refused(settings: PolicySettings, file: Path | str, reason: str) -> ConfigError:
    """The error for a foreign policy that does not start, with the worker's words."""
    key = "factory" if settings.onnx is None else "onnx"
    return ConfigError(
        file=file, key=f"policy.{key}", received=str(getattr(settings, key)),
        allowed="a policy that loads, and answers a first question with one number for each MV",
        action=f"correct what the policy's own process says: {reason}",
    )  # fmt: skip


def _check_policy_timeout(settings: Settings) -> None:
    timeout_s = None if settings.policy is None else settings.policy.timeout_s
    if timeout_s is not None and timeout_s >= settings.scan.deadline_s:
        raise ConfigError(
            file="settings", key="policy.timeout_s", received=timeout_s,
            allowed=f"less than the scan's deadline, {settings.scan.deadline_s:g} s",
            action="leave it out for 0.8 of the deadline, or scan.deadline_fraction higher",
        )  # fmt: skip


def _policy_options(
    wanted: PolicySettings, scan: ScanSettings, manifest: Manifest
) -> PolicyOptions:
    """The first question is about the middle of every range."""
    if wanted.onnx is not None:
        load = {"onnx": str(wanted.onnx)}
    else:
        load = {"factory": str(wanted.factory), "folder": str(wanted.folder)}
    return PolicyOptions(
        python=wanted.python,
        load=load,
        cvs=[cv.name for cv in manifest.cvs],
        mvs=[mv.name for mv in manifest.mvs],
        dvs=[dv.name for dv in manifest.dvs],
        warm_up=middle(manifest),
        timeout_s=wanted.timeout_s or POLICY_SHARE * scan.deadline_s,
        start_timeout_s=wanted.start_timeout_s,
        stuck_s=max(STUCK_SCANS * scan.period_s, STUCK_AT_LEAST_S),
    )


def _password(settings: Settings) -> str | None:
    secret = read_password(settings)
    if secret is None and settings.server.user is not None:
        raise ConfigError(
            file="settings", key="server.password_file", received="nothing",
            allowed=f'a password for the user "{settings.server.user}"',
            action="set server.password_file or TRIMTAB_PASSWORD; "
            "leave server.user out to connect without a user",
        )  # fmt: skip
    return None if secret is None else secret.get_secret_value()


def _pinned(bundle: Path, pin: str | None) -> str:
    """Digest of the manifest.  Raises BundleError when it is not the pinned one."""
    manifest = bundle / MANIFEST
    digest = sha256(manifest) if manifest.is_file() else ""
    if pin is not None and digest and digest != pin:
        raise BundleError(
            f"{manifest}: sha256 is {digest}, but [bundle] manifest_sha256 pins {pin}; "
            "restore the pinned bundle, or change the pin on purpose"
        )
    return digest


def check_period(prepared: Prepared, image: Image) -> str | None:
    """Why the scan period does not fit sample time and plant speed; None when it does."""
    held = image.get(SPEED)
    speed = held.value if held is not None else 1.0
    bad = held is not None and held.quality is Quality.BAD
    if bad or isinstance(speed, str | None) or not math.isfinite(speed):
        return "clock.speed cannot be read"
    wanted = prepared.runtime.manifest.sample_time_s
    period = prepared.settings.scan.period_s
    if abs(period * speed - wanted) <= PERIOD_TOLERANCE * wanted:
        return None
    return (
        f"scan.period_s = {period:g} at {speed:g} times real time samples every "
        f"{period * speed:g} s of plant time; the model needs {wanted:g} s: "
        f"set scan.period_s = {wanted / speed:g}"
        if speed > 0
        else f"the plant's clock stands still (speed {speed:g})"
    )


def admit(prepared: Prepared, file: Path | str, image: Image) -> None:
    """Refuse a scan period that does not fit.  Raises ConfigError."""
    problem = check_period(prepared, image)
    if problem is not None:
        raise ConfigError(
            file=file, key="scan.period_s", received=prepared.settings.scan.period_s,
            allowed="the model's sample time divided by the plant's speed", action=problem,
        )  # fmt: skip
