"""Requests and their answers over a WebSocket (RFC 8887 §4.3)."""

import json
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

ERROR = "urn:ietf:params:jmap:error:"


@pytest_twisted.ensureDeferred
async def test_requests_and_their_responses(world: Any) -> None:
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
    world: Any, kind: str, request_id: str | None, message: Any
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
async def test_requests_overtake_each_other_within_the_limit(world: Any, monkeypatch: Any) -> None:
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
async def test_failures_of_ours_are_told_without_details(world: Any, monkeypatch: Any) -> None:
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
async def test_large_answers_and_large_requests(world: Any) -> None:
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
