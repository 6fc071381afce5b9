"""How much of Emails one request gets: messages that are made to be large when read."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.context import MAX_EMAILS
from mailhive.mime.address import MAX_ADDRESSES
from mailhive.mime.scan import MAX_PARTS

PARTS = (
    b"From: a@example.org\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * 200
    + b"--b--\r\n"
)
TEXT = b"From: a@example.org\r\nSubject: s\r\n\r\n" + b"text \r\n" * 1_000


@pytest.fixture
def octets(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda number: monkeypatch.setattr("mailhive.jmap.context.MAX_EMAILS", number)


def kind(result: dict[str, Any]) -> str | None:
    error: dict[str, str] = result.get("error", {})
    return error.get("type")


@pytest_twisted.ensureDeferred
async def test_parts_count_as_often_as_they_are_said(server: Any, octets: Any) -> None:
    email = await server.add(PARTS)
    octets(120_000)
    once = await server.call("Email/get", ids=[email], properties=["textBody"])
    assert len(once["list"][0]["textBody"]) == 200
    everything = ["textBody", "htmlBody", "attachments", "bodyStructure"]
    often = await server.call("Email/get", ids=[email], properties=everything)
    assert kind(often) == "requestTooLarge"
    names = [f"header:x{n}" for n in range(150)]
    wide = await server.call(
        "Email/get", ids=[email], properties=["textBody"], bodyProperties=names
    )
    assert kind(wide) == "requestTooLarge"
    assert (await server.call("Email/get", ids=[email], properties=["subject"]))["list"]


@pytest_twisted.ensureDeferred
async def test_fields_count_as_often_as_they_are_said(server: Any, octets: Any) -> None:
    email = await server.add(b"Subject: s\r\nTo: " + b"x" * 5_000 + b"\r\n\r\n")
    names = [f"header:{name}" for name in ("To", "tO", "to:asRaw", "TO:asRaw")]
    octets(15_000)
    assert kind(await server.call("Email/get", ids=[email], properties=names)) == "requestTooLarge"
    octets(30_000)
    assert (await server.call("Email/get", ids=[email], properties=names))["list"]
    octets(2_000)
    assert kind(await server.call("Email/get", ids=[email], properties=["to"])) == "requestTooLarge"
    many = [f"header:x{n}" for n in range(300)]
    assert kind(await server.call("Email/get", ids=[], properties=many)) == "requestTooLarge"


@pytest.mark.parametrize("method", ["Email/get", "Email/parse"])
@pytest_twisted.ensureDeferred
async def test_the_calls_of_a_request_share(server: Any, octets: Any, method: str) -> None:
    email = await server.add(TEXT)
    row = (await server.call("Email/get", ids=[email], properties=["blobId"]))["list"][0]
    octets(20_000)
    arguments = {
        "accountId": server.account_id,
        "properties": ["bodyValues"],
        "fetchAllBodyValues": True,
        **({"ids": [email]} if method == "Email/get" else {"blobIds": [row["blobId"]]}),
    }
    response = await server.request(*([method, arguments, str(n)] for n in range(5)))
    names = [name for name, _, _ in response["methodResponses"]]
    assert names[0] == method and names[-1] == "error"
    assert response["methodResponses"][-1][1]["type"] == "requestTooLarge"


LIST = ["threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo",
        "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt",
        "hasAttachment", "preview"]  # fmt: skip


ADDRESSES = b"a," * MAX_ADDRESSES
FIELDS = (b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc")
#: Messages that are made to be as large as can be when they are listed.
WORST = (
    b"".join(name + b": " + ADDRESSES + b"\r\n" for name in FIELDS)
    + b"References: "
    + b"<a>" * 55_000
    + b"\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 10)
    + b"--b--\r\n",
)


@pytest.mark.parametrize("message", WORST)
@pytest_twisted.ensureDeferred
async def test_a_list_of_any_messages_can_be_had(server: Any, octets: Any, message: bytes) -> None:
    """Forty as a list shows them, or twenty with all that is given by default."""
    octets(MAX_EMAILS // 20)
    ids = [await server.add(message) for _ in range(2)]
    for properties in (LIST, [*LIST, "bodyStructure", "attachments"]):
        found = await server.call("Email/get", ids=ids, properties=properties)
        assert len(found["list"]) == 2
    found = await server.call("Email/get", ids=ids[:1])
    assert len(found["list"]) == 1
