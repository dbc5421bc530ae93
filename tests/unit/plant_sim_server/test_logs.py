import json
import logging
import os
import pty

import pytest
import structlog

from plant_sim import logs

END = "end of what was logged"


def _shown_until_now(stream, master):
    """The kernel hands over what was written in pieces: read up to a mark of our own."""
    stream.write(END)
    stream.flush()
    said = b""
    while not said.endswith(END.encode()):
        said += os.read(master, 100_000)
    return said.decode().removesuffix(END)


@pytest.fixture
def terminal(monkeypatch):
    """Logs to a terminal; what it was sent so far."""
    root = logging.getLogger()
    before = root.handlers, root.level
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        logs.configure_logs()
        yield lambda: _shown_until_now(stream, master)
    os.close(master)
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;PWNED\x07\x1b[2J", r"\x1b]0;PWNED\x07\x1b[2J"),
        ("a\nFAKELINE", r"a\nFAKELINE"),
        ("a\u202eb\x9bc", r"a\u202eb\x9bc"),
    ],
)
def test_a_client_cannot_send_orders_to_the_terminal(terminal, name, shown):
    structlog.get_logger("plant_sim").warning("login refused", user=name)
    assert shown in (said := terminal())
    assert name not in said
    structlog.get_logger("plant_sim").warning(name)
    assert shown in (said := terminal())
    assert name not in said
    logging.getLogger("asyncua.server").warning("request by %s", name)
    assert shown in (said := terminal())
    assert name not in said


def test_a_fault_in_asyncua_is_one_short_line(terminal):
    log = logging.getLogger("asyncua.server.binary_server_asyncio")
    try:
        int("x")
    except ValueError:
        log.exception("Exception raised while parsing message %s", "y" * 10_000)
    log.error("Exception raised while processing", exc_info=ValueError("no"))
    said = terminal()
    assert "Traceback" not in said
    assert said.count("\n") == 2
    assert len(said) < 1000
    assert "Exception raised while processing: ValueError" in said


def test_a_fault_of_the_plant_keeps_its_traceback(terminal):
    try:
        int("x")
    except ValueError:
        logging.getLogger("plant_sim").exception("broken")
    assert "Traceback" in terminal()


def test_the_journal_gets_a_priority_and_no_second_time(tmp_path, monkeypatch):
    root = logging.getLogger()
    before = root.handlers, root.level
    with (tmp_path / "stderr").open("w+") as out:
        found = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr("sys.stderr", out)
        logs.configure_logs()
        structlog.get_logger("plant_sim").info("ready", speed=1.0)
        logging.getLogger("asyncua.server").warning("request by %s", "a\nb")
        try:
            int("x")
        except ValueError:
            logging.getLogger("plant_sim").exception("broken")
        out.seek(0)
        ready, request, broken = out.read().splitlines()
    root.handlers, root.level = before
    structlog.reset_defaults()
    assert (ready[:3], request[:3], broken[:3]) == ("<6>", "<4>", "<3>")
    assert json.loads(ready[3:]) == {
        "event": "ready",
        "speed": 1.0,
        "level": "info",
        "logger": "plant_sim",
    }
    assert json.loads(request[3:])["event"] == "request by a\nb"
    assert "Traceback" in json.loads(broken[3:])["exception"]
