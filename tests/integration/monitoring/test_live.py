"""A day of the plant, watched by the real Prometheus; then every alert on its injected fault.

The tests of this file share the processes and run in their order.
"""

import asyncio
import json
import math
import re
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.waiting import until, until_told

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[3]
BOARDS = ("trimtab", "fleet")
DAY_S = 86400.0
STEP_S = 1.0
FEWEST = 5
"""Steps in command that tell enough, where a busy machine makes the controller shed."""
SETTLED_S = 8.0
"""Longer than any window of the filled-in expressions."""
CRITICAL, WARNING = "on-call", "control-room"


def panels(name: str) -> list[dict]:
    board = json.loads((ROOT / f"config/grafana/{name}.json").read_text())
    return [panel for panel in board["panels"] if panel.get("targets")]


def filled(expr: str) -> list[str]:
    """An expression with the viewer's choices in it; one for each that a panel repeats over."""
    expr = expr.replace("$__rate_interval", "5s").replace("$__range", "30s")
    found = [expr.replace("$unit", "R101")]
    for variable, values in (
        ("$eu", ("kg/m3", "K")),
        ("$mv", ("InitiatorFeed", "CoolantTemperature")),
    ):
        if variable in expr:
            found = [each.replace(variable, value) for each in found for value in values]
    return found


def expressions() -> list[tuple[str, str]]:
    """(panel, expression) of both dashboards."""
    return [
        (f"{name}: {panel['title']}", expr)
        for name in BOARDS
        for panel in panels(name)
        for target in panel["targets"]
        for expr in filled(target["expr"])
    ]


@pytest.fixture(scope="module")
def day() -> dict:
    """When the day in AUTO began and ended."""
    return {}


@pytest.mark.usefixtures("first", "watchers")
async def test_a_day_in_auto_is_watched(plant, day):
    async with plant.login("engineer") as engineer, plant.login("operator") as operator:
        await engineer.reset("grade_down")
        await asyncio.sleep(1.0)
        await operator.auto()
        began = await operator.get("Sim/PlantTime")
        await asyncio.sleep(SETTLED_S)
        day["begin"] = time.time()
        settled = await operator.get("Sim/PlantTime")
        while await operator.get("Sim/PlantTime") < settled + DAY_S:
            await asyncio.sleep(0.2)
            if not await operator.get("APC/Active"):  # a busy machine: late advice has shed
                await operator.call("APC/Acknowledge")
                await operator.auto()
        day["end"] = time.time()
        assert await operator.get("Sim/PlantTime") - began > DAY_S


def of_the_day(watchers, day, expr: str) -> list:
    """Series of an expression, step by step of the day."""
    span = {"start": day["begin"], "end": day["end"], "step": STEP_S}
    return watchers.ask("query_range", query=expr, **span)


def commanded(watchers, day) -> list[float]:
    """Steps of the day at which the controller was in command, and had been for some time.

    A scan is shorter than the time between two scrapes: that it was late or held for one is told
    by the counters alone.
    """
    unbroken = 'min_over_time(trimtab_mode{plant_unit="R101",trimtab_mode="AUTO"}[2s]) == 1'
    for counter in ("mode_transitions", "correction_refused", "scan_skipped"):
        rise = f'sum(increase(trimtab_{counter}_total{{plant_unit="R101"}}[2s]))'
        unbroken = f"{unbroken} and on() {rise} == 0"
    (mode,) = of_the_day(watchers, day, unbroken)
    found = [at for at, _value in mode["values"]]
    assert len(found) >= FEWEST
    return found


