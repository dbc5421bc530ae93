"""sd_notify over a real socket: nothing waits, and what must be heard is said again."""

import socket
import time

import pytest

from controller.announcer import STATUS_LENGTH, Announcer


@pytest.fixture
def inbox(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)  # noqa: FBT003
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield heard


@pytest.fixture
def announcer(inbox):  # noqa: ARG001 - it must be there first
    made = Announcer()
    yield made
    made.close()


def told(inbox):
    lines = []
    while True:
        try:
            lines.append(inbox.recv(1000).decode())
        except BlockingIOError:
            return lines


def filled(announcer, inbox):
    """Nobody reads until the kernel keeps no more."""
    for _ in range(10_000):
        announcer.alive()
    assert len(told(inbox)) < 10_000
    for _ in range(10_000):
        announcer.alive()


def test_a_manager_that_does_not_read_is_not_waited_for(announcer, inbox):
    started = time.thread_time(), time.monotonic()
    filled(announcer, inbox)
    waited = (time.monotonic() - started[1]) - (time.thread_time() - started[0])
    assert waited < 5.0, "it slept"


def test_a_ready_that_was_lost_is_said_again(announcer, inbox):
    filled(announcer, inbox)
    announcer.ready()
    assert "READY=1" not in told(inbox)
    announcer.alive()
    announcer.alive()
    assert told(inbox) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_a_status_is_one_line_sent_once_and_again_where_it_was_lost(announcer, inbox):
    announcer.status("AUTO:\n in  command")
    announcer.status("AUTO: in command")
    assert told(inbox) == ["STATUS=AUTO: in command"]
    announcer.status("SHED: \x1b[2Jthe DCS\nREADY=1")
    assert told(inbox) == [r"STATUS=SHED: \x1b[2Jthe DCS READY=1"]
    announcer.status("x" * 10_000)
    assert told(inbox) == ["STATUS=" + "x" * STATUS_LENGTH]
    filled(announcer, inbox)
    announcer.status("HOLD")
    assert "STATUS=HOLD" not in told(inbox)
    announcer.status("HOLD")
    assert told(inbox) == ["STATUS=HOLD"]


def test_where_nobody_listens_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    silent = Announcer()
    silent.ready()
    silent.alive()
    silent.status("AUTO")
    silent.stopping()
    silent.close()
    silent.alive()


def test_a_manager_that_is_gone_ends_nothing(announcer, inbox):
    inbox.close()
    announcer.alive()
    announcer.ready()
