"""Email (RFC 8621 §4), on the real stores."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.errors import RequestError
from mailhive.jmap.limits import Limits

MESSAGE = b"""\
Received: from a by b; Tue, 1 Oct 2024 10:00:00 +0200\r
Message-ID: <1@example.org>\r
From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r
To: Alice <alice@example.org>, bob@example.org\r
Subject: =?utf-8?b?R3LDvMOfZQ==?=\r
Date: Tue, 1 Oct 2024 09:59:00 +0200\r
List-Post: <mailto:list@example.org>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: multipart/alternative; boundary=c\r
\r
--c\r
Content-Type: text/plain; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
Sch=F6ne Gr=FC=DFe\r
--c\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Sch\xc3\xb6ne <b>Gr\xc3\xbc\xc3\x9fe</b></p>\r
--c--\r
--b\r
Content-Type: application/octet-stream; name=a.bin\r
Content-Disposition: attachment; filename=a.bin\r
Content-Transfer-Encoding: base64\r
\r
AAECAwQ=\r
--b--\r
"""


@pytest_twisted.ensureDeferred
async def test_default_properties(server: Any) -> None:
    inbox = await server.role("inbox")
    email_id = await server.add(MESSAGE, keywords={"$Seen": True, "x": True})
    result = await server.call("Email/get", ids=[email_id, "nope"])
    email = result["list"][0]
    assert result["notFound"] == ["nope"]
    assert {k: v for k, v in email.items() if k not in ("blobId", "threadId")} == {
        "id": email_id,
        "mailboxIds": {inbox: True},
        "keywords": {"$seen": True, "x": True},
        "size": len(MESSAGE),
        "receivedAt": "2024-10-01T08:00:00Z",
        "messageId": ["1@example.org"],
        "inReplyTo": None,
        "references": None,
        "sender": None,
        "from": [{"name": "Jörg", "email": "joerg@example.org"}],
        "to": [
            {"name": "Alice", "email": "alice@example.org"},
            {"name": None, "email": "bob@example.org"},
        ],
        "cc": None,
        "bcc": None,
        "replyTo": None,
        "subject": "Grüße",
        "sentAt": "2024-10-01T09:59:00+02:00",
        "hasAttachment": True,
        "preview": "Schöne Grüße",
        "bodyValues": {},
        "textBody": email["textBody"],
        "htmlBody": email["htmlBody"],
        "attachments": email["attachments"],
    }
    (attachment,) = email["attachments"]
    assert {k: v for k, v in attachment.items() if k != "blobId"} == {
        "partId": attachment["partId"],
        "size": 5,
        "name": "a.bin",
        "type": "application/octet-stream",
        "charset": None,
        "disposition": "attachment",
        "cid": None,
        "language": None,
        "location": None,
    }
    blob = await server.api.blob(server.principal, server.account_id, attachment["blobId"])
    assert await blob.read() == bytes(range(5))
    whole = await server.api.blob(server.principal, server.account_id, email["blobId"])
    assert await whole.read() == MESSAGE


@pytest_twisted.ensureDeferred
async def test_body_values_and_headers(server: Any) -> None:
    email_id = await server.add(MESSAGE)
    result = await server.call(
        "Email/get",
        ids=[email_id],
        properties=["bodyValues", "header:list-POST:asURLs", "header:X:all", "bodyStructure"],
        bodyProperties=["partId", "type", "header:content-type"],
        fetchAllBodyValues=True,
        maxBodyValueBytes=9,
    )
    email = result["list"][0]
    assert email["id"] == email_id
    assert email["header:list-POST:asURLs"] == ["mailto:list@example.org"]
    assert email["header:X:all"] == []
    assert email["bodyStructure"]["subParts"][1]["header:content-type"] == (
        " application/octet-stream; name=a.bin"
    )
    assert [v["value"] for v in email["bodyValues"].values()] == ["Schöne G", "<p>Schön"]
    assert all(v["isTruncated"] for v in email["bodyValues"].values())
    for flag, text in (
        ("fetchTextBodyValues", "Schöne Grüße"),
        ("fetchHTMLBodyValues", "<p>Schöne <b>Grüße</b></p>"),
    ):
        result = await server.call("Email/get", ids=[email_id], **{flag: True})
        (value,) = result["list"][0]["bodyValues"].values()
        assert value == {"value": text, "isEncodingProblem": False, "isTruncated": False}


@pytest.mark.parametrize(
    "arguments",
    [
        {"properties": ["nope"]},
        {"properties": ["header:From:asDate"]},
        {"properties": ["header:"]},
        {"bodyProperties": ["nope"]},
        {"bodyProperties": None},
        {"maxBodyValueBytes": -1},
        {"fetchTextBodyValues": 1},
        {"ids": [1]},
        {"nope": True},
    ],
)
@pytest_twisted.ensureDeferred
async def test_arguments_of_get_that_are_refused(server: Any, arguments: Any) -> None:
    result = await server.call("Email/get", **arguments)
    assert result["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_get_all(server: Any) -> None:
    ids = {await server.add(MESSAGE) for _ in range(12)}
    result = await server.call("Email/get", properties=["id", "headers"])
    assert {e["id"] for e in result["list"]} == ids
    assert result["notFound"] == []
    result = await server.call("Thread/get")
    assert [set(t["emailIds"]) for t in result["list"]] == [ids]


@pytest_twisted.ensureDeferred
async def test_update(server: Any) -> None:
    inbox, archive = await server.role("inbox"), await server.role("archive")
    email_id = await server.add(MESSAGE, keywords={"a": True})
    result = await server.call(
        "Email/set",
        update={
            email_id: {
                "keywords/$FLAGGED": True,
                "keywords/a": None,
                f"mailboxIds/{inbox}": None,
                f"mailboxIds/{archive}": True,
            }
        },
    )
    assert result["updated"] == {email_id: None}
    got = await server.call("Email/get", ids=[email_id], properties=["keywords", "mailboxIds"])
    assert got["list"][0] == {
        "id": email_id,
        "keywords": {"$flagged": True},
        "mailboxIds": {archive: True},
    }
    assert got["state"] == result["newState"] != result["oldState"]
    # Keywords compare without regard to case, also when one is taken away.
    await server.call("Email/set", update={email_id: {"keywords/$Flagged": None}})
    got = await server.call("Email/get", ids=[email_id], properties=["keywords"])
    assert got["list"][0]["keywords"] == {}
    await server.call("Email/set", update={email_id: {"keywords": None}})
    # An update that changes nothing changes no state.
    same = await server.call("Email/set", update={email_id: {"keywords": {}}})
    assert same["oldState"] == same["newState"]


@pytest_twisted.ensureDeferred
async def test_a_whole_email_may_be_sent_back(server: Any) -> None:
    email_id = await server.add(MESSAGE)
    email = (await server.call("Email/get", ids=[email_id]))["list"][0]
    del email["bodyValues"]
    email["keywords"] = {"$seen": True}
    result = await server.call("Email/set", update={email_id: email})
    assert result["updated"] == {email_id: None}
    result = await server.call("Email/set", update={email_id: email | {"subject": "x", "size": 1}})
    assert result["notUpdated"][email_id]["properties"] == ["size", "subject"]


@pytest.mark.parametrize(
    ("patch", "type_", "properties"),
    [
        ({"mailboxIds": {}}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": None}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": {"nope": True}}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds/#nope": True}, "invalidProperties", ["mailboxIds"]),
        ({"keywords": {"a b": True}}, "invalidProperties", ["keywords"]),
        ({"keywords/x": False}, "invalidProperties", ["keywords"]),
        ({"keywords/x/y": True}, "invalidPatch", None),
        ({"keywords": {}, "keywords/x": True}, "invalidPatch", None),
        ({"nope": 1}, "invalidProperties", ["nope"]),
        ({"header:From:asDate": 1}, "invalidProperties", ["header:From:asDate"]),
        ({"keywords": {f"k{i}": True for i in range(101)}}, "tooManyKeywords", None),
        ([], "invalidPatch", None),
    ],
)
@pytest_twisted.ensureDeferred
async def test_updates_that_are_refused(
    server: Any, patch: Any, type_: str, properties: list[str] | None
) -> None:
    email_id = await server.add(MESSAGE)
    result = await server.call("Email/set", update={email_id: patch})
    error = result["notUpdated"][email_id]
    assert (error["type"], error.get("properties")) == (type_, properties)
    assert result["oldState"] == result["newState"]


@pytest_twisted.ensureDeferred
async def test_destroy(server: Any) -> None:
    email_id = await server.add(MESSAGE)
    other = await server.add(MESSAGE)
    state = (await server.call("Email/get", ids=[]))["state"]
    result = await server.call(
        "Email/set", destroy=[email_id, "nope", email_id], update={email_id: {"keywords": {}}}
    )
    assert result["destroyed"] == [email_id]
    assert result["notDestroyed"]["nope"]["type"] == "notFound"
    assert result["notUpdated"][email_id]["type"] == "willDestroy"
    changes = await server.call("Email/changes", sinceState=state)
    assert (changes["created"], changes["updated"], changes["destroyed"]) == ([], [], [email_id])
    assert (await server.call("Email/query"))["ids"] == [other]


@pytest_twisted.ensureDeferred
async def test_create_a_draft(server: Any) -> None:
    drafts = await server.role("drafts")
    picture = await server.upload(b"\x89PNG", "image/png")
    result = await server.call(
        "Email/set",
        create={
            "d": {
                "mailboxIds": {drafts: True},
                "keywords": {"$draft": True, "$seen": True},
                "from": [{"name": "Älice", "email": "alice@example.org"}],
                "to": [{"email": "bob@example.org"}],
                "subject": "Grüße aus Köln",
                "header:X-Note:asText": "é" * 90,
                "textBody": [{"partId": "t", "type": "text/plain"}],
                "htmlBody": [{"partId": "h", "type": "text/html"}],
                "bodyValues": {"t": {"value": "Hällo\nWorld"}, "h": {"value": "<p>Hällo"}},
                "attachments": [{"blobId": picture, "type": "image/png", "name": "ü.png"}],
            }
        },
    )
    made = result["created"]["d"]
    assert made.keys() == {"id", "blobId", "threadId", "size"}
    got = await server.call(
        "Email/get",
        ids=[made["id"]],
        fetchTextBodyValues=True,
        properties=[
            "from", "to", "subject", "header:X-Note:asText", "bodyValues", "attachments",
            "hasAttachment", "messageId", "sentAt", "keywords", "size", "preview",
        ],
    )  # fmt: skip
    email = got["list"][0]
    assert email["subject"] == "Grüße aus Köln"
    assert email["from"] == [{"name": "Älice", "email": "alice@example.org"}]
    assert email["to"] == [{"name": None, "email": "bob@example.org"}]
    assert email["header:X-Note:asText"] == "é" * 90
    assert [v["value"] for v in email["bodyValues"].values()] == ["Hällo\nWorld"]
    assert email["attachments"][0]["name"] == "ü.png"
    assert email["messageId"][0].endswith("@mail.example.org")
    assert email["sentAt"] is not None
    assert email["size"] == made["size"]
    blob = await server.api.blob(
        server.principal, server.account_id, email["attachments"][0]["blobId"]
    )
    assert await blob.read() == b"\x89PNG"


@pytest_twisted.ensureDeferred
async def test_what_the_server_chooses_for_a_draft(server: Any) -> None:
    """The charset of a text follows from it; what is no text has none (RFC 8621 §4.1.4)."""
    mailbox_ids = {await server.role("drafts"): True}
    result = await server.call(
        "Email/set",
        create={
            "d": {
                "mailboxIds": mailbox_ids,
                "textBody": [{"partId": "a"}],
                "htmlBody": [{"partId": "b"}],
                "attachments": [{"partId": "c", "type": "application/json"}],
                "bodyValues": {
                    "a": {"value": "ASCII"},
                    "b": {"value": "<p>Ä"},
                    "c": {"value": '{"ä": 1}'},
                },
            }
        },
    )
    got = await server.call("Email/get", ids=[result["created"]["d"]["id"]])
    (email,) = got["list"]
    charsets = [email[n][0]["charset"] for n in ("textBody", "htmlBody", "attachments")]
    assert charsets == ["us-ascii", "utf-8", None]
    assert len(email["receivedAt"]) == len("2024-10-01T08:00:00Z")  # no fraction of a second


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_created(server: Any) -> None:
    drafts = {await server.role("drafts"): True}
    result = await server.call(
        "Email/set",
        create={
            "nowhere": {"subject": "x"},
            "wrong": {"mailboxIds": drafts, "keywords": ["a"], "receivedAt": "now"},
            "gone": {"mailboxIds": {"nope": True}},
            "blobs": {
                "mailboxIds": drafts,
                "attachments": [{"blobId": "nope"}, {"blobId": "b_0_1_n"}, {"blobId": "nope"}],
            },
            "type": {"mailboxIds": drafts, "bodyStructure": {"type": "nonsense", "partId": "p"},
                     "bodyValues": {"p": {"value": ""}}},
            "array": [],
        },
    )  # fmt: skip
    assert result["created"] is None
    errors = {c: (e["type"], e.get("properties")) for c, e in result["notCreated"].items()}
    assert errors["nowhere"] == ("invalidProperties", ["mailboxIds"])
    assert errors["wrong"] == ("invalidProperties", ["keywords", "receivedAt"])
    assert errors["gone"] == ("invalidProperties", ["mailboxIds"])
    assert errors["blobs"] == ("blobNotFound", None)
    assert result["notCreated"]["blobs"]["notFound"] == ["nope", "b_0_1_n"]
    assert errors["type"][0] == "invalidProperties"
    assert errors["array"][0] == "invalidProperties"


@pytest_twisted.ensureDeferred
async def test_a_mailbox_made_in_the_same_request_can_be_named(server: Any) -> None:
    account_id = server.account_id
    response = await server.request(
        ["Mailbox/set", {"accountId": account_id, "create": {"m": {"name": "New"}}}, "a"],
        [
            "Email/set",
            {"accountId": account_id, "create": {"e": {"mailboxIds": {"#m": True}}}},
            "b",
        ],
        [
            "Email/set",
            {"accountId": account_id, "update": {"#e": {"keywords/x": True}}},
            "c",
        ],
    )
    (_, boxes, _), (_, made, _), (_, updated, _) = response["methodResponses"]
    email_id = made["created"]["e"]["id"]
    assert updated["updated"] == {email_id: None}
    got = await server.call("Email/get", ids=[email_id], properties=["mailboxIds", "keywords"])
    assert got["list"][0]["mailboxIds"] == {boxes["created"]["m"]["id"]: True}
    assert got["list"][0]["keywords"] == {"x": True}


@pytest_twisted.ensureDeferred
async def test_an_upload_whose_blob_a_crash_has_lost(stores: Any, server: Any) -> None:
    writer = stores.blob_store.open_writer()
    writer.write(MESSAGE)
    blob_id = writer.blob_id()
    writer.abort()
    await stores.mail_store.write(
        server.account_id, lambda w: w.add_upload(blob_id, "message/rfc822", 1, 0.0, "alice")
    )
    email = {"blobId": blob_id, "mailboxIds": {await server.role("inbox"): True}}
    result = await server.call("Email/import", emails={"m": email})
    assert result["notCreated"]["m"]["properties"] == ["blobId"]
    with pytest.raises(RequestError, match="no such blob"):
        await server.download(blob_id)
    assert await server.upload(MESSAGE) == blob_id
    assert (await server.call("Email/import", emails={"m": email}))["created"]


@pytest_twisted.ensureDeferred
async def test_import(server: Any) -> None:
    inbox = {await server.role("inbox"): True}
    blob_id = await server.upload(MESSAGE)
    wrapped = (
        b"From: a@example.org\r\nContent-Type: message/rfc822\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogaW4NCg0KYm9keQ==\r\n"
    )
    outer = await server.upload(wrapped)
    start = wrapped.index(b"U3Vi")
    inner = f"{outer}_{start}_28_b"
    result = await server.call(
        "Email/import",
        emails={
            "a": {"blobId": blob_id, "mailboxIds": inbox, "keywords": {"$SEEN": True}},
            "b": {"blobId": blob_id, "mailboxIds": inbox, "receivedAt": "2020-01-01T00:00:00.5Z"},
            "c": {"blobId": inner, "mailboxIds": inbox},
            "nope": {"blobId": "nope", "mailboxIds": inbox},
            "none": {"blobId": blob_id, "mailboxIds": {}},
            "not": {"blobId": await server.upload(b"this is not an email"), "mailboxIds": inbox},
            "bad": {"blobId": blob_id, "mailboxIds": inbox, "receivedAt": 1, "x": 2},
        },
    )
    errors = {c: (e["type"], e.get("properties")) for c, e in result["notCreated"].items()}
    assert errors == {
        "nope": ("invalidProperties", ["blobId"]),
        "none": ("invalidProperties", ["mailboxIds"]),
        "not": ("invalidEmail", None),
        "bad": ("invalidProperties", ["receivedAt", "x"]),
    }
    created = result["created"]
    assert created["a"] | {"id": ""} == created["b"] | {"id": ""}
    got = await server.call(
        "Email/get", ids=[e["id"] for e in created.values()],
        properties=["receivedAt", "subject", "keywords", "blobId"],
    )  # fmt: skip
    a, b, c = got["list"]
    assert (a["receivedAt"], a["keywords"]) == ("2024-10-01T08:00:00Z", {"$seen": True})
    assert b["receivedAt"] == "2020-01-01T00:00:00.5Z"
    assert c["subject"] == "in" and c["blobId"] != inner
    result = await server.call("Email/import", emails={}, ifInState="x")
    assert result["error"]["type"] == "stateMismatch"
    result = await server.call("Email/import")
    assert result["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_query(server: Any) -> None:
    one = await server.add(MESSAGE, receivedAt="2024-01-01T00:00:00Z", keywords={"$seen": True})
    two = await server.add(
        b"From: zed@example.org\r\nSubject: other\r\n\r\nunique words\r\n",
        role="archive",
        receivedAt="2024-01-02T00:00:00Z",
    )
    three = await server.add(MESSAGE, receivedAt="2024-01-03T00:00:00Z")
    inbox = await server.role("inbox")

    async def query(**arguments: Any) -> list[str]:
        result = await server.call("Email/query", **arguments)
        ids: list[str] = result["ids"]
        return ids

    ascending = [{"property": "receivedAt"}]
    assert await query() == [three, two, one]
    assert await query(sort=ascending) == [one, two, three]
    assert await query(filter={"inMailbox": inbox}) == [three, one]
    assert await query(filter={"inMailboxOtherThan": [inbox]}) == [two]
    assert await query(filter={"text": "unique"}) == [two]
    assert await query(filter={"from": "joerg@example.org"}) == [three, one]
    assert await query(filter={"before": "2024-01-02T00:00:00Z"}) == [one]
    assert await query(filter={"after": "2024-01-02T00:00:00Z"}) == [three, two]
    assert await query(filter={"hasKeyword": "$SEEN"}) == [one]
    assert await query(filter={"hasAttachment": False}) == [two]
    assert await query(filter={"header": ["list-post"]}) == [three, one]
    assert await query(collapseThreads=True) == [three, two]
    assert await query(anchor=two, anchorOffset=-1, limit=2) == [three, two]
    assert await query(position=-1) == [one]
    keyword = {"property": "hasKeyword", "keyword": "$seen", "isAscending": False}
    assert await query(sort=[keyword, *ascending]) == [one, two, three]
    result = await server.call("Email/query", calculateTotal=True, limit=1, collapseThreads=True)
    assert (result["total"], result["position"], result["ids"]) == (2, 0, [three])
    for arguments, error in (
        ({"anchor": "nope"}, "anchorNotFound"),
        ({"filter": {"nope": 1}}, "unsupportedFilter"),
        ({"filter": {"hasKeyword": "a b"}}, "invalidArguments"),
        ({"filter": {"text": " ".join(map(str, range(300)))}}, "unsupportedFilter"),
        ({"filter": {"header": []}}, "invalidArguments"),
        ({"sort": [{"property": "nope"}]}, "unsupportedSort"),
        ({"sort": [{"property": "hasKeyword"}]}, "invalidArguments"),
        ({"limit": -1}, "invalidArguments"),
        ({"position": 2**53}, "invalidArguments"),
    ):
        result = await server.call("Email/query", **arguments)
        assert result["error"]["type"] == error, arguments


@pytest_twisted.ensureDeferred
async def test_what_was_imported_no_longer_counts_as_an_upload(server: Any, stores: Any) -> None:
    small = await stores.user(server.principal, Limits(upload_quota=len(MESSAGE) + 10))
    await small.add(MESSAGE)
    waiting = await small.upload(b"waiting")
    await small.add(MESSAGE + b"\r\n")
    assert await small.download(waiting) == b"waiting"
    await small.upload(bytes(len(MESSAGE) + 5))
    with pytest.raises(RequestError):
        await small.download(waiting)
