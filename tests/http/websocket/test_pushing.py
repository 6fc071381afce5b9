"""Changes over a WebSocket, and clients that are slow (RFC 8887 §4.3.5)."""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mailhive.config.jmap import JmapWebSocket
from mailhive.config.units import Duration
from mailhive.http import websocket
from mailhive.http.channel import Channel

MESSAGE = b"Subject: s\r\n\r\nbody\r\n"


async def pause() -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.01, done.callback, None)
    await done


@pytest_twisted.ensureDeferred
async def test_changes_are_pushed_and_a_client_resumes(world: Any) -> None:
    alice = world.alice
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": None})
    client.say(world.echo("a"))
    assert (await client.hear())["@type"] == "Response"  # from then on it hears all
    await alice.add(MESSAGE)
    change = await client.hear()
    state = (await alice.call("Email/get", ids=[]))["state"]
    assert change["@type"] == "StateChange"
    assert change["changed"][alice.account_id]["Email"] == state
    client.transport.abortConnection()
    # Away, and back twice: once something has changed, once nothing.
    await alice.call("Mailbox/set", create={"m": {"name": "New"}})
    back = await world.open()
    enable = {"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]}
    back.say({**enable, "pushState": change["pushState"]})
    told = await back.hear()
    mailboxes = (await alice.call("Mailbox/get", ids=[]))["state"]
    assert told["changed"] == {alice.account_id: {"Mailbox": mailboxes}}
    back.say({**enable, "pushState": told["pushState"]})  # in place of the first
    back.say(world.echo("b"))
    assert (await back.hear())["@type"] == "Response"
    await alice.call("Mailbox/set", create={"m": {"name": "Newer"}})
    again = await back.hear()
    assert again["changed"][alice.account_id]["Mailbox"] > mailboxes
    back.say({"@type": "WebSocketPushDisable"})
    back.say(world.echo("c"))
    assert (await back.hear())["@type"] == "Response"
    await alice.call("Mailbox/set", create={"m": {"name": "Newest"}})
    for _ in range(10):
        await pause()
    back.say(world.echo("d"))
    assert (await back.hear())["@type"] == "Response"  # and no StateChange before


@pytest_twisted.ensureDeferred
async def test_nothing_is_answered_before_push_has_begun(world: Any, monkeypatch: Any) -> None:
    """What changed after an answer and before would never be told."""
    looked_up: Deferred[frozenset[str]] = Deferred()
    gates = [looked_up]

    async def account_ids(*_: Any) -> frozenset[str]:
        return await gates.pop()

    monkeypatch.setattr(type(world.alice.api), "account_ids", account_ids)
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]})
    enough = world.alice.api.limits.concurrent_requests + 1
    for number in range(enough):  # more than may run at a time: they wait for their turn
        client.say(world.echo("a", id=str(number)))
    while gates:
        await pause()
    (channel,) = world.site.channels
    assert channel.paused
    await world.alice.call("Mailbox/set", create={"m": {"name": "New"}})
    looked_up.callback(frozenset({world.alice.account_id}))
    for number in range(enough):
        answer = await client.hear()
        assert (answer["@type"], answer["requestId"]) == ("Response", str(number))
    assert not channel.paused
    await world.alice.call("Mailbox/set", create={"n": {"name": "Newer"}})
    state = (await world.alice.call("Mailbox/get", ids=[]))["state"]
    assert (await client.hear())["changed"] == {world.alice.account_id: {"Mailbox": state}}


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_is_told_of_the_latest_only(world: Any) -> None:
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]})
    client.say(world.echo("a"))
    await client.hear()
    (channel,) = world.site.channels
    channel.pauseProducing()  # as the transport does when it is full
    for name in "abc":
        await world.alice.call("Mailbox/set", create={"m": {"name": name}})
        await pause()
    for _ in range(10):
        await pause()
    channel.resumeProducing()
    state = (await world.alice.call("Mailbox/get", ids=[]))["state"]
    assert (await client.hear())["changed"] == {world.alice.account_id: {"Mailbox": state}}
    client.say(world.echo("b"))
    assert (await client.hear())["@type"] == "Response"


@pytest_twisted.ensureDeferred
async def test_a_client_that_takes_nothing_is_not_read_either(world: Any) -> None:
    client = await world.open()
    body = world.echo("a", id="1")
    body["methodCalls"] = [["Core/echo", {"text": "x" * 150_000}, "c"]]
    client.transport.pauseProducing()
    for _ in range(200):
        client.say(body)
    (channel,) = world.site.channels
    while not channel.paused:
        await pause()
    client.transport.resumeProducing()
    for _ in range(200):
        assert (await client.hear())["requestId"] == "1"


@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_and_takes_nothing_is_cut(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(websocket, "CLOSING", 0.1)
    monkeypatch.setattr(Channel, "abortTimeout", 0.1)
    client = await world.open()
    client.transport.pauseProducing()
    (channel,) = world.site.channels
    socket = channel._upgraded
    while not channel.paused:
        socket.sendMessage(b"x" * 100_000)
        await pause()
    socket.onCloseFrame(1000, None)  # which came in before
    while world.site.channels:
        await pause()


@pytest.mark.parametrize("timing", [JmapWebSocket(Duration(1.0), Duration(3.0))])
@pytest_twisted.ensureDeferred
async def test_a_client_that_stops_reading_is_cut(world: Any, timing: Any) -> None:
    client = await world.open()
    body = world.echo("a", id="1")
    body["methodCalls"] = [["Core/echo", {"text": "x" * 150_000}, "c"]]
    client.transport.pauseProducing()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": None})
    for _ in range(200):
        client.say(body)
    (channel,) = world.site.channels
    while not channel.paused:
        await pause()
    while world.site.channels:
        await world.alice.call("Mailbox/set", create={})
        await pause()


@pytest_twisted.ensureDeferred
async def test_an_event_source_that_stops_reading_is_cut(world: Any, monkeypatch: Any) -> None:
    events = await world.listen()
    (stream,) = world.streams._open
    monkeypatch.setattr(stream, "_patience", 0.1)
    events.transport.pauseProducing()
    while world.site.channels:
        if not stream._paused:  # changes would take long to fill the buffers of the system
            stream._request.write(b":" * 65_536)
        await pause()
    events.transport.resumeProducing()
    await events.end()


@pytest_twisted.ensureDeferred
async def test_an_event_source_that_reads_slowly_goes_on(world: Any, monkeypatch: Any) -> None:
    events = await world.listen("Mailbox")
    (stream,) = world.streams._open
    stream.pauseProducing()  # as the transport does when it is full
    for name in "abc":
        await world.alice.call("Mailbox/set", create={"m": {"name": name}})
        await pause()
    for _ in range(10):
        await pause()
    stream.resumeProducing()
    assert not stream._cut
    state = (await world.alice.call("Mailbox/get", ids=[]))["state"]
    changed, _ = await world.event(events)
    assert changed == {world.alice.account_id: {"Mailbox": state}}
