"""What senders are told of mail that was delivered here."""

from typing import Any

from attrs import Factory, define, evolve
from pytest_twisted import ensureDeferred
from twisted.internet.task import Clock

from mailhive.errors import TemporaryFailure
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.outbound import OutboundMessage
from mailhive.queue.delivered import DeliveryReports
from mailhive.queue.reports import Reporter

RAW = b"Return-Path: <zoe@far.example>\r\nSubject: Hello\r\n\r\nSecret\r\n"


@define
class Queue:
    messages: list[OutboundMessage] = Factory(list)
    is_broken: bool = False

    async def submit(self, message: OutboundMessage) -> None:
        if self.is_broken:
            raise TemporaryFailure("No space left")
        self.messages.append(message)


def outcome(address: str, code: int = 250) -> RecipientOutcome:
    return RecipientOutcome(address, code, f"{code // 100}.1.5", "Delivered")


@ensureDeferred
async def test_those_who_asked_are_told(stores: Any) -> None:
    blobs, queue = stores.blob_store, Queue()
    reports = DeliveryReports(Reporter(blobs, "mx.example"), queue, Clock())
    envelope = Envelope(
        "zoe@far.example",
        ("a@mx.example", "b@mx.example", "c@mx.example", "d@mx.example"),
        {"ENVID": "a+2Bb", "RET": "FULL"},
        {
            "a@mx.example": {"NOTIFY": "delay,success", "ORCPT": "rfc822;alias@far.example"},
            "b@mx.example": {"NOTIFY": "SUCCESS"},
            "c@mx.example": {"NOTIFY": "FAILURE"},
        },
    )
    writer = blobs.open_writer()
    writer.write(RAW)
    with blobs.hold():
        blob_id = await writer.commit()
        outcomes = [
            outcome("a@mx.example"),
            outcome("b@mx.example", 452),
            outcome("c@mx.example"),
            outcome("d@mx.example"),
        ]
        await reports.delivered(envelope, blob_id, outcomes)
        (message,) = queue.messages
        assert message.envelope == Envelope("", ("zoe@far.example",))
        text = (await blobs.read(message.blob_id)).decode()
        for line in (
            "Original-Envelope-Id: a+b",
            "Original-Recipient: rfc822;alias@far.example",
            "Final-Recipient: rfc822;a@mx.example",
            "Action: delivered",
            "Status: 2.1.5",
            "Subject: Hello",
        ):
            assert f"\r\n{line}\r\n" in text
        assert text.count("Final-Recipient") == 1 and "Secret" not in text
        await reports.delivered(
            envelope, blob_id, [evolve(outcome("b@mx.example"), is_expanded=True)]
        )
        text = (await blobs.read(queue.messages.pop().blob_id)).decode()
        assert "\r\nAction: expanded\r\n" in text and "Subject: Mail was passed on\r\n" in text
        # Of what is itself a report, and for want of room, nobody is told.
        await reports.delivered(Envelope("", *_rest(envelope)), blob_id, outcomes)
        queue.is_broken = True
        await reports.delivered(envelope, blob_id, outcomes)
    assert len(queue.messages) == 1


def _rest(envelope: Envelope) -> tuple[Any, ...]:
    return envelope.recipients, envelope.parameters, envelope.recipient_parameters
