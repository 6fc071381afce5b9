"""The listener over the real JMAP core and stores, by the JMAP client through a socket."""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import succeed

from mailhive.auth.grant import Grant
from mailhive.auth.tickets import Tickets
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.jmap_client import JmapProblem

ALICE = Principal("alice", emails=("alice@example.org",))
MESSAGE = (
    b"From: bob@example.org\r\nTo: alice@example.org\r\nSubject: hello\r\n"
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n"
)


class Anybody:
    """Everybody is alice."""

    def authenticate(self, headers, peer):
        return succeed(Grant(ALICE, lambda: succeed(ALICE)))


@pytest_twisted.async_yield_fixture
async def client(stores, listening, client_of):
    alice = await stores.user(ALICE, Limits(upload_size=1000))
    routes = Routes(
        Gate(Anybody(), Tickets(reactor.seconds), stores.context.offload),
        alice.api,
        stores.blob_store,
        None,
        reactor=reactor,
    )
    site = JmapSite(
        {API.encode(): ApiResource(routes)}, routes.app.resource(), name="jmap", reactor=reactor
    )
    url, _ = listening(site)
    yield client_of(url)


@pytest_twisted.ensureDeferred
async def test_a_message_is_uploaded_imported_read_and_downloaded(client):
    uploaded = await client.upload(MESSAGE, "message/rfc822")
    assert uploaded["size"] == len(MESSAGE)
    inbox = (await client.call("Mailbox/query", {"filter": {"role": "inbox"}}))["ids"][0]
    email = {"blobId": uploaded["blobId"], "mailboxIds": {inbox: True}}
    imported = await client.call("Email/import", {"emails": {"m": email}})
    found = await client.call(
        "Email/get",
        {"ids": [imported["created"]["m"]["id"]], "properties": ["subject", "blobId", "textBody"]},
    )
    (email,) = found["list"]
    assert email["subject"] == "hello"
    whole = await client.download(email["blobId"], media_type="message/rfc822", name="m.eml")
    assert whole.data == MESSAGE
    part = email["textBody"][0]["blobId"]
    assert (await client.download(part)).data == b"hello world"
    assert (await client.download(part, headers={"Range": "bytes=6-"})).data == b"world"


@pytest_twisted.ensureDeferred
async def test_what_is_refused(client):
    account_id = await client.account_id()
    for attempt, status in (
        (client.upload(b"x", account_id="Aother"), 404),
        (client.upload(b"x" * 1001), 413),
        (client.download("bnone"), 404),
        (client.download("bnone", account_id="Aother"), 404),
        (client.send([("Core/echo", {}, str(i)) for i in range(17)]), 400),
        (client.send([], using=["urn:none"]), 400),
    ):
        with pytest.raises(JmapProblem) as caught:
            await attempt
        assert caught.value.status == status
        assert caught.value.details["status"] == status
    assert account_id


BAD_TEXTS = [
    (b"", "notJSON"),
    (b"{", "notJSON"),
    (b"\xff\xfe", "notJSON"),
    (b'{"using":[],"using":[],"methodCalls":[]}', "notJSON"),
    (b'{"using":["\\ud800"],"methodCalls":[]}', "notJSON"),
    (b"[" * 100_000, "notJSON"),
    (b'{"a":' * 50_000, "notJSON"),
    (b"[]", "notRequest"),
    (b"null", "notRequest"),
    (b'{"foo":"bar"}', "notRequest"),
    (b'{"using":[],"methodCalls":"x"}', "notRequest"),
]


@pytest_twisted.ensureDeferred
async def test_bad_texts_are_problems(client):
    session = await client.get_session()
    for text, kind in BAD_TEXTS:
        response, body = await client.request(
            "POST", session["apiUrl"], data=text, headers={"Content-Type": "application/json"}
        )
        assert response.code == 400, text[:40]
        assert f"urn:ietf:params:jmap:error:{kind}".encode() in body, (text[:40], body)
        assert b"Traceback" not in body
    assert (await client.call("Core/echo", {"still": "there"})) == {"still": "there"}
