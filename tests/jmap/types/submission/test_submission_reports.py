"""What comes back for a submission: reports of delivery and of display (RFC 8621 §7)."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.model.arrival import Arrival
from mailhive.model.envelope import Envelope
from mailhive.testing.conformance.outbox import Way, turn
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import Sender, envelope

X, Y = "x@near.example", "Y@near.example"
MESSAGE = (
    b"From: alice@example.org\r\nTo: x@near.example, Y@near.example\r\nSubject: s\r\n"
    b"Date: Sat, 01 Mar 2025 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n"
)
ACCEPTED = "250 2.0.0 Said so"
HEADER = b"Message-ID: <1@example.org>\r\n"


def group(address: str, action: str, said: str = "") -> bytes:
    told = f"Diagnostic-Code: smtp; {said}\r\n" if said else ""
    return f"\r\nFinal-Recipient: rfc822; {address}\r\nAction: {action}\r\n{told}".encode()


def dsn(*groups: bytes, envelope_id: str = "", returned: bytes = HEADER) -> bytes:
    given = f"Original-Envelope-Id: {envelope_id}\r\n".encode() if envelope_id else b""
    return (
        b"From: MAILER-DAEMON@mx.near.example\r\nTo: alice@example.org\r\nSubject: Report\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
        b"--b\r\n\r\nTo people\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Reporting-MTA: dns; mx.near.example\r\n" + given + b"".join(groups) + b"\r\n"
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" + returned + b"\r\n--b--\r\n"
    )


def mdn(address: str, disposition: str = "manual-action/MDN-sent-manually; displayed") -> bytes:
    return (
        b"From: x@near.example\r\nTo: alice@example.org\r\nSubject: Read\r\n"
        b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n"
        b"--b\r\n\r\nRead\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        b"Final-Recipient: rfc822; " + address.encode() + b"\r\n"
        b"Original-Message-ID: <1@example.org>\r\nDisposition: " + disposition.encode() + b"\r\n"
        b"\r\n--b--\r\n"
    )


def status(reply: str, delivered: str, displayed: str = "unknown") -> dict[str, str]:
    return {"smtpReply": reply, "delivered": delivered, "displayed": displayed}


@pytest.fixture
def way(stores: LocalStores) -> Way:
    """Servers elsewhere, who take what they are given."""
    way = Way(relays=True)
    stores.outbox.add_transport(way)
    return way


@pytest.fixture
def come(stores: LocalStores, alice: Sender) -> Any:
    """Mail for alice arrives, and what follows from it has happened."""

    async def come(
        message: bytes, sender: str = "", to: str = "alice@example.org", junk: bool = False
    ) -> str:
        with stores.blob_store.hold():
            blob_id = await alice.user.store_blob(message)
            [outcome] = await stores.delivery.deliver(
                Envelope(sender, (to,)), blob_id, Arrival(junk)
            )
        assert outcome.code == 250
        reader = stores.delivery.observers[0]
        while reader._under_way:
            await turn()
        return blob_id

    return come


async def sent(alice: Sender, **properties: Any) -> str:
    """The id of a submission that others have taken."""
    created = await alice.send(MESSAGE, **properties)
    submission_id: str = created["id"]
    await alice.reached(submission_id, "unknown", "unknown")
    return submission_id


@pytest_twisted.ensureDeferred
async def test_reports_of_delivery(alice: Sender, way: Way, come: Any) -> None:
    submission_id = await sent(alice)
    before = await alice.get(submission_id)
    state = (await alice.call("EmailSubmission/get", ids=[]))["state"]
    failed = group("X@near.example", "failed", "550-5.1.1 Nobody\r\n here")
    first = await come(dsn(failed, group(Y, "relayed", "250 2.0.0 Gone on")))
    found = await alice.get(submission_id)
    assert found == before | {
        "dsnBlobIds": [first],
        "deliveryStatus": {
            X: status("550 5.1.1 Nobody here", "no"),
            Y: status("250 2.0.0 Gone on", "unknown"),
        },
    }
    changes = await alice.call("EmailSubmission/changes", sinceState=state)
    assert changes["updated"] == [submission_id]
    # What is final stays, and the rest comes later; by ENVID alone, as that is its id.
    late = dsn(
        group(X, "delivered"), group(Y, "delivered"), envelope_id=submission_id, returned=b""
    )
    second = await come(late)
    found = await alice.get(submission_id)
    assert found["dsnBlobIds"] == [first, second] and found["mdnBlobIds"] == []
    assert found["deliveryStatus"] == {
        X: status("550 5.1.1 Nobody here", "no"),
        Y: status("250 2.0.0 Delivered", "yes"),
    }
    assert (await alice.call("EmailSubmission/query", filter={}))["ids"] == [submission_id]


@pytest_twisted.ensureDeferred
async def test_reports_of_display(alice: Sender, way: Way, come: Any) -> None:
    submission_id = await sent(alice)
    # Programs of people send these from their own address, too.
    first = await come(mdn(X), "x@near.example")
    deleted = await come(mdn(Y, "manual-action/MDN-sent-manually; deleted"))
    found = await alice.get(submission_id)
    assert found["mdnBlobIds"] == [first, deleted] and found["dsnBlobIds"] == []
    assert found["deliveryStatus"] == {
        X: status(ACCEPTED, "unknown", "yes"),
        Y: status(ACCEPTED, "unknown"),
    }
    await come(dsn(group(X, "delivered")))
    found = await alice.get(submission_id)
    assert found["deliveryStatus"][X] == status("250 2.0.0 Delivered", "yes", "yes")


@pytest_twisted.ensureDeferred
async def test_a_report_is_there_as_long_as_its_submission(
    stores: LocalStores, alice: Sender, bob: Sender, way: Way, come: Any
) -> None:
    submission_id = await sent(alice)
    blob_id = await come(dsn(group(X, "failed")))
    [email_id] = (await alice.call("Email/query", filter={"subject": "Report"}))["ids"]
    await alice.call("Email/set", destroy=[email_id])
    assert (await alice.user.download(blob_id)).startswith(b"From: MAILER-DAEMON")

    async def referred() -> bool:
        found = await stores.mail_store.read(
            alice.user.account_id, lambda r: r.blob_ids("", "c", 99)
        )
        return blob_id in found

    assert await referred()
    await alice.call("EmailSubmission/set", destroy=[submission_id])
    assert not await referred()


@pytest_twisted.ensureDeferred
async def test_a_report_that_is_faster_than_we_are(
    stores: LocalStores, alice: Sender, way: Way, come: Any
) -> None:
    way.replies = {X: [450], Y: [250]}
    created = await alice.send(MESSAGE)
    await alice.reached(created["id"], "queued", "unknown")
    await come(dsn(group(X, "delivered"), group(Y, "delivered")))
    found = (await alice.get(created["id"]))["deliveryStatus"]
    assert found == {
        X: status("450 4.0.0 Said so", "queued"),
        Y: status("250 2.0.0 Delivered", "yes"),
    }
    # What the outbox tells next does not take back what the report said, and finds it.
    await stores.outbox.expedite(created["id"])
    await alice.reached(created["id"], "yes", "yes")


@pytest_twisted.ensureDeferred
async def test_an_email_that_was_sent_twice(alice: Sender, way: Way, come: Any) -> None:
    email_id = await alice.draft(MESSAGE)
    to_x, to_y = envelope("alice@example.org", X), envelope("alice@example.org", Y)
    to_y["mailFrom"]["parameters"] = {"EnvId": "mine"}
    ids = []
    for given in (to_x, to_y):
        result = await alice.try_to_send(email_id, envelope=given)
        ids.append(result["created"]["s"]["id"])
        await alice.reached(ids[-1], "unknown")
    by_recipient = await come(dsn(group(X, "delivered")))
    by_envelope_id = await come(dsn(group(Y, "delivered"), envelope_id="mine"))
    await come(dsn(group(Y, "delivered"), envelope_id="other"))
    assert (await alice.get(ids[0]))["dsnBlobIds"] == [by_recipient]
    assert (await alice.get(ids[1]))["dsnBlobIds"] == [by_envelope_id]


@pytest_twisted.ensureDeferred
async def test_what_is_sent_names_the_submission(
    stores: LocalStores, alice: Sender, way: Way
) -> None:
    way.replies = {X: [450], Y: [450]}
    created = await alice.send(MESSAGE)
    found = await stores.outbox.status(created["id"])
    assert found.message.envelope.parameters == {"ENVID": created["id"]}


@pytest_twisted.ensureDeferred
async def test_our_own_bounce(alice: Sender, stores: LocalStores, come: Any) -> None:
    bounce = dsn(group("bob@example.org", "failed", "550 5.1.1 Gone"))
    text = MESSAGE.replace(b"x@near.example, Y@near.example", b"bob@example.org")
    created = await alice.send(text)
    await alice.reached(created["id"], "yes")
    blob_id = await come(bounce)
    found = await alice.get(created["id"])
    # It is listed, but the recipient has the message, which nobody knows better than we do.
    assert found["dsnBlobIds"] == [blob_id]
    assert found["deliveryStatus"]["bob@example.org"]["delivered"] == "yes"


@pytest.mark.parametrize(
    ("message", "more"),
    [
        (dsn(group(X, "failed")), {"sender": "eve@elsewhere.example"}),
        (dsn(group(X, "failed")), {"junk": True}),
        (dsn(group(X, "failed")), {"to": "bob@example.org"}),
        (dsn(group("z@near.example", "failed")), {}),
        (dsn(group("", "failed")), {}),
        (dsn(), {}),
        (dsn(group(X, "failed"), returned=b"Message-ID: <2@example.org>\r\n"), {}),
        (dsn(group(X, "failed"), returned=b"\r\n" + HEADER), {}),
        (dsn(group(X, "failed"), envelope_id="Sother"), {}),
        (dsn(group(X, "failed"), envelope_id="' OR 1"), {}),
        (mdn("z@near.example"), {}),
        (mdn(X).replace(b"multipart/report", b"multipart/mixed"), {}),
        (dsn(group(X, "failed")).replace(b"text/rfc822-headers", b"text/html"), {}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_for_nobody(
    alice: Sender, bob: Sender, way: Way, come: Any, message: bytes, more: dict[str, Any]
) -> None:
    submission_id = await sent(alice)
    before = await alice.get(submission_id)
    await come(message, **more)
    assert await alice.get(submission_id) == before


@pytest_twisted.ensureDeferred
async def test_hostile_reports_are_limited(alice: Sender, way: Way, come: Any) -> None:
    submission_id = await sent(alice)
    huge = dsn(group(X, "relayed", "250 2.0.0 " + "x" * 2_000_000), group(Y, "failed"))
    await come(huge)
    many = dsn(*[group(f"u{n}@near.example", "failed") for n in range(5_000)], group(Y, "failed"))
    await come(many)
    for n in range(60):
        await come(dsn(group(X, "relayed", f"250 2.0.0 {n}")))
    found = await alice.get(submission_id)
    assert len(found["dsnBlobIds"]) == 54
    assert all(len(s["smtpReply"]) <= 1_000 for s in found["deliveryStatus"].values())
    assert found["deliveryStatus"][Y]["delivered"] == "unknown"
    assert (await alice.call("Email/query", calculateTotal=True))["total"] == 63
