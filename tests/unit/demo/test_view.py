"""The terminal view: what it says, and that it fits."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from controller.demo.display import Lines, Screen
from controller.demo.monitor import NOTHING, Monitor
from controller.demo.plot import BLANK, Line, Plot
from controller.demo.room import ApcMode
from controller.demo.view import bar, clock, screen


@pytest.fixture
def monitor(row) -> Monitor:
    """A monitor in the middle of a grade change."""
    made = Monitor(end_h=24.0, speed=3000.0, of=3)
    made.begin("grade_up", 2)
    made.record([row(plant_time_s=300.0 * n, cv=[100.0 + n, 350.0]) for n in range(120)])
    made.image = replace(
        NOTHING,
        plant_time_s=36000.0,
        selector=ApcMode.AUTO,
        permit=True,
        active=True,
        pv=(138.7, 354.6),
        sp=(140.0, 355.0),
        actual=(1.8, 340.0),
    )
    made.note("operator selects Auto")
    return made


def shown(monitor: Monitor, width: int = 110, height: int = 32) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO())
    console.print(screen(monitor.frame(), width), height=height)
    return console.file.getvalue().splitlines()


def test_the_screen_says_what_an_operator_asks(monitor: Monitor):
    text = "\n".join(shown(monitor))
    for expected in (
        "grade change up  2 of 3",
        "10:00 of 24:00",
        "PV 138.7  SP 140.0  error -1.3 kg/m3",
        "Temperature, limit 365 K",
        "policy 1.90  corrected 1.80  actual 1.80 kg/h",
        "controller AUTO",
        "in control trimtab",
        "certificate  valid",
        "1.0e-07",
        "4.0 ms",
        "0 of 120",
        "10:00 operator selects Auto",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 50)])
def test_the_screen_fits_its_terminal(monitor: Monitor, width: int, height: int):
    lines = shown(monitor, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert any(ord(char) > BLANK for char in "".join(lines))


def test_a_temperature_above_the_limit_is_an_alarm(monitor: Monitor):
    assert "ABOVE LIMIT" not in "\n".join(shown(monitor))
    monitor.image = replace(monitor.image, pv=(138.7, 365.1))
    assert "ABOVE LIMIT" in "\n".join(shown(monitor))


def test_a_trip_and_a_shed_are_shown(monitor: Monitor):
    monitor.image = replace(monitor.image, active=False, shed_reason="heartbeat")
    assert "heartbeat" in "\n".join(shown(monitor))
    monitor.image = replace(monitor.image, tripped=True)
    assert "TRIPPED" in "\n".join(shown(monitor))


def test_advice_that_is_missing_is_not_shown_as_a_number(monitor: Monitor, row):
    monitor.record(
        [row(plant_time_s=36000.0, policy_move=None, move=None, gap=None, tolerance=None)]
    )
    frame = monitor.frame()
    assert math.isnan(frame.gap)
    assert "policy -  corrected -" in "\n".join(shown(monitor))
    assert "certificate  none" in "\n".join(shown(monitor))


def test_a_reset_of_plant_time_starts_the_trends_anew(monitor: Monitor, row):
    monitor.record([row(plant_time_s=0.0)])
    assert len(monitor.frame().hours) == 1
    assert monitor.frame().scan.count == 121


def test_before_anything_is_known_there_is_a_screen_too():
    assert len(shown(Monitor(end_h=24.0, speed=3000.0, of=3))) == 32


def test_a_line_of_dots_runs_from_bottom_left_to_top_right():
    line = Line(x=np.array([0.0, 1.0]), y=np.array([0.0, 1.0]), style="white")
    plot = Plot(lines=[line], x_range=(0.0, 1.0), y_range=(0.0, 1.0), digits=1, height=4)
    console = Console(width=27, height=4, file=io.StringIO())
    console.print(plot)
    rows = console.file.getvalue().splitlines()
    assert rows[0].startswith("   1.0 ")
    assert rows[3].startswith("   0.0 ")
    first = [min(i for i, char in enumerate(row[7:]) if ord(char) > BLANK) for row in rows[:4]]
    assert first == sorted(first, reverse=True)
    assert first[3] == 0
    assert ord(rows[0][-1]) > BLANK


def test_a_flat_line_and_no_data_are_drawn_without_complaint():
    flat = Line(x=np.array([0.0, 1.0]), y=np.array([2.0, 2.0]), style="white", step=True)
    none = Line(x=np.zeros(0), y=np.zeros(0), style="red")
    gap = Line(x=np.array([0.0, 1.0]), y=np.array([np.nan, np.nan]), style="red")
    plot = Plot(lines=[none, gap, flat], x_range=(0.0, 1.0), y_range=(2.0, 2.0))
    console = Console(width=30, file=io.StringIO())
    console.print(plot)
    dots = [char for char in console.file.getvalue() if ord(char) > BLANK]
    assert len(dots) == 23


def test_clock_and_bar():
    assert clock(7.583) == "07:35"
    assert bar(0.0, 4, "white").plain == "    "
    assert bar(0.5, 4, "white").plain == "██  "
    assert bar(9.9, 4, "white").plain == "████"


def test_without_a_terminal_there_is_a_line_every_four_hours(monitor: Monitor):
    console = Console(width=200, file=io.StringIO())
    with Lines(console) as lines:
        for hours in (0.1, 3.9, 4.1, 4.2, 8.0, 23.9):
            monitor.image = replace(monitor.image, plant_time_s=3600.0 * hours)
            lines.show(monitor.frame())
    written = console.file.getvalue().splitlines()
    assert [line[:5] for line in written] == ["04:06", "08:00", "23:54"]
    assert "PolymerConc 138.7/140.0 kg/m3" in written[0]


def test_the_screen_gives_the_terminal_back(monitor: Monitor):
    console = Console(width=110, height=32, file=io.StringIO(), force_terminal=True)
    with Screen(console) as display:
        display.show(monitor.frame())
    text = console.file.getvalue()
    assert text.index("\x1b[?1049h") < text.index("grade change up") < text.index("\x1b[?1049l")
