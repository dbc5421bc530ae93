"""Logs: JSON for machines, words for people, and the scan that a line belongs to."""

import io
import json
import os
import subprocess
import sys

import pytest
import structlog

from controller.journald import prioritised
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


def journal_stream(file) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_dev}:{found.st_ino}"


LEVELS = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def test_the_journal_gets_a_priority_and_no_second_time(tmp_path, monkeypatch):
    with (tmp_path / "stderr").open("w+") as out:
        monkeypatch.setenv("JOURNAL_STREAM", journal_stream(out))
        configure(level="debug", stream=out)
        for level in LEVELS:
            with scan_bound(7):
                getattr(logger("link"), level)("said", level_said=level)
        try:
            int("broken")
        except ValueError as error:
            logger("service").error("fault", exc_info=error)
        out.seek(0)
        lines = out.read().splitlines()
    *told, fault = lines
    for line, (level, priority) in zip(told, LEVELS.items(), strict=True):
        prefix, document = line[:3], json.loads(line[3:])
        assert prefix == f"<{priority}>"
        assert (document["level"], document["scan_id"]) == (level, 7)
        assert "timestamp" not in document
        assert "\x1b" not in line
    assert fault.startswith("<3>{")
    assert json.loads(fault[3:])["exception"][0]["exc_type"] == "ValueError"


@pytest.mark.parametrize("stream", ["", "1:2", "no stream"])
def test_a_stream_that_is_not_the_journals_gets_plain_json(tmp_path, monkeypatch, stream):
    """As of a child whose standard error was redirected: $JOURNAL_STREAM is inherited."""
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    with (tmp_path / "stderr").open("w+") as out:
        configure(stream=out)
        logger("link").info("said")
        out.seek(0)
        assert json.loads(out.read())["timestamp"]


def test_the_journals_form_can_be_forced():
    out = io.StringIO()
    configure(fmt="journal", stream=out)
    logger("link").warning("said")
    assert out.getvalue().startswith('<4>{"')


def test_a_message_of_several_lines_keeps_its_priority():
    assert prioritised("a\nb", "error") == "<3>a\n<3>b"


def test_a_refusal_at_the_start_is_an_error_in_the_journal(tmp_path):
    with (tmp_path / "stderr").open("w+") as out:
        subprocess.run(
            [sys.executable, "-m", "controller.cli", "check", "--config", tmp_path / "none.toml"],
            stderr=out,
            env={**os.environ, "JOURNAL_STREAM": journal_stream(out)},
            check=False,
        )
        out.seek(0)
        lines = out.read().splitlines()
    assert lines
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("form", ["json", "journal", "console"])
def test_a_traceback_shows_no_variables(form):
    out = io.StringIO()
    configure(fmt=form, stream=out)

    def login(password: str) -> None:
        raise OSError(len(password))

    try:
        login("hush" * 2)
    except OSError:
        logger("test").exception("fault")
    assert "OSError" in out.getvalue()
    assert "hushhush" not in out.getvalue()
