"""JMAP over WebSocket through a socket (RFC 8887, RFC 6455), and tickets."""

import base64
import json
import os
import struct
import zlib
from random import Random
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogPublisher

from mailhive.auth.errors import Unauthorized
from mailhive.auth.grant import Grant
from mailhive.auth.tickets import Tickets
from mailhive.config.jmap import JmapWebSocket
from mailhive.config.units import Duration
from mailhive.http import websocket
from mailhive.http.channel import Channel
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API
from mailhive.jmap.capabilities import TICKET, WEBSOCKET
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.push.hub import PushHub

ALICE = Principal("alice", emails=("alice@example.org",))
MESSAGE = b"Subject: s\r\n\r\nbody\r\n"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ERROR = "urn:ietf:params:jmap:error:"
LIMITS = Limits(request_size=300_000, concurrent_requests=2)


class Headers:
    """Whoever says so is alice."""

    def authenticate(self, headers: Any, peer: str) -> Any:
        if headers.get("Authorization") == "Basic alice":
            return succeed(Grant(ALICE, lambda: succeed(ALICE)))
        raise Unauthorized(("Basic",))


class Client(Protocol):
    """The other end: octets out, frames in."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiting: Deferred[None] | None = None
        self.gone = False

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        self.wake()

    def connectionLost(self, reason: Any = None) -> None:
        self.gone = True
        self.wake()

    def wake(self) -> None:
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def take(self, length: int) -> bytes:
        while len(self.buffer) < length:
            if self.gone:
                raise EOFError
            self.waiting = Deferred()
            await self.waiting
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    async def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            await self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }

    async def more(self) -> None:
        if self.gone:
            raise EOFError
        self.waiting = Deferred()
        await self.waiting

    async def end(self) -> None:
        while not self.gone:
            self.waiting = Deferred()
            await self.waiting

    def frame(self, opcode: int, payload: bytes, first: int = 0x80) -> None:
        self.transport.write(frame(opcode, payload, first))

    def say(self, message: Any) -> None:
        self.frame(TEXT, message if isinstance(message, bytes) else json.dumps(message).encode())

    async def next_frame(self) -> tuple[int, bytes]:
        first, length = await self.take(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.take(8))
        payload = await self.take(length)
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        return first & 15, payload

    async def hear(self) -> Any:
        opcode, payload = await self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self) -> int:
        """The status of the next frame, which is a Close; it is answered."""
        opcode, payload = await self.next_frame()
        assert opcode == CLOSE, (opcode, payload)
        self.frame(CLOSE, payload[:2])
        await self.end()
        return struct.unpack("!H", payload[:2])[0]


def frame(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        length = b"\xfe" + struct.pack("!H", len(payload))
    else:
        length = b"\xff" + struct.pack("!Q", len(payload))
    return bytes([first | opcode]) + length + b"\0\0\0\0" + payload


@define
class World:
    """A server, a user of it, and its clients."""

    alice: Any
    site: JmapSite
    http: Any
    url: str
    port: int
    clients: list[Client]

    async def dial(self, **changes: str | None) -> Client:
        """Ask for a WebSocket; header fields are changed, or left out for None."""
        path = changes.pop("path", "/jmap/ws")
        line = changes.pop("line", f"GET {path} HTTP/1.1") or ""
        fields: dict[str, str | None] = {
            "Host": "mail.example",
            "Authorization": "Basic alice",
            "Upgrade": "websocket",
            "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": "other, jmap",
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        client = Client()
        self.clients.append(client)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), client)
        client.transport.write("\r\n".join([line, *lines, "", ""]).encode())
        return client

    async def open(self, **changes: str | None) -> Client:
        client = await self.dial(**changes)
        status, headers = await client.head()
        assert status == 101
        assert headers["sec-websocket-protocol"] == "jmap"
        assert headers["server"] == "mailhive"
        return client

    async def ticket(self) -> str:
        answer = await self.http.post(
            f"{self.url}/jmap/ticket", headers={"Authorization": "Basic alice"}
        )
        assert answer.code == 200
        body = await treq.json_content(answer)
        assert body["lifetime"] == 60
        return body["ticket"]

    def echo(self, call_id: str, **members: Any) -> dict[str, Any]:
        return {
            "@type": "Request",
            "using": ["urn:ietf:params:jmap:core"],
            "methodCalls": [["Core/echo", {"hello": True}, call_id]],
            **members,
        }


@pytest.fixture
def timing() -> JmapWebSocket:
    return JmapWebSocket()


@pytest_twisted.async_yield_fixture
async def world(stores: Any, listening: Any, http: Any, timing: JmapWebSocket) -> Any:
    alice = await stores.user(ALICE, LIMITS)
    hub = PushHub(stores.mail_store, alice.api.registry.push_types, reactor)
    routes = Routes(
        Gate(Headers(), Tickets(reactor.seconds), stores.context.offload),
        alice.api,
        stores.blob_store,
        hub,
        reactor=reactor,
        websocket=timing,
    )
    site = JmapSite(
        {API.encode(): ApiResource(routes)},
        routes.app.resource(),
        name="jmap",
        reactor=reactor,
        before_drain=routes.end_streams,
    )
    url, port = listening(site)
    world = World(alice, site, http, url, port, [])
    yield world
    for client in world.clients:
        if not client.gone:
            client.transport.abortConnection()
            await client.end()


# The handshake


@pytest_twisted.ensureDeferred
async def test_the_session_says_where_it_is(world: World) -> None:
    answer = await world.http.get(
        f"{world.url}/jmap/session", headers={"Authorization": "Basic alice"}
    )
    session = await treq.json_content(answer)
    place = f"localhost:{world.port}/jmap"
    assert session["capabilities"][WEBSOCKET] == {"url": f"ws://{place}/ws", "supportsPush": True}
    assert session["capabilities"][TICKET] == {"url": f"http://{place}/ticket", "lifetime": 60}
    # What a session names, a request may use.
    used = await world.alice.api.handle(
        ALICE, json.dumps({"using": [WEBSOCKET, TICKET], "methodCalls": []}).encode()
    )
    assert json.loads(used.body)["sessionState"] == session["state"]


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (401, {"Authorization": None}),
        (401, {"Authorization": None, "path": "/jmap/ws?ticket=no"}),
        (403, {"Origin": "https://web.example"}),
        (403, {"Origin": "null"}),
        (101, {"Origin": "https://Mail.example"}),
        (400, {"Sec_WebSocket_Protocol": None}),
        (400, {"Sec_WebSocket_Protocol": "JMAP, mail"}),
        (400, {"Sec_WebSocket_Key": "short"}),
        (400, {"Sec_WebSocket_Key": None}),
        (400, {"Content_Length": "5"}),
        (400, {"line": "HEAD /jmap/ws HTTP/1.1"}),
        (400, {"line": "GET /jmap/ws HTTP/1.0"}),
        (405, {"line": "POST /jmap/ws HTTP/1.1"}),
        (426, {"Upgrade": None}),
        (426, {"Upgrade": "h2c"}),
        (426, {"Connection": "close"}),
        (426, {"Sec_WebSocket_Version": "8"}),
        (400, {"Sec_WebSocket_Extensions": "permessage-deflate; server_max_window_bits=99"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_handshake(world: World, status: int, changes: dict[str, Any]) -> None:
    client = await world.dial(**changes)
    found, headers = await client.head()
    assert found == status
    if status == 401:
        assert headers["www-authenticate"] == "Basic"
    if changes.get("Sec_WebSocket_Version"):
        assert headers["sec-websocket-version"] == "13"
    elif status == 426:
        assert headers["upgrade"] == "websocket"


@pytest_twisted.ensureDeferred
async def test_a_user_has_so_many(world: World, monkeypatch: Any) -> None:
    for _ in range(32):
        await world.open()
    client = await world.dial()
    assert (await client.head())[0] == 400
    world.clients[0].transport.loseConnection()
    await world.clients[0].end()
    while True:  # until the server has noticed
        client = await world.dial()
        if (await client.head())[0] == 101:
            break


# Requests


@pytest_twisted.ensureDeferred
async def test_requests_and_their_responses(world: World) -> None:
    client = await world.open()
    client.say(world.echo("a", id="R1", createdIds={}))
    response = await client.hear()
    state = response.pop("sessionState")
    assert state
    assert response == {
        "@type": "Response",
        "requestId": "R1",
        "methodResponses": [["Core/echo", {"hello": True}, "a"]],
        "createdIds": {},
    }
    client.say(world.echo("b"))
    response = await client.hear()
    assert "requestId" not in response
    assert "createdIds" not in response
    assert response["sessionState"] == state


@pytest.mark.parametrize(
    ("kind", "request_id", "message"),
    [
        ("notJSON", None, b"The quick brown fox"),
        ("notJSON", None, b'{"id": "x", "id": "y"}'),
        ("notRequest", None, []),
        ("notRequest", "x", {"id": "x"}),
        ("notRequest", "x", {"@type": "Response", "id": "x"}),
        ("notRequest", "x", {"@type": "Request", "id": "x", "using": []}),
        ("notRequest", None, {"@type": "Request", "id": 1, "using": [], "methodCalls": []}),
        ("notRequest", None, {"@type": "WebSocketPushEnable", "dataTypes": "Email"}),
        ("notRequest", None, {"@type": "WebSocketPushEnable", "dataTypes": [1]}),
        ("notRequest", None, {"@type": "WebSocketPushEnable", "pushState": 1}),
        (
            "unknownCapability",
            "x",
            {"@type": "Request", "id": "x", "using": ["urn:no"], "methodCalls": []},
        ),
        (
            "limit",
            "x",
            {
                "@type": "Request",
                "id": "x",
                "using": ["urn:ietf:params:jmap:core"],
                "methodCalls": [["Core/echo", {}, "c"]] * 17,
            },
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_messages_that_are_refused(
    world: World, kind: str, request_id: str | None, message: Any
) -> None:
    client = await world.open()
    client.say(message)
    error = await client.hear()
    assert error["@type"] == "RequestError"
    assert error["requestId"] == request_id
    assert error["type"] == ERROR + kind
    assert error["status"] == 400
    assert error["detail"]
    if kind == "limit":
        assert error["limit"] == "maxCallsInRequest"
    client.say(world.echo("on"))  # the connection goes on
    assert (await client.hear())["@type"] == "Response"


@pytest_twisted.ensureDeferred
async def test_requests_overtake_each_other_within_the_limit(
    world: World, monkeypatch: Any
) -> None:
    gates: dict[str, Deferred[None]] = {}
    answer = world.alice.api.__class__.answer

    async def slow(self: Any, principal: Any, request: Any, head: Any) -> Any:
        gates[head["requestId"]] = gate = Deferred()
        await gate
        return await answer(self, principal, request, head)

    monkeypatch.setattr(world.alice.api.__class__, "answer", slow)
    client, other = await world.open(), await world.open()
    client.say(world.echo("a", id="first"))
    client.say(world.echo("b", id="second"))
    client.say(world.echo("c", id="third"))
    error = await client.hear()
    assert (error["requestId"], error["type"]) == ("third", ERROR + "limit")
    assert error["limit"] == "maxConcurrentRequests"
    # The limit is that of the user, whatever the way in.
    other.say(world.echo("d", id="fourth"))
    assert (await other.hear())["limit"] == "maxConcurrentRequests"
    refused = await world.http.post(
        f"{world.url}/jmap/api",
        json.dumps(world.echo("e")).encode(),
        headers={"Authorization": "Basic alice", "Content-Type": "application/json"},
    )
    assert (await treq.json_content(refused))["limit"] == "maxConcurrentRequests"
    gates["second"].callback(None)
    assert (await client.hear())["requestId"] == "second"
    # An accepted request is done, whoever waits for it; then the server closes.
    world.site.drain()
    client.say(world.echo("f", id="late"))
    gates["first"].callback(None)
    assert (await client.hear())["requestId"] == "first"
    assert await client.closed() == 1001
    assert await other.closed() == 1001
    assert not {"third", "fourth", "late"} & set(gates)


@pytest_twisted.ensureDeferred
async def test_failures_of_ours_are_told_without_details(world: World, monkeypatch: Any) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    client = await world.open()
    monkeypatch.setattr(world.alice.api.__class__, "answer", broken)
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        client.say(world.echo("a", id="x"))
        error = await client.hear()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert (error["status"], error["requestId"], error["type"]) == (500, "x", "about:blank")
    assert "secret" not in json.dumps(error)
    assert any("log_failure" in event for event in events)


@pytest_twisted.ensureDeferred
async def test_large_answers_and_large_requests(world: World) -> None:
    client = await world.open()
    text = "x" * 280_000  # an answer may be larger than any request
    body = world.echo("a", id="1")
    body["methodCalls"] = [["Core/echo", {"text": text}, "c"]]
    client.say(body)
    client.say(world.echo("b", id="2"))
    answers = {answer["requestId"]: answer for answer in (await client.hear(), await client.hear())}
    assert answers["1"]["methodResponses"][0][1] == {"text": text}
    again = {"#t": {"resultOf": "c", "name": "Core/echo", "path": "/t"}}
    body["methodCalls"] = [
        ["Core/echo", {"t": "x" * 145_000}, "c"],
        ["Core/echo", again, "d"],
    ]
    client.say(body)
    answer = await client.hear()
    assert [call[2] for call in answer["methodResponses"]] == ["c", "d"]


# Frames


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_too_large_is_not_read(world: World) -> None:
    client = await world.open()
    client.transport.write(b"\x81\xff" + struct.pack("!Q", LIMITS.request_size + 1) + b"\0" * 4)
    assert await client.closed() == 1009
    client = await world.open()  # in many frames
    for _ in range(4):
        client.frame(TEXT, b"x" * 100_000, first=0)
        client.frame(0, b"", first=0)
    assert (await client.next_frame())[0] == CLOSE


@pytest_twisted.ensureDeferred
async def test_compressed_messages(world: World) -> None:
    offer = "permessage-deflate; client_max_window_bits"
    client = await world.dial(Sec_WebSocket_Extensions=offer)
    status, headers = await client.head()
    assert status == 101
    assert "client_no_context_takeover" in headers["sec-websocket-extensions"]
    body = world.echo("a", id="1")
    body["methodCalls"] = [["Core/echo", {"text": "x" * 20_000}, "c"]]
    for _ in range(2):
        client.frame(TEXT, deflate(json.dumps(body).encode()), first=0xC0)
        assert (await client.hear())["methodResponses"] == body["methodCalls"]
    # What it becomes is what counts.
    client.frame(TEXT, deflate(b" " * 50_000_000), first=0xC0)
    opcode, payload = await client.next_frame()
    assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1009))


def deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-12)
    return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("status", "octets"),
    [
        (1003, frame(BINARY, b"{}")),
        (1007, frame(TEXT, b"\xff")),
        (1002, b"\x81\x02{}"),  # not masked
        (1002, frame(3, b"")),  # no such opcode
        (1002, frame(TEXT, b"{}", first=0xC0)),  # compressed, which was not agreed on
        (1002, frame(PING, b"x" * 126)),
        (1002, frame(0, b"{}")),  # goes on with nothing
    ],
)
@pytest_twisted.ensureDeferred
async def test_frames_that_end_the_connection(world: World, status: int, octets: bytes) -> None:
    client = await world.open()
    client.transport.write(octets)
    assert await client.closed() == status


@pytest_twisted.ensureDeferred
async def test_pings_fragments_and_closing(world: World) -> None:
    client = await world.open()
    text = json.dumps(world.echo("a")).encode()
    client.frame(TEXT, text[:9], first=0)
    client.frame(PING, b"there?")
    client.frame(0, text[9:])
    assert await client.next_frame() == (PONG, b"there?")
    assert (await client.hear())["@type"] == "Response"
    client.frame(CLOSE, struct.pack("!H", 1000))
    assert await client.next_frame() == (CLOSE, struct.pack("!H", 1000))
    await client.end()


@pytest_twisted.ensureDeferred
async def test_a_client_that_only_stops_sending_is_gone(world: World) -> None:
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": None})
    client.transport.loseWriteConnection()
    await client.end()
    while world.site.channels:
        await pause()


@pytest.mark.parametrize("seed", range(8))
@pytest_twisted.ensureDeferred
async def test_any_octets_leave_the_server_well(world: World, seed: int) -> None:
    chance = Random(seed)
    client = await world.dial() if seed % 5 == 0 else await world.open()
    for _ in range(chance.randrange(1, 9)):
        octets = chance.randbytes(chance.randrange(200))
        if seed % 2:
            octets = frame(chance.choice([0, 1, 2, 8, 9, 10, 3]), octets, chance.choice([0, 0x80]))
        client.transport.write(octets)
    client.transport.loseWriteConnection()
    await client.end()
    sane = await world.open()
    sane.say(world.echo("a"))
    assert (await sane.hear())["@type"] == "Response"


async def pause() -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.01, done.callback, None)
    await done


@pytest.mark.parametrize("timing", [JmapWebSocket(Duration(1.0), Duration(3.0))])
@pytest_twisted.ensureDeferred
async def test_a_client_is_asked_whether_it_is_there(world: World, timing: Any) -> None:
    client = await world.open()
    opcode, payload = await client.next_frame()
    assert opcode == PING
    client.frame(PONG, payload)
    assert (await client.next_frame())[0] == PING
    await client.end()  # as it does not answer


# Push


@pytest_twisted.ensureDeferred
async def test_changes_are_pushed_and_a_client_resumes(world: World) -> None:
    alice = world.alice
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": None})
    client.say(world.echo("a"))  # goes on beside
    assert (await client.hear())["@type"] == "Response"
    await pause()
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
    await pause()
    await alice.call("Mailbox/set", create={"m": {"name": "Newer"}})
    again = await back.hear()
    assert again["changed"][alice.account_id]["Mailbox"] > mailboxes
    back.say({"@type": "WebSocketPushDisable"})
    await alice.call("Mailbox/set", create={"m": {"name": "Newest"}})
    for _ in range(10):
        await pause()
    back.say(world.echo("a"))
    assert (await back.hear())["@type"] == "Response"  # and no StateChange before


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_is_told_of_the_latest_only(world: World) -> None:
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]})
    client.say(world.echo("a"))
    await client.hear()
    await pause()
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
async def test_a_client_that_takes_nothing_is_not_read_either(world: World) -> None:
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
async def test_a_client_that_closes_and_takes_nothing_is_cut(
    world: World, monkeypatch: Any
) -> None:
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


# Tickets


@pytest_twisted.ensureDeferred
async def test_a_ticket_opens_one_connection(world: World) -> None:
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
async def test_a_ticket_opens_an_event_source_which_resumes(world: World) -> None:
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
async def test_tickets_need_a_login(world: World) -> None:
    answer = await world.http.post(f"{world.url}/jmap/ticket")
    assert answer.code == 401
    await treq.content(answer)
