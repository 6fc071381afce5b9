"""The event source through a socket (RFC 8620 §7.3)."""

import json
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed

from mailhive.auth.grant import Grant
from mailhive.auth.tickets import Tickets
from mailhive.http import eventsource
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API
from mailhive.model.principal import Principal
from mailhive.push.hub import PushHub
from mailhive.testing.event_source import Events

ALICE = Principal("alice", emails=("alice@example.org",))
MESSAGE = b"Subject: s\r\n\r\nbody\r\n"


class Anybody:
    """Everybody is alice."""

    def authenticate(self, headers: Any, peer: str) -> Any:
        return succeed(Grant(ALICE, lambda: succeed(ALICE)))


@pytest_twisted.async_yield_fixture
async def source(stores: Any, listening: Any, client_of: Any) -> Any:
    alice = await stores.user(ALICE)
    hub = PushHub(stores.mail_store, alice.api.registry.push_types, reactor)
    routes = Routes(
        Gate(Anybody(), Tickets(reactor.seconds), stores.context.offload),
        alice.api,
        stores.blob_store,
        hub,
        reactor=reactor,
    )
    site = JmapSite(
        {API.encode(): ApiResource(routes)},
        routes.app.resource(),
        name="jmap",
        reactor=reactor,
        before_drain=routes.streams.end,
    )
    url, _ = listening(site)
    client = client_of(url)
    session = await client.get_session()
    base = session["eventSourceUrl"].partition("/jmap/")
    root = url.removesuffix("/.well-known/jmap")

    async def connect(types: str = "*", closeafter: str = "no", ping: str = "0", **headers: str):
        path = base[1] + base[2]
        for name, value in (("types", types), ("closeafter", closeafter), ("ping", ping)):
            path = path.replace("{" + name + "}", value)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.http.get(root + path, headers=sent, unbuffered=True)

    yield connect, alice, site


@pytest_twisted.ensureDeferred
async def test_changes_arrive_and_a_client_that_was_away_resumes(source: Any) -> None:
    connect, alice, _ = source
    response = await connect()
    assert response.code == 200
    assert response.headers.getRawHeaders("Content-Type") == ["text/event-stream; charset=utf-8"]
    # Nobody on the way may keep or change what is sent.
    assert response.headers.getRawHeaders("Cache-Control") == ["no-cache, no-store, no-transform"]
    assert response.headers.getRawHeaders("X-Accel-Buffering") == ["no"]
    events = Events(response)
    await alice.add(MESSAGE)
    event = await events.next()
    assert event["event"] == "state"
    change = json.loads(event["data"])
    assert change["@type"] == "StateChange"
    state = (await alice.call("Email/get", ids=[]))["state"]
    assert change["changed"][alice.account_id]["Email"] == state
    # Nothing was missed since the last event but what comes now.
    away = Events(await connect(types="Mailbox", Last_Event_ID=event["id"]))
    await alice.call("Mailbox/set", create={"m": {"name": "New"}})
    told = json.loads((await away.next())["data"])
    mailboxes = (await alice.call("Mailbox/get", ids=[]))["state"]
    assert told["changed"] == {alice.account_id: {"Mailbox": mailboxes}}
    late = Events(await connect(types="Email,Mailbox", closeafter="state", Last_Event_ID="x"))
    told = json.loads((await late.next())["data"])
    assert told["changed"][alice.account_id] == {"Email": state, "Mailbox": mailboxes}
    await late.ended


@pytest_twisted.ensureDeferred
async def test_pings_tell_their_interval(source: Any, monkeypatch: Any) -> None:
    connect, _, _ = source
    monkeypatch.setattr(eventsource, "MIN_PING", 0.05)
    monkeypatch.setattr(eventsource, "MAX_PING", 0.1)
    events = Events(await connect(ping="300"))
    event = await events.next()
    assert event == {"event": "ping", "data": '{"interval":0.1}'}


@pytest_twisted.ensureDeferred
async def test_silence_is_broken_for_proxies(source: Any, monkeypatch: Any) -> None:
    connect, _, site = source
    monkeypatch.setattr(eventsource, "HEARTBEAT", 0.02)
    beats: list[bytes] = []
    done: Deferred[None] = Deferred()

    def received(data: bytes) -> None:
        beats.append(data)
        if len(beats) == 4:
            done.callback(None)

    response = await connect()
    ended = treq.collect(response, received)
    await done
    assert b"".join(beats).replace(b":\n\n", b"") == b": here are your events\n\n"
    site.drain()
    await ended


@pytest_twisted.ensureDeferred
async def test_the_server_ends_streams_when_it_stops(source: Any) -> None:
    connect, _, site = source
    events = Events(await connect())
    site.drain()
    await events.ended


@pytest.mark.parametrize(
    "variables",
    [{"types": ""}, {"closeafter": "maybe"}, {"ping": "-1"}, {"ping": "x"}, {"ping": "9" * 20}],
)
@pytest_twisted.ensureDeferred
async def test_variables_that_are_wrong(source: Any, variables: dict[str, str]) -> None:
    connect, _, _ = source
    response = await connect(**variables)
    assert response.code == 400
    await treq.content(response)


def test_ping_intervals_are_bounded() -> None:
    def ping(value: str) -> int:
        return eventsource.event_options({"types": "*", "closeafter": "no", "ping": value}).ping

    assert [ping("0"), ping("1"), ping("300"), ping("99999")] == [0, 10, 300, 3600]
