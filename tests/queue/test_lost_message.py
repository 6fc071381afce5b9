"""Reports on a message that the blob store has no more."""

from typing import Any

import pytest_twisted

from mailhive.model.envelope import Envelope
from mailhive.model.outbound import OutboundMessage
from mailhive.queue.ledger import Report
from mailhive.queue.reports import Reporter


@pytest_twisted.ensureDeferred
async def test_the_sender_is_told_nevertheless(stores: Any) -> None:
    writer = stores.blob_store.open_writer()
    writer.write(b"gone")
    with stores.blob_store.hold():
        lost = await writer.commit()
    await stores.blob_store.delete(lost)
    about = OutboundMessage(
        "m", Envelope("a@example.org", ("b@far.example",), {"RET": "FULL"}), lost, 0
    )
    reports = [Report("b@far.example", "failed", "554 5.3.0 The message was lost", "")]
    with stores.blob_store.hold():
        told = await Reporter(stores.blob_store, "mx.example.org").notification(
            about, reports, 0, 0
        )
        text = await stores.blob_store.read(told.blob_id)
    assert told.envelope == Envelope("", ("a@example.org",))
    assert b"Status: 5.3.0" in text and b"text/rfc822-headers" in text
