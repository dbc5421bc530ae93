"""Logins that fail: who has to wait, and who is not kept out by others."""

import pytest

from controller.hmi.attempts import ADDRESSES, MOST_KEYS, MOST_KNOWN, Attempts, who
from controller.hmi.crowd import UNKNOWN, Crowd, neighbourhood
from controller.testing import FakeClock

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def attempts(clock):
    return Attempts(3, 60.0, clock)


def fail(attempts, times, user, address):
    for _ in range(times):
        assert attempts.wait_s(who(user, address)) == 0.0
        attempts.failed(who(user, address))


def test_an_address_has_to_wait_whoever_tries_from_it(attempts, clock):
    for user in ("anna", "bert", "carl"):
        fail(attempts, 1, user, HOME)
        clock.advance(1.0)
    assert attempts.wait_s(who("dora", HOME)) == pytest.approx(57.0)
    assert attempts.wait_s(who("dora", ELSEWHERE)) == 0.0
    clock.advance(57.0)
    assert attempts.wait_s(who("dora", HOME)) == 0.0


def test_a_user_has_to_wait_when_many_addresses_fail(attempts):
    for number in range(ADDRESSES):
        assert attempts.wait_s(who("anna", ELSEWHERE)) == 0.0
        fail(attempts, 3, "anna", f"203.0.113.{number}")
    assert attempts.wait_s(who("anna", ELSEWHERE)) == 60.0
    assert attempts.wait_s(who(" ANNA ", ELSEWHERE)) == 60.0  # a plant may take it for the same
    assert attempts.wait_s(who("bert", ELSEWHERE)) == 0.0
    assert attempts.wait_s(who("anna", ELSEWHERE, "other users")) == 0.0


def test_one_address_keeps_no_user_out_elsewhere(attempts):
    fail(attempts, 3, "anna", ELSEWHERE)
    assert attempts.wait_s(who("anna", HOME)) == 0.0


def test_who_has_logged_in_there_before_is_judged_alone(attempts):
    attempts.succeeded(who("anna", HOME))
    for number in range(2 * ADDRESSES):
        attacker = f"203.0.113.{number}"
        while attempts.wait_s(who("anna", attacker)) == 0.0:
            attempts.failed(who("anna", attacker))
    fail(attempts, 3, "bert", HOME)  # beside the operator, behind the same address
    assert attempts.wait_s(who("anna", ELSEWHERE)) > 0.0
    assert attempts.wait_s(who("anna", HOME)) == 0.0
    fail(attempts, 3, "anna", HOME)
    assert attempts.wait_s(who("anna", HOME)) > 0.0  # but no guess is free


def test_an_own_account_is_no_licence_to_guess(attempts):
    for _ in range(3):
        fail(attempts, 1, "anna", HOME)
        attempts.failed(who("bert", ELSEWHERE))
        attempts.succeeded(who("bert", HOME))
    assert attempts.wait_s(who("anna", HOME)) > 0.0
    assert attempts.wait_s(who("carl", HOME)) > 0.0


def test_what_a_user_mistyped_before_a_login_is_forgotten(attempts):
    fail(attempts, 2, "anna", HOME)
    attempts.succeeded(who("anna", HOME))
    fail(attempts, 2, "bert", HOME)
    assert attempts.wait_s(who("bert", HOME)) == 0.0


def test_a_failure_that_nobody_could_judge_is_taken_back(attempts):
    fail(attempts, 2, "anna", HOME)
    fail(attempts, 1, "bert", HOME)
    attempts.forgive(who("bert", HOME))
    attempts.forgive(who("bert", HOME))  # none of anna's
    fail(attempts, 1, "carl", HOME)
    assert attempts.wait_s(who("carl", HOME)) > 0.0


def test_memory_of_failures_is_bounded(attempts):
    for number in range(MOST_KEYS + 500):
        attempts.failed(who(f"user {number}", HOME))
        attempts.succeeded(who(f"other {number}", HOME))
    assert len(attempts) == MOST_KEYS
    assert len(attempts._known) == MOST_KNOWN


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::9", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", UNKNOWN),
        ("", UNKNOWN),
        ("x" * 10_000, UNKNOWN),
    ],
)
def test_what_counts_as_one_address(address, counted):
    assert neighbourhood(address) == counted


def test_one_address_does_not_fill_the_room():
    crowd = Crowd(5, 2)
    assert [crowd.enter("2001:db8::1"), crowd.enter("2001:db8::2")] == [True, True]
    assert not crowd.enter("2001:db8::3")
    assert [crowd.enter(None) for _ in range(4)] == [True, True, True, False]
    assert crowd.count == 5
    crowd.leave("2001:db8::1")
    assert crowd.enter("2001:db8::3")
    for address in ("2001:db8::2", "2001:db8::3", None, None, None):
        crowd.leave(address)
    assert (crowd.count, len(crowd._inside)) == (0, 0)
