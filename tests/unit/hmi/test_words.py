"""What the journal's figures mean in words."""

import json
import math

import pytest

from controller.hmi.view import view
from controller.hmi.words import no_return_text
from controller.journal.document import number

PAST, BEYOND = "already past: the ceiling cannot be kept", "beyond the horizon"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (math.inf, BEYOND),
        (math.nan, ""),
        (0.0, ""),
        (5400.0, ""),
        (-1.0, PAST),
        (-1e-9, PAST),
        (-math.inf, PAST),
    ],
)
def test_time_to_no_return_as_the_journal_stores_it(unit, seen, tail, seconds, words):
    stored = json.loads(json.dumps(number(seconds)))
    assert no_return_text(stored) == words
    found = tail()
    found.scan["time_to_no_return_s"] = stored
    shown = view(unit, seen(tail=found))
    assert shown["no_return_text"] == words
    assert shown["time_to_no_return_s"] == (seconds if math.isfinite(seconds) else None)


def test_a_scan_of_an_older_journal_says_nothing(unit, seen, tail):
    found = tail()
    found.scan.pop("time_to_no_return_s", None)
    shown = view(unit, seen(tail=found))
    assert (shown["time_to_no_return_s"], shown["no_return_text"]) == (None, "")
    assert view(unit, seen())["no_return_text"] == ""
    assert no_return_text(None) == ""
