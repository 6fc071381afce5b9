"""Tickets: single-use, short-lived, bounded."""

from twisted.internet.task import Clock

from mailhive.auth import tickets
from mailhive.auth.grant import Grant
from mailhive.auth.tickets import LIFE, Tickets
from mailhive.model.principal import Principal

ALICE, BOB, CAROL = (Grant(Principal(name), lambda: None) for name in ("alice", "bob", "carol"))


def test_a_ticket_is_good_once_and_for_its_owner() -> None:
    issued = Tickets(Clock().seconds)
    first, second = issued.issue(ALICE), issued.issue(BOB)
    assert first != second
    assert len(first) >= 43
    assert issued.redeem(second) == BOB
    assert issued.redeem(second) is None
    assert issued.redeem(first) == ALICE
    assert issued.redeem("") is None


def test_a_ticket_is_forgotten_in_time() -> None:
    clock = Clock()
    issued = Tickets(clock.seconds)
    old = issued.issue(ALICE)
    clock.advance(LIFE - 1)
    young = issued.issue(ALICE)
    clock.advance(1)
    assert issued.redeem(old) is None
    assert issued.redeem(young) == ALICE


def test_the_oldest_go_when_there_are_too_many(monkeypatch) -> None:
    monkeypatch.setattr(tickets, "OF_ONE", 2)
    monkeypatch.setattr(tickets, "OF_ALL", 3)
    issued = Tickets(Clock().seconds)
    of_bob = issued.issue(BOB)
    of_alice = [issued.issue(ALICE) for _ in range(3)]
    assert issued.redeem(of_alice[0]) is None
    more = issued.issue(CAROL)
    assert issued.redeem(of_bob) is None
    assert [issued.redeem(t) for t in (*of_alice[1:], more)] == [ALICE, ALICE, CAROL]
