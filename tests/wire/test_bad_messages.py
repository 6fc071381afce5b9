"""Messages that no honest program writes, delivered by SMTP and read with every property.

Each must be there with its exact octets and a best-effort parse, within bounded
memory; what the parse has to say is for the tests of `mailhive.mime`.
"""

import base64
import smtplib
from collections.abc import Callable
from typing import Any

import pytest

from mailhive.testing.process import DaemonProcess

#: Octets that the daemon may occupy, whatever it is given.
MEMORY = 400_000_000

HEADER = b"From: zoe@example.net\r\nTo: alice@example.org\r\nMIME-Version: 1.0\r\n"
PLAIN = b"Content-Type: text/plain\r\n\r\ntext\r\n"

PROPERTIES = [
    *("id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"),
    *("messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo"),
    *("subject", "sentAt", "hasAttachment", "preview", "headers"),
    *("bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"),
    *("header:Subject", "header:Subject:asText", "header:To:asAddresses:all"),
    *("header:To:asGroupedAddresses", "header:References:asMessageIds"),
    *("header:List-Unsubscribe:asURLs", "header:Date:asDate", "header:Received:all"),
]
BODY_PROPERTIES = [
    *("partId", "blobId", "size", "headers", "name", "type", "charset", "disposition", "cid"),
    *("language", "location", "subParts"),
]


def nested_multipart(levels: int) -> bytes:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i)
        for i in range(levels)
    )
    tail = b"".join(b"\r\n--b%d--\r\n" % i for i in reversed(range(levels)))
    return HEADER + head + PLAIN + tail


def nested_messages(levels: int) -> bytes:
    return HEADER + b"Content-Type: message/rfc822\r\n\r\n" * levels + PLAIN


def parts(count: int, boundary: bytes = b"b", part: bytes = PLAIN) -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
    return (
        HEADER + head + (b"--" + boundary + b"\r\n" + part) * count + b"--" + boundary + b"--\r\n"
    )


def field(name: str, body: bytes) -> bytes:
    """A message with one more header field, folded so that SMTP lets its lines pass."""
    folded = b"\r\n ".join(body[i : i + 900] for i in range(0, len(body), 900))
    return HEADER + name.encode() + b": " + folded + b"\r\n" + PLAIN


