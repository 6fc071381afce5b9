"""A server with a WebSocket, a user of it, and clients."""

import base64
import json
import os
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from mailhive.auth.errors import Unauthorized
from mailhive.auth.grant import Grant
from mailhive.auth.tickets import Tickets
from mailhive.config.jmap import JmapWebSocket
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.push.hub import PushHub
from mailhive.testing.websocket_client import WebSocketClient

ALICE = Principal("alice", emails=("alice@example.org",))
LIMITS = Limits(request_size=300_000, concurrent_requests=2)


class Logins:
    """Whoever says so is alice, and stays what `renewed` says: a principal or an error."""

    renewed: Any = ALICE

    def authenticate(self, headers: Any, peer: str) -> Any:
        if headers.get("Authorization") == "Basic alice":
            return succeed(Grant(ALICE, self._renewed))
        raise Unauthorized(("Basic",))

    async def _renewed(self) -> Any:
        if isinstance(self.renewed, Exception):
            raise self.renewed
        return self.renewed


@define(slots=False)
class World:
    """A server, a user of it, and its clients."""

    stores: Any
    alice: Any
    logins: Logins
    streams: Any
    site: JmapSite
    http: Any
    url: str
    port: int
    clients: list[WebSocketClient]

    async def dial(self, **changes: str | None) -> WebSocketClient:
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
        client = WebSocketClient()
        self.clients.append(client)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), client)
        client.transport.write("\r\n".join([line, *lines, "", ""]).encode())
        return client

    async def open(self, **changes: str | None) -> WebSocketClient:
        client = await self.dial(**changes)
        status, headers = await client.head()
        assert status == 101
        assert headers["sec-websocket-protocol"] == "jmap"
        assert headers["server"] == "mailhive"
        return client

    async def listen(self, types: str = "*", state: str | None = None) -> WebSocketClient:
        """Open an event source; HTTP/1.0 has no chunks in it."""
        client = WebSocketClient()
        self.clients.append(client)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), client)
        lines = [
            f"GET /jmap/eventsource?types={types}&closeafter=no&ping=0 HTTP/1.0",
            "Authorization: Basic alice",
            *([] if state is None else [f"Last-Event-ID: {state}"]),
        ]
        client.transport.write("\r\n".join([*lines, "", ""]).encode())
        status, _ = await client.head()
        assert status == 200
        return client

    async def event(self, client: WebSocketClient) -> tuple[dict[str, Any], str]:
        """The `changed` of the next state event, and its id."""
        while True:
            while b"\n\n" not in client.buffer:
                await client.more()
            block, client.buffer = client.buffer.split(b"\n\n", 1)
            if block.startswith(b"event: state\n"):
                _, data, last = block.decode().split("\n")
                assert data.startswith("data: ")
                assert last.startswith("id: ")
                return json.loads(data[6:])["changed"], last[4:]

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
    logins = Logins()
    hub = PushHub(stores.mail_store, alice.api.registry.push_types, reactor)
    routes = Routes(
        Gate(logins, Tickets(reactor.seconds), stores.context.offload),
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
        before_drain=routes.streams.end,
    )
    url, port = listening(site)
    world = World(stores, alice, logins, routes.streams, site, http, url, port, [])
    yield world
    for client in world.clients:
        if not client.gone:
            client.transport.abortConnection()
            await client.end()
