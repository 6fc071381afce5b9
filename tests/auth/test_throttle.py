"""How guessing is slowed down, and that others are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailhive.auth.errors import TooManyAttempts
from mailhive.auth.throttle import Throttle, network


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    clock.advance(1_000_000)
    return Throttle(clock.seconds, records=100)


def fail(throttle, login="alice", password="guess", peer="192.0.2.1", times=1):
    for number in range(times):
        throttle.begin(login, f"{password}{number}", peer).failed()


def retry_after(throttle, login="alice", password="x", peer="192.0.2.1"):
    with pytest.raises(TooManyAttempts) as caught:
        throttle.begin(login, password, peer)
    return caught.value.retry_after


def test_the_wait_doubles_with_each_failure(throttle, clock):
    fail(throttle, times=5)
    waits = []
    for _ in range(12):
        waits.append(retry_after(throttle))
        clock.advance(waits[-1])
        fail(throttle)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_login_is_protected_from_many_addresses(throttle):
    for number in range(5):
        fail(throttle, peer=f"192.0.2.{number}")
    assert retry_after(throttle, login="ALICE", peer="198.51.100.1") == 1
    throttle.begin("bob", "x", "198.51.100.1").succeeded()


def test_an_address_that_tries_many_logins(throttle):
    for number in range(20):
        fail(throttle, login=f"login{number}")
    assert retry_after(throttle, login="another") == 1
    throttle.begin("another", "x", "192.0.2.2").succeeded()


def test_ipv6_counts_by_network(throttle):
    for number in range(20):
        fail(throttle, login=f"login{number}", peer=f"2001:db8::{number:x}")
    assert retry_after(throttle, login="another", peer="2001:db8::ffff") == 1
    throttle.begin("another", "x", "2001:db8:0:1::1").succeeded()


def test_who_logged_in_from_there_is_not_locked_out(throttle, clock):
    throttle.begin("alice", "right", "192.0.2.9").succeeded()
    fail(throttle, peer="198.51.100.1", times=5)
    for number in range(15):
        fail(throttle, login=f"login{number}", peer="192.0.2.9")
    assert retry_after(throttle, peer="198.51.100.1") == 1
    throttle.begin("alice", "right", "192.0.2.9").succeeded()
    # But cannot be guessed from there without end either.
    fail(throttle, peer="192.0.2.9", times=10)
    assert retry_after(throttle, peer="192.0.2.9") == 1
    clock.advance(90_000)
    fail(throttle, peer="192.0.2.9", times=5)
    assert retry_after(throttle, peer="192.0.2.9") == 1


def test_success_forgets_the_failures_of_a_login(throttle):
    fail(throttle, times=4)
    throttle.begin("alice", "right", "192.0.2.1").succeeded()
    fail(throttle, times=4, peer="192.0.2.7")
    throttle.begin("alice", "right", "192.0.2.7").succeeded()


def test_failures_are_forgotten(throttle, clock):
    fail(throttle, times=5)
    clock.advance(3_601)
    fail(throttle, times=5)
    assert retry_after(throttle) == 1


def test_a_burst_counts_while_it_is_looked_at(throttle):
    attempts = [throttle.begin("alice", f"guess{i}", "192.0.2.1") for i in range(5)]
    assert retry_after(throttle, password="guess5") == 1
    for attempt in attempts:
        attempt.failed()
    assert retry_after(throttle, password="guess5") == 1


def test_one_password_many_times_at_once_counts_once(throttle):
    attempts = [throttle.begin("alice", "same", "192.0.2.1") for _ in range(50)]
    for attempt in attempts:
        attempt.failed()
    fail(throttle, times=3)
    throttle.begin("alice", "right", "192.0.2.1").succeeded()


def test_what_nobody_can_tell_does_not_count(throttle):
    for _ in range(50):
        throttle.begin("alice", "x", "192.0.2.1").undecided()
    assert throttle._records == {}


def test_memory_is_bounded(throttle):
    for number in range(1_000):
        fail(throttle, login=f"login{number}", peer=f"10.0.{number // 250}.{number % 250}")
        throttle.begin(f"user{number}", "x", f"10.1.{number // 250}.{number % 250}").succeeded()
    pending = [throttle.begin(f"p{i}", "x", f"10.2.{i // 250}.{i % 250}") for i in range(1_000)]
    assert len(throttle._records) <= 100
    assert len(throttle._known) <= 100
    for attempt in pending:
        attempt.failed()
    assert len(throttle._records) <= 100


def test_an_attempt_does_not_show_the_password(throttle):
    attempt = throttle.begin("alice", "s3cret", "192.0.2.1")
    assert "s3cret" not in repr(attempt)
    assert "s3cret" not in repr(throttle._records)
    attempt.undecided()


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_networks(peer, expected):
    assert network(peer) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["1", "2", "3"]),
            st.sampled_from(["192.0.2.1", "192.0.2.2"]),
            st.sampled_from([True, False, None]),
            st.integers(0, 3),
            st.floats(0, 500),
        ),
        max_size=60,
    )
)
def test_nothing_stays_pending(attempts):
    clock = Clock()
    clock.advance(1_000_000)
    throttle = Throttle(clock.seconds, records=3)
    running = []
    for login, password, peer, right, end, advance in attempts:
        clock.advance(advance)
        try:
            running.append((throttle.begin(login, password, peer), right))
        except TooManyAttempts as error:
            assert 0 < error.retry_after <= 300
        for _ in range(min(end, len(running))):
            throttle.end(*running.pop(0))
    for attempt, right in running:
        throttle.end(attempt, right)
    assert all(not record.pending for record in throttle._records.values())
    assert len(throttle._records) <= 3


def test_tokens_count_for_their_network_alone():
    clock = Clock()
    throttle = Throttle(clock.seconds)
    for number in range(20):
        throttle.begin(None, f"guess{number}", "192.0.2.1").failed()
    with pytest.raises(TooManyAttempts):
        throttle.begin(None, "another", "192.0.2.1")
    throttle.begin(None, "another", "198.51.100.1").succeeded()
    # To have sent one that was good makes nobody known.
    clock.advance(1)
    throttle.begin(None, "good", "192.0.2.1").succeeded()
    throttle.begin(None, "guess", "192.0.2.1").failed()
    with pytest.raises(TooManyAttempts):
        throttle.begin(None, "another", "192.0.2.1")