MEGABYTE = 1_000_000
MESSAGES = {
    "10,000 parts": parts(10_000),
    "10,000 empty parts": parts(10_000, part=b""),
    "10,000 HTML parts": parts(10_000, part=b"Content-Type: text/html\r\n\r\n<p>x\r\n"),
    "10,000 attached messages": parts(
        10_000, part=b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n"
    ),
    "1,000 levels": nested_multipart(1_000),
    "1,000 levels, unclosed": nested_multipart(1_000).split(PLAIN)[0],
    "1,000 messages in each other": nested_messages(1_000),
    "20,000 levels": nested_multipart(20_000),
    "the same boundary at every level": HEADER
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 5_000,
    "a million boundaries": HEADER
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n" * MEGABYTE,
    "dashes": HEADER
    + b"Content-Type: multipart/mixed; boundary=-\r\n\r\n"
    + (b"-" * 900 + b"\r\n") * 3_000,
    "an empty boundary": parts(100, boundary=b'""'),
    "1 MB Subject": field("Subject", b"x" * MEGABYTE),
    "1 MB Subject of encoded words": field("Subject", b"=?utf-8?Q?=C3=BC?= " * 50_000),
    "1 MB encoded word": field("Subject", b"=?utf-8?B?" + b"QUJD" * 250_000 + b"?="),
    "1 MB To of addresses": field("To", b"Name <a@b.example>, " * 50_000),
    "1 MB To of parentheses": field("To", b"(" * MEGABYTE),
    "1 MB To of quotes": field("To", b'"\\' * (MEGABYTE // 2)),
    "1 MB To of angles": field("To", b"<" * MEGABYTE),
    "1 MB To of groups": field("To", b"g:" * (MEGABYTE // 2)),
    "1 MB References": field("References", b"<a.b.c@example.net> " * 50_000),
    "1 MB Content-Type": field("Content-Type", b"text/plain" + b"; a=b" * 200_000),
    "1 MB of continuations": field(
        "Content-Disposition",
        b"attachment" + b"".join(b"; filename*%d=x" % i for i in range(60_000)),
    ),
    "1 MB List-Unsubscribe": field("List-Unsubscribe", b"<" * MEGABYTE),
    "1 MB Date": field("Date", b"Mon, " * (MEGABYTE // 5)),
    "1 MB Message-ID": field("Message-ID", b"<" + b"m" * MEGABYTE + b"@example.net>"),
    "100,000 fields": HEADER + b"X-F: v\r\n" * 100_000 + PLAIN,
    "100,000 Received fields": HEADER + b"To: a@example.org\r\n" * 100_000 + PLAIN,
    "a field without an end": HEADER + b"X: " + b"x" * 5_000,
    "NULs in the header": HEADER + b"Subject: a\0b\0\r\nX\0Y: z\r\n" + PLAIN,
    "NULs in the body": HEADER + PLAIN + b"\0" * 10_000 + b"\r\n",
    "NULs everywhere": (b"\0" * 500 + b"\r\n") * 1_000,
    "every octet": HEADER
    + b"Subject: "
    + bytes(range(1, 10))
    + bytes(range(14, 256))
    + b"\r\n\r\n"
    + bytes(i for i in range(256) if i not in b"\r\n") * 2
    + b"\r\n",
    "no header": b"\r\nbody only\r\n",
    "no body": b"Subject: header only\r\n",
    "nothing": b"\r\n",
    "an unknown charset": HEADER
    + b"Content-Type: text/plain; charset=x-no-such\r\n\r\n\xff\xfe\r\n",
    "a charset that is a codec": HEADER
    + b"Content-Type: text/plain; charset=zlib_codec\r\n\r\n\xff\xfe\r\n",
    "bad base64": HEADER
    + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"=" * 900
    + b"\r\n!!!!A\r\n",
    "bad quoted-printable": HEADER
    + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    + b"=ZZ=" * 200
    + b"=\r\n=",
    "uuencode": HEADER
    + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 6\r\n",
    "deep HTML": HEADER + b"Content-Type: text/html\r\n\r\n" + (b"<div>" * 150 + b"\r\n") * 700,
    "HTML that never closes": HEADER
    + b"Content-Type: text/html\r\n\r\n"
    + (b"<" * 900 + b"\r\n") * 500,
    "a large attachment": HEADER
    + b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(6 * MEGABYTE)).replace(b"\n", b"\r\n"),
    "utf-7": HEADER + b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+" * 900 + b"\r\n",
    "a long line of spaces": HEADER + b"Subject: " + b" " * 900 + b"x\r\n" + PLAIN,
}


def read_everything(client: Any, email_id: str) -> dict[str, Any]:
    (email,) = client.call(
        "Email/get",
        ids=[email_id],
        properties=PROPERTIES,
        bodyProperties=BODY_PROPERTIES,
        fetchAllBodyValues=True,
        maxBodyValueBytes=100_000,
    )["list"]
    assert set(email) == set(PROPERTIES)
    return email


def new_ids(client: Any, state: str) -> list[str]:
    return client.call("Email/changes", sinceState=state)["created"]


@pytest.mark.parametrize("name", MESSAGES)
def test_delivered_and_read(daemon: DaemonProcess, jmap: Callable, name: str) -> None:
    message = MESSAGES[name]
    client = jmap(daemon)
    state = client.call("Email/get", ids=[])["state"]
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100) as smtp:
        try:
            smtp.sendmail("zoe@example.net", ["alice@example.org"], message, ["body=8bitmime"])
        except smtplib.SMTPDataError as refused:
            # A clear refusal will do, if it is for good and stores nothing.
            assert 500 <= refused.smtp_code < 600
            assert new_ids(client, state) == []
        else:
            (email_id,) = new_ids(client, state)
            email = read_everything(client, email_id)
            octets = client.download(email["blobId"])
            assert octets.endswith(message.removesuffix(b"\r\n") + b"\r\n")
            assert email["size"] == len(octets)
            assert email_id in client.call("Email/query", limit=500)["ids"]
            client.call("Email/query", filter={"text": "word"})
    assert daemon.memory(peak=True) < MEMORY
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("name", MESSAGES)
def test_imported_and_read(daemon: DaemonProcess, jmap: Callable, name: str) -> None:
    client = jmap(daemon)
    blob_id = client.upload(MESSAGES[name])
    answer = client.call(
        "Email/import", emails={"m": {"blobId": blob_id, "mailboxIds": {client.inbox: True}}}
    )
    if answer["created"]:
        email = read_everything(client, answer["created"]["m"]["id"])
        assert email["size"] == len(MESSAGES[name])
        assert client.download(email["blobId"]) == MESSAGES[name]
    else:
        assert answer["notCreated"]["m"]["type"] == "invalidEmail"
    assert daemon.memory(peak=True) < MEMORY
    assert "Traceback" not in daemon.log()
