"""Email/parse (RFC 8621 §4.9)."""

import base64
import quopri
from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = (
    "From: Jos\u00e9 <jos\u00e9@example.org>\r\n"  # RFC 6532
    "To: b@example.org\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMessage-ID: <1@x>\r\n"
    "Date: Mon, 01 Jan 2024 12:00:00 +0100\r\nX-Thing: one\r\nX-Thing: two\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nna\u00efve text\r\n"
    "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    "<p>na\u00efve <b>text</b></p>\r\n--b--\r\n"
).encode()


def wrapped(message: bytes, encoding: str, media_type: str = "message/rfc822") -> bytes:
    content = {
        "7bit": lambda: message,
        "base64": lambda: base64.encodebytes(message),
        "quoted-printable": lambda: quopri.encodestring(message),
    }[encoding]()
    return (
        b"Subject: wrapper\r\nContent-Type: multipart/mixed; boundary=w%d\r\n\r\n"
        b"--w%d\r\n\r\nsee below\r\n--w%d\r\nContent-Type: %s\r\n"
        b"Content-Transfer-Encoding: %s\r\n\r\n%s\r\n--w%d--\r\n"
    ) % ((len(message),) * 3 + (media_type.encode(), encoding.encode(), content, len(message)))


async def parse(server: LocalUser, *blob_ids: str, **arguments: Any) -> Any:
    return await server.call("Email/parse", blobIds=blob_ids, **arguments)


@pytest_twisted.ensureDeferred
async def test_default_properties(server: LocalUser) -> None:
    blob_id = await server.upload(MESSAGE)
    result = await parse(server, blob_id)
    assert result.keys() == {"accountId", "parsed", "notParsable", "notFound"}
    assert result["accountId"] == server.account_id
    assert result["notParsable"] is None and result["notFound"] is None
    email = result["parsed"][blob_id]
    assert list(email) == [
        "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo",
        "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody",
        "attachments",
    ]  # fmt: skip
    assert email["from"] == [{"name": "José", "email": "josé@example.org"}]
    assert email["subject"] == "Café"
    assert email["sentAt"] == "2024-01-01T12:00:00+01:00"
    assert email["preview"] == "naïve text"
    assert email["bodyValues"] == {}
    assert email["hasAttachment"] is False
    [text] = email["textBody"]
    assert await server.download(text["blobId"]) == "naïve text".encode()


@pytest_twisted.ensureDeferred
async def test_metadata_is_null(server: LocalUser) -> None:
    blob_id = await server.upload(MESSAGE)
    metadata = ["id", "mailboxIds", "keywords", "receivedAt", "threadId"]
    result = await parse(server, blob_id, properties=[*metadata, "blobId", "size"])
    expected = {**dict.fromkeys(metadata), "blobId": blob_id, "size": len(MESSAGE)}
    assert result["parsed"][blob_id] == expected
    assert (await parse(server, blob_id, properties=[]))["parsed"] == {blob_id: {}}


@pytest_twisted.ensureDeferred
async def test_the_arguments_are_those_of_get(server: LocalUser) -> None:
    blob_id = await server.upload(MESSAGE)
    arguments = {
        "properties": ["header:x-THING:asText:all", "bodyStructure", "htmlBody", "bodyValues"],
        "bodyProperties": ["partId", "type", "header:Content-Type"],
        "fetchAllBodyValues": True,
        "maxBodyValueBytes": 6,
    }
    email = (await parse(server, blob_id, **arguments))["parsed"][blob_id]
    email_id = await server.add(MESSAGE)
    [stored] = (await server.call("Email/get", ids=[email_id], **arguments))["list"]
    assert {"id": email_id, **email} == stored
    assert email["header:x-THING:asText:all"] == ["one", "two"]
    values = {value["value"] for value in email["bodyValues"].values()}
    assert values == {"naïve", "<p>na"}


@pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest_twisted.ensureDeferred
async def test_attached_messages(server: LocalUser, encoding: str, depth: int) -> None:
    message = MESSAGE
    for _ in range(depth):
        message = wrapped(message, encoding)
    blob_id = await server.upload(message)
    for _ in range(depth):
        result = await parse(server, blob_id, properties=["subject", "attachments"])
        assert result["parsed"][blob_id]["subject"] == "wrapper"
        [attached] = result["parsed"][blob_id]["attachments"]
        assert attached["type"] == "message/rfc822"
        blob_id = attached["blobId"]
    result = await parse(server, blob_id, fetchTextBodyValues=True)
    email = result["parsed"][blob_id]
    assert email["subject"] == "Café"
    [text] = email["textBody"]
    assert email["bodyValues"][text["partId"]]["value"] == "naïve text"
    assert await server.download(text["blobId"]) == "naïve text".encode()
    assert await server.download(blob_id) == MESSAGE


@pytest_twisted.ensureDeferred
async def test_parts_of_stored_emails(server: LocalUser) -> None:
    email_id = await server.add(wrapped(MESSAGE, "base64"))
    [email] = (await server.call("Email/get", ids=[email_id], properties=["attachments"]))["list"]
    blob_id = email["attachments"][0]["blobId"]
    result = await parse(server, blob_id, properties=["subject", "size"])
    assert result["parsed"] == {blob_id: {"subject": "Café", "size": len(MESSAGE)}}


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_parsed(server: LocalUser) -> None:
    good = await server.upload(b"Subject: x\n\n")
    text = await server.upload(b"just some text")
    empty = await server.upload(b"")
    other = await server.store_blob(MESSAGE)  # of no account
    result = await parse(server, "nope", text, good, other, empty, good, properties=["subject"])
    assert result["parsed"] == {good: {"subject": "x"}}
    assert result["notParsable"] == [text, empty]
    assert result["notFound"] == ["nope", other]
    assert (await parse(server, "nope"))["parsed"] is None


@pytest_twisted.ensureDeferred
async def test_parses_that_are_refused(stores: LocalStores) -> None:
    server = await stores.user(Principal("alice"), Limits(email_get_full=2))
    blob_id = await server.upload(MESSAGE)
    for arguments, error in [
        ({}, "invalidArguments"),
        ({"blobIds": None}, "invalidArguments"),
        ({"blobIds": ["not an id"]}, "invalidArguments"),
        ({"blobIds": [blob_id], "properties": ["nope"]}, "invalidArguments"),
        ({"blobIds": [blob_id], "properties": ["header:From:asDate"]}, "invalidArguments"),
        ({"blobIds": [blob_id], "bodyProperties": ["nope"]}, "invalidArguments"),
        ({"blobIds": [blob_id], "maxBodyValueBytes": -1}, "invalidArguments"),
        ({"blobIds": [blob_id], "ids": []}, "invalidArguments"),
        ({"blobIds": ["a", "b", "c"]}, "requestTooLarge"),
        ({"blobIds": [blob_id], "accountId": "nope"}, "accountNotFound"),
    ]:
        result = await server.call("Email/parse", **arguments)
        assert result["error"]["type"] == error, arguments
