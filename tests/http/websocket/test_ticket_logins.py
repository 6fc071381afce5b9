"""Tickets: logins in a URL (docs/tickets.md)."""

from typing import Any

import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

MESSAGE = b"Subject: s\r\n\r\nbody\r\n"


async def pause() -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.01, done.callback, None)
    await done


@pytest_twisted.ensureDeferred
async def test_a_ticket_opens_one_connection(world: Any) -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        ticket = await world.ticket()
        path = f"/jmap/ws?ticket={ticket}"
        client = await world.open(path=path, Authorization=None, Origin="https://web.example")
        client.say(world.echo("a"))
        assert (await client.hear())["@type"] == "Response"
        again = await world.dial(path=path, Authorization=None)
        assert (await again.head())[0] == 401
        client.transport.abortConnection()
        while any("101" in str(event) for event in events) is False:
            await pause()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert ticket not in repr(events)


@pytest_twisted.ensureDeferred
async def test_a_ticket_opens_an_event_source_which_resumes(world: Any) -> None:
    path = "/jmap/eventsource?types=*&closeafter=state&ping=0"
    await world.alice.add(MESSAGE)
    answer = await world.http.get(
        f"{world.url}{path}&lasteventid=unknown&ticket={await world.ticket()}"
    )
    assert answer.code == 200
    events = await treq.text_content(answer)
    assert "event: state" in events
    # Header fields go on working, and nothing else takes a ticket.
    ticket = await world.ticket()
    refused = await world.http.get(f"{world.url}/jmap/session?ticket={ticket}")
    assert refused.code == 401
    await treq.content(refused)


@pytest_twisted.ensureDeferred
async def test_tickets_need_a_login(world: Any) -> None:
    answer = await world.http.post(f"{world.url}/jmap/ticket")
    assert answer.code == 401
    await treq.content(answer)
