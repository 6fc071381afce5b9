"""The JMAP client, against the real listener's HTTP side."""

import msgspec
import pytest
import pytest_twisted
from attrs import frozen
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.web.pages import errorPage
from twisted.web.resource import Resource

from mailhive.jmap.errors import RequestError
from mailhive.testing.jmap_client import JmapClient, JmapMethodError, JmapProblem, expand


@frozen
class JmapReply:
    body: bytes
    methods: tuple[str, ...]


@pytest.fixture
def server(tools):
    return tools.make_server(reactor)


@pytest.fixture
def client(server, listening, client_of):
    url, _ = listening(server.site)
    return client_of(url)


def answer_with(server, *responses):
    """Let the API answer any request with these method responses; the requests it gets."""
    requests = []

    async def handle(principal, raw):
        requests.append(msgspec.json.decode(raw))
        body = msgspec.json.encode({"methodResponses": responses, "sessionState": "s"})
        return JmapReply(body, ())

    server.api.handle = handle
    return requests


@pytest_twisted.ensureDeferred
async def test_session_is_fetched_once(client, server):
    assert await client.account_id() == "Aalice"
    assert await client.account_id() == "Aalice"
    assert server.chain.asked == 1


@pytest_twisted.ensureDeferred
async def test_call_fills_in_the_account(client, server):
    requests = answer_with(server, ["Mailbox/get", {"list": []}, "0"])
    assert await client.call("Mailbox/get", {"ids": None}) == {"list": []}
    await client.call("Core/echo", {"a": 1})
    sent = [request["methodCalls"][0][1] for request in requests]
    assert sent == [{"ids": None, "accountId": "Aalice"}, {"a": 1}]


@pytest_twisted.ensureDeferred
async def test_method_errors_are_raised(client, server):
    answer_with(server, ["error", {"type": "unknownMethod"}, "0"])
    with pytest.raises(JmapMethodError) as caught:
        await client.call("Foo/bar")
    assert caught.value.type == "unknownMethod"


@pytest_twisted.ensureDeferred
async def test_problems_are_raised(client, server):
    server.api.error = RequestError("notRequest", "no such thing")
    with pytest.raises(JmapProblem) as caught:
        await client.send([])
    assert caught.value.status == 400
    assert caught.value.details["type"] == "urn:ietf:params:jmap:error:notRequest"
    assert "no such thing" in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_wrong_password(client):
    client.password = "wrong"
    with pytest.raises(JmapProblem) as caught:
        await client.get_session()
    assert caught.value.status == 401
    assert "wrong" not in repr(client)


@pytest_twisted.ensureDeferred
async def test_upload_and_download(client, server, tools):
    uploaded = await client.upload(b"hello", "text/plain")
    assert (uploaded["type"], uploaded["size"]) == ("text/plain", 5)
    server.api.blobs[uploaded["blobId"]] = tools.blob(b"hello")
    download = await client.download(
        uploaded["blobId"], media_type="image/svg+xml", name="a b/ü?.svg"
    )
    assert (download.status, download.data) == (200, b"hello")
    assert download.headers["content-type"] == "image/svg+xml"
    assert "a%20b%2F%C3%BC%3F.svg" in download.headers["content-disposition"]


@pytest_twisted.ensureDeferred
async def test_download_of_a_range_and_of_what_is_known(client, server, tools):
    server.api.blobs["b1"] = tools.blob(b"hello")
    part = await client.download("b1", headers={"Range": "bytes=1-2"})
    assert (part.status, part.data) == (206, b"el")
    same = await client.download("b1", headers={"If-None-Match": part.headers["etag"]})
    assert (same.status, same.data) == (304, b"")


@pytest_twisted.ensureDeferred
async def test_large_answers_arrive_compressed_and_whole(client, server):
    answer_with(server, ["Core/echo", {"text": "x" * 200_000}, "0"])
    assert (await client.call("Core/echo"))["text"] == "x" * 200_000


@pytest_twisted.ensureDeferred
async def test_an_error_without_problem_details():
    resource = Resource()
    resource.putChild(b"session", errorPage(502, "Bad Gateway", "no JSON"))
    client = JmapClient("http://mail.example/session", "alice", "secret", StubTreq(resource))
    with pytest.raises(JmapProblem) as caught:
        await client.get_session()
    assert (caught.value.status, caught.value.details) == (502, {})


def test_expand():
    assert expand("/{a}/{b}?c={c}", a="x/y", b="ü", c="a+b") == "/x%2Fy/%C3%BC?c=a%2Bb"


def test_a_client_hides_its_password():
    assert "hunter2" not in repr(JmapClient("http://x", "alice", "hunter2", None))