async def test_promtool_finds_no_fault_in_a_live_scrape(first, fetch):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is absent: apt-get install --no-install-recommends prometheus")
    text = await asyncio.to_thread(fetch, first.url)
    check = partial(subprocess.run, [promtool, "check", "metrics"], input=text, text=True)
    done = await asyncio.to_thread(check, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_what_is_scraped_are_values_of_the_run(watchers, day):
    at = commanded(watchers, day)[-1]

    def of(expr: str) -> float:
        found = watchers.ask("query", query=expr, time=at)
        assert found, expr
        return float(found[0]["value"][1])

    assert of('trimtab_mode{plant_unit="R101",trimtab_mode="AUTO"}') == 1.0
    assert 330.0 < of('trimtab_process_value{plant_unit="R101",tag="Temperature"}') < 362.0
    assert 300.0 <= of('trimtab_action_applied{tag="CoolantTemperature"}') <= 350.0
    margin = 'trimtab_constraint_margin_ratio{constraint="Temperature.safe_high"}'
    value = 'trimtab_process_value{tag="Temperature"}'
    assert of(f"max_over_time(({margin})[5s:500ms])") > 0.0
    assert of(f"min_over_time(({value})[5s:500ms])") < 362.0
    assert 0.0 <= of('trimtab_prediction_error_ratio{output="Temperature"}') < 0.2
    assert 0.0 < of("trimtab_ood_score") < 2.0
    assert of("trimtab_time_to_no_return_seconds") >= 0.0
    assert of("increase(trimtab_plant_seconds_total[10s])") > 5.0 * 3000.0
    assert of('sum(trimtab_alarms_active{state="unacknowledged"})') >= 0.0
    assert of('trimtab_opcua_certificate_expiry_timestamp_seconds{role="own"}') > time.time()
    assert of('count(trimtab_tag_quality{plant_unit="R101"} == 2)') > 20
    assert of("count(trimtab_mode_transitions_total)") > 50


async def test_exemplars_name_the_scan(watchers, day):
    found = watchers.ask(
        "query_exemplars",
        query='trimtab_scan_duration_seconds_bucket{plant_unit="R101"}',
        start=day["begin"],
        end=day["end"],
    )
    scans = [int(each["labels"]["scan_id"]) for series in found for each in series["exemplars"]]
    assert len(scans) > 10
    assert all(scan >= 0 for scan in scans)


async def test_every_expression_of_the_dashboards_answers(watchers, day):
    used = expressions()
    assert len(used) > 70
    at = day["end"]
    empty = [each for each in used if not watchers.ask("query", query=each[1], time=at)]
    assert empty == []


async def test_a_day_of_the_plant_shows_no_gap_in_any_panel(watchers, day):
    """Every series has a point at every step of the day.

    Each expression has a value, not NaN, at every step at which the controller was in command
    (what it moves, and why, does not exist at others, which come of a busy machine alone).
    """
    steps = math.floor((day["end"] - day["begin"]) / STEP_S) + 1
    assert steps >= 28
    needed = set(commanded(watchers, day))
    gaps = []
    for panel, expr in expressions():
        found = of_the_day(watchers, day, expr)
        short = [series["metric"] for series in found if len(series["values"]) < steps]
        seen = {at for series in found for at, value in series["values"] if value != "NaN"}
        if short or not needed <= seen:
            gaps.append((panel, expr, sorted(needed - seen), short))
    assert gaps == []


async def test_nothing_fires_of_a_controller_that_works(plant, watchers):
    """Nor after a shed, which comes of a busy machine, when the operator selects Auto anew."""
    quiet = {"ScanOverruns", "OutOfDistribution"}  # a busy machine is late, a fresh start unusual

    def fired() -> set[str]:
        return {alert for alert, _ in watchers.firing()}

    assert fired() <= quiet | {"Shed"}
    async with plant.login("operator") as operator:

        async def calm() -> bool:
            if not await operator.get("APC/Active"):
                await operator.call("APC/Acknowledge")
                await operator.auto()
            return fired() <= quiet

        await until(calm, 30.0, "no alert of a controller that works", every_s=0.5)


@pytest.mark.usefixtures("first")
async def test_shed(plant, watchers):
    async with plant.login("operator") as operator:
        await operator.call("APC/Shed", "a test")
        await watchers.fires("Shed", "R101", WARNING)
        await operator.call("APC/Acknowledge")
        await operator.select(1)
        await watchers.resolves("Shed", "R101", WARNING)


@pytest.mark.usefixtures("first")
async def test_constraint_violated(plant, watchers):
    async with plant.login("engineer") as engineer:
        truth = await engineer.get("Sim/Truth/Temperature")
        await engineer.fault("Temperature", "spike", 366.0 - truth)
        await watchers.fires("ConstraintViolated", "R101", CRITICAL)
        assert watchers.value("increase(trimtab_constraint_violation_seconds_total[5s])") > 0.0
        await engineer.fault("Temperature", "clear")
        await watchers.resolves("ConstraintViolated", "R101", CRITICAL)


@pytest.mark.usefixtures("first")
async def test_out_of_distribution(plant, watchers):
    async with plant.login("engineer") as engineer:
        truth = await engineer.get("Sim/Truth/Temperature")
        await engineer.fault("Temperature", "spike", 331.0 - truth)
        await watchers.fires("OutOfDistribution", "R101", WARNING)
        await engineer.fault("Temperature", "clear")
        await watchers.resolves("OutOfDistribution", "R101", WARNING)


@pytest.mark.usefixtures("first")
async def test_bad_input_and_the_plants_own_alarm(plant, watchers):
    standing = 'trimtab_alarms_active{priority="medium",state="unacknowledged",plant_unit="R101"}'
    known = f"{standing} >= 0"  # not NaN, as before the plant has told what stands
    await until_told(lambda: watchers.query(known), 15.0, "the plant's alarms")
    async with plant.login("engineer") as engineer:
        before = watchers.value(standing)
        await engineer.fault("MonomerConc", "bad_quality")
        await watchers.fires("BadInput", "R101", WARNING)
        await until_told(lambda: watchers.value(standing) > before, 15.0, "the plant's own alarm")
        await engineer.fault("MonomerConc", "clear")
        await watchers.resolves("BadInput", "R101", WARNING)


async def test_scan_stalled(first, watchers):
    first.blocked.touch()
    try:
        first.signal(signal.SIGUSR1)
        await watchers.fires("ScanStalled", "R101", CRITICAL)
        assert ("Down", "R101") not in watchers.firing()
    finally:
        first.blocked.unlink()
    await watchers.resolves("ScanStalled", "R101", CRITICAL)


async def test_journal_failing(first, watchers):
    first.limit_files(1)
    try:
        await watchers.fires("JournalFailing", "R101", CRITICAL)
    finally:
        first.limit_files(-1)
    await watchers.resolves("JournalFailing", "R101", CRITICAL)


async def test_scan_overruns(second, watchers):
    slow = second.folder / "slow"
    slow.touch()
    await watchers.fires("ScanOverruns", "R102", WARNING)
    slow.unlink()
    await watchers.resolves("ScanOverruns", "R102", WARNING)


async def test_certificate_expiry_is_told_once_and_over_with_a_new_certificate(
    plant, second, watchers, wait_until, certify
):
    await watchers.fires("CertificateExpiry", "R102", CRITICAL)

    def once() -> bool:
        found = watchers.standing()
        grave = found.get(("CertificateExpiry", "R102", "critical"))
        mild = found.get(("CertificateExpiry", "R102", "warning"))
        return bool(grave and mild and grave["state"] == "active" and mild["inhibitedBy"])

    await wait_until(once, 10, "the critical alert inhibits the warning")
    async with plant.login("engineer", 1) as engineer:
        await engineer.fault("MonomerConc", "bad_quality")
    second.process.end(signal.SIGINT)
    config = second.folder / "controller.toml"
    renewed = certify(plant, second.folder / "renewed", 365)
    config.write_text(re.sub(r"pki = .*", f"pki = {json.dumps(str(renewed))}", config.read_text()))
    await second.start()
    await watchers.resolves("CertificateExpiry", "R102", CRITICAL)
    alarms = (
        'trimtab_alarms_active{priority="medium",state="unacknowledged",plant_unit="R102"} >= 1'
    )
    await wait_until(lambda: watchers.query(alarms), 10, "an alarm of before the start is counted")
    async with plant.login("engineer", 1) as engineer:
        await engineer.fault("MonomerConc", "clear")


@pytest.mark.usefixtures("first")
async def test_opcua_disconnected(plant, watchers):
    plant.process.popen.kill()
    plant.process.end()
    await watchers.fires("OpcuaDisconnected", "R101", CRITICAL)
    assert ("BadInput", "R101") not in watchers.firing()
    await plant.start()
    await watchers.resolves("OpcuaDisconnected", "R101", CRITICAL)


async def test_a_shed_that_the_plant_cannot_be_told_of(plant, watchers):
    async with plant.login("operator") as operator:
        await operator.call("APC/Acknowledge")
        await operator.select(1)
        await asyncio.sleep(0.5)
        await operator.auto()
    plant.process.popen.send_signal(signal.SIGSTOP)
    try:
        await watchers.fires("ReleaseUnconfirmed", "R101", CRITICAL)
    finally:
        plant.process.popen.send_signal(signal.SIGCONT)
    await watchers.resolves("ReleaseUnconfirmed", "R101", CRITICAL)


async def test_down_is_all_that_is_told_of_a_controller_that_is_down(second, watchers, wait_until):
    def inhibited() -> bool:
        """The window of ScanOverruns reaches back to before the end, so that it still fires."""
        found = watchers.standing().get(("ScanOverruns", "R102", "warning"))
        return found is not None and found["state"] == "suppressed"

    slow = second.folder / "slow"
    slow.touch()
    await watchers.fires("ScanOverruns", "R102", WARNING)
    second.signal(signal.SIGSTOP)
    try:
        await watchers.fires("Down", "R102", CRITICAL)
        await wait_until(inhibited, 10, "ScanOverruns is suppressed")
    finally:
        slow.unlink()
        second.signal(signal.SIGCONT)
    await watchers.resolves("Down", "R102", CRITICAL)
