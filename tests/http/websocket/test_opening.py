"""How a WebSocket begins, and what is refused (RFC 6455 §4.2, RFC 8887 §4.1)."""

import json
from typing import Any

import pytest
import pytest_twisted
import treq

from mailhive.jmap.capabilities import TICKET, WEBSOCKET
from mailhive.model.principal import Principal

ALICE = Principal("alice", emails=("alice@example.org",))


@pytest_twisted.ensureDeferred
async def test_the_session_says_where_it_is(world: Any) -> None:
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
async def test_what_is_no_handshake(world: Any, status: int, changes: dict[str, Any]) -> None:
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
async def test_a_user_has_so_many(world: Any, monkeypatch: Any) -> None:
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


@pytest_twisted.ensureDeferred
async def test_what_is_said_is_told_to_a_wiretap(world: Any, events_of: Any) -> None:
    world.site.wiretap = True
    told = events_of("mailhive.wiretap")
    client = await world.open(path=f"/jmap/ws?ticket={await world.ticket()}", Authorization=None)
    request = world.echo("c", id="R1")
    request["methodCalls"][0][1] = {"keys": "wonderland"}
    client.say(request)
    await client.hear()
    events = await world.listen()
    if not events.buffer:
        await events.more()
    dumps = [f"{event['direction']} {event['dump']}" for event in told]
    opening, opened, asked, answered = dumps[2:6]  # behind those of the ticket
    assert opening.startswith("> GET /jmap/ws?ticket=[redacted] HTTP/1.1\n")
    assert opened.startswith("< HTTP/1.1 101 Switching Protocols\nServer: mailhive")
    assert asked.startswith("> {")
    assert answered.startswith('< {"@type":"Response","requestId":"R1"')
    assert '"keys": "[redacted]"' in asked
    assert dumps[6].startswith("> GET /jmap/eventsource?types=*&closeafter=no&ping=0 HTTP/1.0\n")
    assert dumps[8] == "< : here are your events\n\n"
    assert "wonderland" not in "".join(dumps)


@pytest_twisted.ensureDeferred
async def test_each_message_has_its_line_in_the_log(world: Any, events: Any) -> None:
    client = await world.open()
    for message in (
        world.echo("c"),
        {"@type": "WebSocketPushEnable", "dataTypes": None},
        {"@type": "WebSocketPushDisable"},
        {"@type": "Nonsense"},
    ):
        client.say(message)
        if message["@type"] in ("Request", "Nonsense"):
            await client.hear()
    first, *rest = events
    name = first["request"].removesuffix(".1")
    assert (first["account"], first["peer"], first["listener"]) == ("alice", "127.0.0.1", "jmap")
    assert first["octets_out"] > 0
    seen = [(event["request"], event["status"], event["methods"]) for event in (first, *rest)]
    assert seen == [
        (f"{name}.1", 200, "Core/echo"),
        (f"{name}.2", 200, "WebSocketPushEnable"),
        (f"{name}.3", 200, "WebSocketPushDisable"),
        (f"{name}.4", 400, ""),
    ]
