"""The plans from the plant's list of scenarios, and the run's folder."""

import json
from pathlib import Path

import pytest

from controller.demo.plan import plans
from controller.demo.processes import DemoError
from controller.demo.stage import make_folder

LISTING = {
    name: {"PolymerConc": P, "Temperature": T}
    for name, P, T in (
        ("startup", 100.0, 350.0),
        ("grade_down", 70.0, 345.0),
        ("grade_up", 140.0, 355.0),
    )
}


def test_each_scenario_has_its_target_and_its_moment():
    startup, up, down = plans(json.dumps(LISTING), hours=24.0)
    assert (startup.name, startup.setpoint, startup.auto_at_s) == ("startup", (100.0, 350.0), 600.0)
    assert (up.name, up.setpoint, up.auto_at_s) == ("grade_up", (140.0, 355.0), 3600.0)
    assert (down.name, down.setpoint) == ("grade_down", (70.0, 345.0))
    assert {plan.end_s for plan in (startup, up, down)} == {86400.0}


@pytest.mark.parametrize("listing", ["", "[]", "{}", json.dumps(LISTING)[:-1], '{"startup": 1}'])
def test_a_list_that_is_not_understood_is_an_error(listing: str):
    with pytest.raises(DemoError, match="not understood"):
        plans(listing, hours=24.0)


def test_a_folder_of_the_same_second_gets_a_number(tmp_path: Path):
    names = [make_folder(tmp_path / "runs", "now").name for _ in range(3)]
    assert names == ["now", "now-2", "now-3"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match=r"--out .*file: cannot be written") as caught:
        make_folder(tmp_path / "file", "now")
    assert caught.value.exit_code == 2
