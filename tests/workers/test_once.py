"""What workers tell each other so that they count as one: logins, tickets, rates."""

from collections import deque

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from mailhive.auth.errors import TooManyAttempts
from mailhive.auth.grant import Grant, Shown
from mailhive.auth.throttle import Throttle
from mailhive.auth.tickets import SharedTickets
from mailhive.config.relay import QueueSettings
from mailhive.errors import TemporaryFailure
from mailhive.mail.sending_rates import SendingRates
from mailhive.model.principal import Principal

ATTEMPTS = st.lists(
    st.tuples(
        st.integers(0, 1),  # which worker
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["192.0.2.1", "198.51.100.1"]),
        st.sampled_from(["right", "wrong1", "wrong2"]),
        st.sampled_from([0, 0, 1, 30, 4000]),  # seconds that pass
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(ATTEMPTS)
def test_two_workers_slow_guessing_down_as_one_does(attempts):
    clock = Clock()
    clock.advance(1_000_000)
    alone = Throttle(clock.seconds)
    pair = [Throttle(clock.seconds), Throttle(clock.seconds)]
    pair[0].tell, pair[1].tell = pair[1].hear, pair[0].hear
    for worker, login, peer, password, pause in attempts:
        clock.advance(pause)
        answers = []
        for throttle in (alone, pair[worker]):
            try:
                attempt = throttle.begin(login, password, peer)
            except TooManyAttempts as error:
                answers.append(error.retry_after)
            else:
                answers.append(attempt.keys)
                attempt.succeeded() if password == "right" else attempt.failed()
        assert answers[0] == answers[1]


def test_logins_that_are_nothing_new_are_not_told():
    throttle, told = Throttle(Clock().seconds), []
    throttle.tell = lambda *what: told.append(what)
    for _ in range(5):
        throttle.begin("alice", "right", "192.0.2.1").succeeded()
    assert len(told) == 1
    throttle.begin("alice", "wrong", "192.0.2.1").failed()
    throttle.begin("alice", "right", "192.0.2.1").succeeded()
    throttle.begin("alice", "right", "192.0.2.1").undecided()
    assert [right for *_, right in told] == [True, False, True]


def test_what_users_send_is_counted_by_all():
    limits = QueueSettings(user_messages_per_hour=3, user_recipients_per_hour=10)
    pair = [SendingRates(limits, Clock().seconds) for _ in range(2)]
    pair[0].tell, pair[1].tell = pair[1].hear, pair[0].hear
    answers = [pair[number % 2].take("alice", 1) is None for number in range(5)]
    assert answers == [True, True, True, False, False]
    assert pair[0].take("bob", 8) is None
    assert pair[1].take("bob", 3) == "You may send to 10 recipients in an hour"
    assert pair[1].take("bob", 2) is None


@define
class Strategy:
    """Says yes for as long as it may."""

    name: str
    shown: deque

    async def authenticate(self, headers, peer):
        self.shown.append((headers, peer))
        return Principal(self.name)


@ensureDeferred
async def test_a_ticket_is_redeemed_where_it_was_issued(hall):
    place = hall()
    peers = [place.peers(index) for index in (0, 1)]
    shown = deque()
    strategies = [
        [Strategy("nobody", shown), Strategy("alice", deque() if index else shown)]
        for index in (1, 0)
    ]
    tickets = [
        SharedTickets(Clock().seconds, each, its)
        for each, its in zip(peers, strategies, strict=True)
    ]
    for each in peers:
        each.startService()
    headers = Headers({"Authorization": ["Basic secret"]})
    grant = Grant(Principal("alice"), Shown(1, strategies[0][1], headers, "192.0.2.1"))
    ticket = tickets[0].issue(grant)
    found = await tickets[1].redeem_anywhere(ticket)
    assert found.principal == Principal("alice")
    assert await found.renewed() == Principal("alice")
    assert list(shown) == [(headers, "192.0.2.1")]
    assert "secret" not in repr(found)
    for each in tickets:
        assert await each.redeem_anywhere(ticket) is None
        for strange in ("", "7.x", "x.y", ".", "1", "99999999.x", "²."):
            assert await each.redeem_anywhere(strange) is None
    own = tickets[1].issue(grant)
    assert await tickets[1].redeem_anywhere(own) == grant
    other = tickets[0].issue(grant)
    await place.end(peers[0])
    with pytest.raises(TemporaryFailure):
        await tickets[1].redeem_anywhere(other)
