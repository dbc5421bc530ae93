"""Logs: JSON for machines, words for people, and the scan that a line belongs to."""

import io
import json

import pytest
import structlog

from controller.logs import configure, logger, scan_bound


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored():
    yield
    structlog.reset_defaults()


def test_a_pipe_gets_one_json_object_a_line_with_the_scan():
    out = io.StringIO()
    configure(stream=out)
    with scan_bound(311):
        logger("cycle").info("mode", before="AUTO", after="SHED")
    logger("link").warning("connection_lost")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["scan_id"], first["part"]) == ("mode", 311, "cycle")
    assert first["timestamp"].endswith("Z")
    assert "scan_id" not in second
    assert second["level"] == "warning"


def test_a_terminal_gets_words():
    out = Terminal()
    configure(stream=out)
    logger("link").info("reconnected", attempts=3)
    assert "reconnected" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


def test_the_form_can_be_forced_and_the_level_holds():
    out = Terminal()
    configure(level="warning", fmt="json", stream=out)
    logger("link").info("not said")
    logger("link").error("said")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["said"]


def test_an_exception_stays_one_line_of_json():
    out = io.StringIO()
    configure(stream=out)
    try:
        int("broken")
    except ValueError as error:
        logger("service").error("fault", exc_info=error)
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"
