"""Policies as a user might bring them, good and bad; each factory returns one.

Loaded by real worker processes; nothing here imports the project.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

HUNG_AFTER = 2
"""Calls that a policy answers before it misbehaves: the warm-up, and one."""

OVERRUN_S = 1.0


def holds():
    """Keep the MVs where they are."""
    return lambda observation: list(observation["mv"].values())


def tells():
    """Answer with what it was asked."""

    def policy(observation):
        first = observation["cv"]["A"] + 10.0 * observation["sp"]["A"]
        return [first, observation["plant_time_s"] + observation["dv"]["D"]]

    return policy


def from_the_third_call(act):
    """A policy that holds twice, and then does `act(observation)`."""
    calls = 0

    def policy(observation):
        nonlocal calls
        calls += 1
        return list(observation["mv"].values()) if calls <= HUNG_AFTER else act(observation)

    return policy


def overruns():
    def sleep(observation):
        time.sleep(OVERRUN_S)
        return list(observation["mv"].values())

    return from_the_third_call(sleep)


def spins():
    """Hold the interpreter's lock, in Python."""

    def spin(observation):
        end = time.perf_counter() + OVERRUN_S
        while time.perf_counter() < end:
            pass
        return list(observation["mv"].values())

    return from_the_third_call(spin)


def hangs():
    return from_the_third_call(lambda _: time.sleep(3600.0))


def crashes():
    return from_the_third_call(lambda _: os.kill(os.getpid(), signal.SIGSEGV))


def exits():
    return from_the_third_call(lambda _: sys.exit(7))


def crashes_and_leaves_a_child():
    def act(_):
        if os.fork() == 0:
            time.sleep(3600.0)
        os._exit(3)

    return from_the_third_call(act)


def raises():
    return from_the_third_call(lambda _: {}["no such key"])


def prints():
    """Write to every way out that a library might use."""

    def policy(observation):
        print("a word", flush=True)  # noqa: T201
        os.write(1, b"\x00\x00\x00\x05bytes")
        sys.stderr.write("another\n")
        os.system("echo from a shell")  # noqa: S605
        return list(observation["mv"].values())

    return policy


def breaks_the_line():
    """Write where only the worker may: on every descriptor that takes it."""

    def act(observation):
        for number in range(3, 20):
            try:
                os.write(number, b"\x00\x00\x00\x05bytes")
            except OSError:
                continue
        return list(observation["mv"].values())

    return from_the_third_call(act)


def answers_twice():
    """Send an answer to a question that nobody asked, from a thread, a moment after its own."""

    def act(observation):
        def write():
            time.sleep(0.1)
            for number in range(3, 20):
                try:
                    os.write(number, b'\x00\x00\x00\x22{"number": 99, "move": [1.0, 2.0]}')
                except OSError:
                    continue

        threading.Thread(target=write).start()
        return list(observation["mv"].values())

    return from_the_third_call(act)


def returns(value):
    return from_the_third_call(lambda _: value)


def nan():
    return returns([float("nan"), 1.0])


def infinite():
    return returns([1.0, float("inf")])


def short():
    return returns([1.0])


def words():
    return returns(["1.0", "2.0"])


def word():
    return returns("12")


def nothing():
    return returns(None)


def table():
    return returns({"F": 1.0, "T": 2.0})


def nested():
    return returns([[1.0, 2.0]])


def flags():
    return returns([True, False])


def huge():
    return returns([10**400, 1.0])


def bad_from_the_start():
    return lambda _: [float("nan"), float("nan")]


def slow_to_load():
    time.sleep(3600.0)


def no_function():
    return 3


def fails_to_load():
    raise RuntimeError("no licence for this model")


def environment():
    """Refuse to work where a secret can be read."""

    def policy(observation):
        secret = [name for name in os.environ if name.startswith(("TRIMTAB", "NOTIFY"))]
        if secret:
            raise RuntimeError(f"I can read {secret}")
        return list(observation["mv"].values())

    return policy


def once():
    """Crash on every question but the first two; a file counts the starts of the worker."""
    with Path(os.environ["STARTS"]).open("a", encoding="utf-8") as starts:
        starts.write(f"{os.getpid()}\n")
    return crashes()
