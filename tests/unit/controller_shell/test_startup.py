"""What is checked before the plant is touched."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.configuration.settings import default_config_dir, load_settings
from controller.core.types import Measurement, Quality
from controller.errors import ConfigError
from controller.startup import SPEED, admit, check_period, prepare
from models.bundle import BundleError, default_bundle, sha256

PASSWORD = "never-shown-to-anybody"  # noqa: S105 - a test's


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("TRIMTAB_PASSWORD", PASSWORD)

    def load(**overrides):
        return load_settings(default_config_dir() / "controller.toml", overrides)

    return load


def speed(value: float) -> dict[str, Measurement]:
    held = Measurement(
        tag=SPEED,
        value=value,
        quality=Quality.GOOD,
        source_time=datetime.now(UTC),
        received_s=0.0,
    )
    return {SPEED: held}


def test_the_shipped_configuration_and_bundle_belong_together(settings):
    prepared = prepare(settings())
    assert [cv.name for cv in prepared.binding.cvs] == ["PolymerConc", "Temperature"]
    assert "handshake.heartbeat_in" not in prepared.wanted.read
    assert "handshake.heartbeat_in" in prepared.wanted.written
    assert {mv.target_key for mv in prepared.binding.mvs} <= set(prepared.wanted.written)
    assert {mv.target_key for mv in prepared.binding.mvs} <= set(prepared.wanted.read)
    assert prepared.wanted.targets == [mv.target_key for mv in prepared.binding.mvs]


def test_a_read_only_controller_has_nothing_to_write(settings):
    prepared = prepare(settings(mode={"read_only": True}))
    assert prepared.read_only
    assert prepared.wanted.written == []
    assert prepared.wanted.targets == []
    assert prepared.link_options.read_only


def test_a_read_and_a_write_together_fit_into_a_period(settings):
    for period in (0.1, 1.0, 300.0):
        options = prepare(settings(scan={"period_s": period})).link_options
        assert 2.0 * options.request_timeout_s <= period


def test_the_password_is_in_no_representation(settings):
    prepared = prepare(settings())
    assert prepared.password == PASSWORD
    assert PASSWORD not in repr(prepared)
    assert PASSWORD not in repr(prepared.endpoint)


def test_a_user_without_password_is_told_where_to_put_one(settings, monkeypatch):
    monkeypatch.delenv("TRIMTAB_PASSWORD")
    with pytest.raises(ConfigError, match="TRIMTAB_PASSWORD"):
        prepare(settings())


def test_a_foreign_policy_answers_within_the_scans_deadline(settings):
    assert prepare(settings()).policy_options is None
    policy = {"factory": "plant.policies:make"}
    options = prepare(settings(policy=policy)).policy_options
    assert options.timeout_s == pytest.approx(120.0)
    assert options.stuck_s == 900.0
    assert (list(options.cvs), list(options.mvs)) == (
        ["PolymerConc", "Temperature"],
        ["InitiatorFeed", "CoolantTemperature"],
    )
    assert options.warm_up.mv.tolist() == [1.25, 325.0]
    assert prepare(settings(policy={**policy, "timeout_s": 5.0})).policy_options.timeout_s == 5.0
    with pytest.raises(ConfigError, match=r"policy\.timeout_s") as refused:
        prepare(settings(policy={**policy, "timeout_s": 150.0}))
    assert "less than the scan's deadline, 150 s" in str(refused.value)


def test_a_missing_bundle_is_an_artefact_refused(settings, tmp_path):
    with pytest.raises(BundleError, match="no such file"):
        prepare(settings(bundle={"path": tmp_path}))


def test_a_pinned_manifest_is_the_only_one_accepted(settings, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(default_bundle(), copy)
    digest = sha256(copy / "manifest.json")
    prepare(settings(bundle={"path": copy, "manifest_sha256": digest}))
    with (copy / "manifest.json").open("a", encoding="utf-8") as manifest:
        manifest.write(" ")
    with pytest.raises(BundleError, match="pins"):
        prepare(settings(bundle={"path": copy, "manifest_sha256": digest}))


@pytest.mark.parametrize(
    ("period_s", "plant_speed", "fits"),
    [
        (0.1, 3000.0, True),
        (300.0, 1.0, True),
        (0.1, 3002.0, True),
        (0.1, 3004.0, False),
        (0.2, 3000.0, False),
        (0.1, 0.0, False),
    ],
)
def test_the_scan_period_must_fit_sample_time_and_speed(settings, period_s, plant_speed, fits):
    prepared = prepare(settings(scan={"period_s": period_s}))
    problem = check_period(prepared, speed(plant_speed))
    assert (problem is None) is fits
    if problem is not None:
        with pytest.raises(ConfigError, match=r"scan\.period_s"):
            admit(prepared, "controller.toml", speed(plant_speed))


@pytest.mark.parametrize(
    ("value", "quality", "fits"),
    [
        (3000.0, Quality.UNCERTAIN, True),
        (3000.0, Quality.BAD, False),
        (None, Quality.BAD, False),
        (float("nan"), Quality.GOOD, False),
    ],
)
def test_a_speed_of_bad_quality_is_not_used(settings, value, quality, fits):
    prepared = prepare(settings(scan={"period_s": 0.1}))
    held = replace(speed(3000.0)[SPEED], value=value, quality=quality)
    problem = check_period(prepared, {SPEED: held})
    assert problem == (None if fits else "clock.speed cannot be read")


def test_without_a_speed_tag_the_plant_runs_in_real_time(settings):
    assert check_period(prepare(settings(scan={"period_s": 300.0})), {}) is None
    problem = check_period(prepare(settings(scan={"period_s": 0.1})), {})
    assert "set scan.period_s = 300" in problem
