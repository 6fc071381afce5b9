"""Mail for addresses that stand for others."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, fail, succeed

from mailhive.config.forward import ForwardSettings, problems
from mailhive.errors import TemporaryFailure
from mailhive.mail.forwarding import ForwardingDelivery
from mailhive.mail.reach import Forwards
from mailhive.model.arrival import Arrival
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.outbound import OutboundMessage
from mailhive.model.principal import Principal
from mailhive.queue.schedule import success_action
from mailhive.testing.memory import MemoryBlobStore, MemoryDelivery

RAW = b"Return-Path: <x@far.example>\r\n\tfolded\r\nReceived: x\r\nSubject: hi\r\n\r\nbody\r\n"
TABLES = {
    "sales@Here.example": ForwardSettings(to=("alice@here.example", "bob@far.example")),
    "away@here.example": ForwardSettings(to=("bob@far.example",)),
    "kept@here.example": ForwardSettings(to=("kept@here.example", "bob@far.example")),
    "team@here.example": ForwardSettings(to=("alice@here.example", "bob@here.example")),
    "list@here.example": ForwardSettings(
        to=("sales@here.example", "c@far.example"), sender="owner@here.example"
    ),
    "round@here.example": ForwardSettings(to=("about@here.example",)),
    "about@here.example": ForwardSettings(to=("round@here.example",)),
    "nobody@here.example": ForwardSettings(to=("missing@here.example",)),
    "again@here.example": ForwardSettings(to=("sales@here.example",)),
    "members@here.example": ForwardSettings(to=("list@here.example",)),
    "partly@here.example": ForwardSettings(to=("missing@here.example", "alice@here.example")),
}
OWN = ("team+own@here.example", "+x@here.example")
HERE = ["alice@here.example", "bob@here.example", "kept@here.example"]


class Domains:
    """As much of a directory as is asked."""

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return succeed(domain == "here.example")

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        found = address if address in (*HERE, "team+own@here.example") else _sub_address(address)
        return succeed((Principal(found, "individual"),) if found in HERE or "own" in found else ())


def _sub_address(address: str) -> str:
    local, _, domain = address.partition("@")
    return f"{local.partition('+')[0]}@{domain}"


@define(eq=False)
class Outbox:
    """Takes messages, until there is no `room`."""

    messages: list[OutboundMessage] = field(factory=list)
    held: dict[str, OutboundMessage] = field(factory=dict)
    room: int = 9

    def submit(self, message: OutboundMessage, *, held: bool = False) -> Deferred[None]:
        self.room -= 1
        if self.room < 0:
            return fail(TemporaryFailure("the disk is full"))
        if held:
            self.held[message.id] = message
        else:
            self.messages.append(message)
        return succeed(None)

    def release(self, message_id: str) -> Deferred[None]:
        self.messages.append(self.held.pop(message_id))
        return succeed(None)

    def cancel(self, message_id: str) -> Deferred[None]:
        del self.held[message_id]
        return succeed(None)


class Broken(MemoryDelivery):
    """Delivery that fails halfway."""

    def deliver(self, *arguments: Any) -> Deferred[tuple[RecipientOutcome, ...]]:
        return super().deliver(*arguments).addCallback(lambda _: 1 // 0)


async def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _seal(message: bytes, domain: str, found: bytes) -> bytes:
    assert message.startswith(b"Delivered-To: ")
    return b"Sealed: " + domain.encode() + b" " + found + b"\r\n"


@define(eq=False)
class Bench:
    blobs: MemoryBlobStore = field(factory=MemoryBlobStore)
    inner: MemoryDelivery = field(
        factory=lambda: MemoryDelivery([*HERE, *OWN, "kept+x@here.example"])
    )
    outbox: Outbox = field(factory=Outbox)
    delivery: ForwardingDelivery = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.delivery = ForwardingDelivery(
            inner=self.inner,
            forwards=Forwards(Domains(), TABLES),
            blobs=self.blobs,
            outbox=self.outbox,
            offload=_inline,
            now=lambda: 1_000,
            seal=_seal,
        )

    async def deliver(
        self, *recipients: str, raw: bytes = RAW, found: bytes = b"", **more: Any
    ) -> list[tuple[str, int]]:
        writer = self.blobs.open_writer()
        writer.write(raw)
        mail_from = more.pop("mail_from", "x@far.example")
        added = more.pop("added", frozenset())
        arrival = Arrival(more.pop("junk", False), found=found, added=added)
        with self.blobs.hold():
            outcomes = await self.delivery.deliver(
                Envelope(mail_from, recipients, **more), await writer.commit(), arrival
            )
        return [(outcome.recipient, outcome.code) for outcome in outcomes]

    @property
    def served(self) -> list[tuple[str, ...]]:
        return [each.envelope.recipients for each in self.inner.delivered]

    @property
    def sent(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(m.envelope.mail_from, m.envelope.recipients) for m in self.outbox.messages]


@pytest.mark.parametrize(
    ("recipients", "served", "sent"),
    [
        (["alice@here.example"], [("alice@here.example",)], []),
        (
            ["Sales@here.example"],
            [("alice@here.example",)],
            [("x@far.example", ("bob@far.example",))],
        ),
        (["away@here.example"], [], [("x@far.example", ("bob@far.example",))]),
        (
            ["kept@here.example"],
            [("kept@here.example",)],
            [("x@far.example", ("bob@far.example",))],
        ),
        (["team@here.example"], [("alice@here.example", "bob@here.example")], []),
        (
            ["list@here.example", "bob@here.example"],
            [("bob@here.example", "alice@here.example")],
            [("owner@here.example", ("c@far.example", "bob@far.example"))],
        ),
        (["partly@here.example"], [("alice@here.example",)], []),
        (["Away+x@here.example"], [], [("x@far.example", ("bob@far.example",))]),
        (
            ["kept+x@here.example"],
            [("kept+x@here.example",)],
            [("x@far.example", ("bob@far.example",))],
        ),
        (["team+own@here.example", "+x@here.example"], [OWN], []),
    ],
)
@ensureDeferred
async def test_where_mail_goes(
    recipients: list[str], served: list[tuple[str, ...]], sent: list[Any]
) -> None:
    bench = Bench()
    assert await bench.deliver(*recipients) == [(address, 250) for address in recipients]
    assert (bench.served, bench.sent) == (served, sent)


@ensureDeferred
async def test_what_goes_on() -> None:
    bench = Bench()
    await bench.deliver("away@here.example", found=b"mx; spf=pass")
    passed = await bench.blobs.read(bench.outbox.messages[0].blob_id)
    assert passed == (
        b"Sealed: here.example mx; spf=pass\r\nDelivered-To: away@here.example\r\n"
        b"Received: x\r\nSubject: hi\r\n\r\nbody\r\n"
    )
    await bench.deliver("away@here.example", raw=b"\r\nreturn-path: in the body\r\n")
    passed = await bench.blobs.read(bench.outbox.messages[1].blob_id)
    assert passed == b"Delivered-To: away@here.example\r\n\r\nreturn-path: in the body\r\n"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"Subject: x\r\nDelivered-To: Away@HERE.example\r\n\r\n", 554),
        (b"delivered-to:away@here.example\r\n\r\nx", 554),
        (b"Delivered-To: other@here.example\r\n\r\n", 250),
        (b"Subject: x\r\n\r\nDelivered-To: away@here.example\r\n", 250),
        (b"\r\nDelivered-To: away@here.example\r\n", 250),
    ],
)
@ensureDeferred
async def test_loops(raw: bytes, code: int) -> None:
    bench = Bench()
    outcomes = await bench.deliver("away@here.example", "alice@here.example", raw=raw)
    assert outcomes == [("away@here.example", code), ("alice@here.example", 250)]
    assert len(bench.sent) == (code == 250)


@ensureDeferred
async def test_a_report_stays_a_report() -> None:
    bench = Bench()
    await bench.deliver("list@here.example", mail_from="")
    assert bench.sent == [("", ("c@far.example",)), ("", ("bob@far.example",))] or bench.sent == [
        ("", ("c@far.example", "bob@far.example"))
    ]


@pytest.mark.parametrize(
    ("address", "notify", "passed", "told"),
    [
        ("away@here.example", "SUCCESS,FAILURE", "SUCCESS,FAILURE", "by others"),
        ("sales@here.example", "SUCCESS,FAILURE", "FAILURE", "expanded"),
        ("sales@here.example", "SUCCESS", "NEVER", "expanded"),
        ("sales@here.example", "NEVER", "NEVER", "expanded"),
        ("list@here.example", "NEVER", None, "delivered"),
        ("again@here.example", "NEVER", "NEVER", "expanded"),
        ("members@here.example", "NEVER", None, "delivered"),
    ],
)
@ensureDeferred
async def test_reports(address: str, notify: str, passed: str | None, told: str) -> None:
    bench = Bench()
    envelope = Envelope(
        "x@far.example",
        (address,),
        {"SIZE": "7", "BODY": "8BITMIME", "ENVID": "e"},
        {address: {"NOTIFY": notify}},
    )
    writer = bench.blobs.open_writer()
    writer.write(RAW)
    with bench.blobs.hold():
        (outcome,) = await bench.delivery.deliver(envelope, await writer.commit())
    assert ("by others" if outcome.notifies else success_action(outcome)) == told
    sent = bench.outbox.messages[0].envelope
    assert sent.recipient_parameters.get("bob@far.example", {}).get("NOTIFY") == passed
    assert sent.parameters == {
        "BODY": "8BITMIME", **({"ENVID": "e"} if passed else {})
    }  # fmt: skip


@ensureDeferred
async def test_whom_a_filter_has_added() -> None:
    bench = Bench()
    given = {"d@far.example": {"NOTIFY": "FAILURE"}}
    added = {"c@far.example", "d@far.example", "away@here.example", "bob@here.example"}
    gone = "missing@here.example"
    outcomes = await bench.deliver(
        "alice@here.example",
        *sorted(added),
        gone,
        found=b"spf=pass",
        added=frozenset({*added, gone}),
        recipient_parameters=given,
    )
    assert {address for address, code in outcomes if code != 250} == {gone}
    assert bench.served == [("alice@here.example", "bob@here.example")]
    notify = {
        to: parameters.get("NOTIFY")
        for message in bench.outbox.messages
        for to, parameters in message.envelope.recipient_parameters.items()
    }
    assert notify == {
        "bob@far.example": "NEVER", "c@far.example": "NEVER", "d@far.example": "FAILURE"
    }  # fmt: skip
    contents = [await bench.blobs.read(message.blob_id) for message in bench.outbox.messages]
    assert sorted(content.partition(b"\r\n")[0] for content in contents) == [
        b"Received: x", b"Received: x", b"Sealed: here.example spf=pass"
    ]  # fmt: skip


@ensureDeferred
async def test_only_a_filter_can_name_others_elsewhere() -> None:
    bench = Bench()
    assert await bench.deliver("c@far.example") == [("c@far.example", 550)]
    assert not bench.sent


@ensureDeferred
async def test_nobody_is_told_of_junk() -> None:
    bench = Bench()
    await bench.deliver("away@here.example", "list@here.example", junk=True)
    alias, to_list, *_ = [message.envelope for message in bench.outbox.messages]
    assert alias.recipient_parameters == {"bob@far.example": {"NOTIFY": "NEVER"}}
    assert not to_list.recipient_parameters and to_list.mail_from == "owner@here.example"


@ensureDeferred
async def test_failures_of_delivery_here_keep_it_here() -> None:
    bench = Bench()
    bench.inner.outcomes["alice@here.example"] = RecipientOutcome(
        "alice@here.example", 452, "4.2.2", "Full"
    )
    outcomes = await bench.deliver("sales@here.example", "away@here.example")
    assert outcomes == [("sales@here.example", 452), ("away@here.example", 452)]
    assert not bench.sent and not bench.outbox.held


@pytest.mark.parametrize("room", [0, 1])
@ensureDeferred
async def test_nobody_has_what_the_outbox_cannot_take(room: int) -> None:
    bench = Bench()
    bench.outbox.room = room
    recipients = ("away@here.example", "sales@here.example", "bob@here.example")
    assert await bench.deliver(*recipients) == [(address, 451) for address in recipients]
    assert not bench.served and not bench.sent and not bench.outbox.held


@ensureDeferred
async def test_nothing_stays_held_when_the_store_is_down() -> None:
    bench = Bench(inner=Broken(HERE))
    with pytest.raises(ZeroDivisionError):
        await bench.deliver("sales@here.example")
    assert not bench.sent and not bench.outbox.held
    bench.inner.available = False
    assert await bench.deliver("sales@here.example") == [("sales@here.example", 451)]
    assert not bench.sent and not bench.outbox.held


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("alice@here.example", None),
        ("sales@here.example", None),
        ("AWAY@here.example", None),
        ("team@here.example", None),
        ("away+x@here.example", None),
        ("partly@here.example", None),
        ("nobody@here.example", 550),
        ("round@here.example", 550),
        ("missing@here.example", 550),
    ],
)
@ensureDeferred
async def test_recipients(address: str, code: int | None) -> None:
    refusal = await Bench().delivery.check_recipient(address, 7)
    assert (None if refusal is None else (refusal.recipient, refusal.code)) == (
        None if code is None else (address, code)
    )


@ensureDeferred
async def test_nobody_is_there_any_more() -> None:
    assert await Bench().deliver("nobody@here.example") == [("nobody@here.example", 550)]


@ensureDeferred
async def test_other_tables() -> None:
    bench = Bench()
    use = bench.delivery.forwards.prepare({"Alice@here.example": TABLES["away@here.example"]})
    assert await bench.delivery.forwards.reach("alice@here.example") is None
    use()
    assert await bench.deliver("alice@here.example") == [("alice@here.example", 250)]
    assert bench.sent == [("x@far.example", ("bob@far.example",))]
    refusal = await bench.delivery.check_recipient("away@here.example")
    assert refusal is not None and refusal.code == 550


_ADDRESSES = st.sampled_from(
    [f"{name}@{domain}.example" for name in "abcd" for domain in ("here", "far")]
)


@given(st.dictionaries(_ADDRESSES, st.lists(_ADDRESSES, min_size=1, max_size=4, unique=True)))
def test_any_tables_come_to_an_end(tables: dict[str, list[str]]) -> None:
    forwards = Forwards(Domains())
    forwards.tables = {name: ForwardSettings(to=tuple(to)) for name, to in tables.items()}
    done: list[Any] = []
    for address in tables:
        Deferred.fromCoroutine(forwards.reach(address)).addCallback(done.append)
    assert len(done) == len(tables)
    for reach in done:
        elsewhere = reach.elsewhere.get(None, ())
        assert reach.here or elsewhere
        assert not set(reach.here) & set(elsewhere)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"to": ()}, "is empty"),
        ({"to": ("a@x.example", "A@x.example")}, "twice"),
        ({"to": ("@x.example",)}, "is no address"),
        ({"to": ("a b@x.example",)}, "is no address"),
        ({"to": ("a@x.example",), "sender": "x"}, "is no address"),
        ({"to": ("a@x.example",), "sender": "a@x.example"}, None),
    ],
)
def test_tables_that_are_wrong(settings: dict[str, Any], problem: str | None) -> None:
    with pytest.raises(ValueError, match=problem) if problem else nullcontext():
        ForwardSettings(**settings)


def test_tables_that_do_not_go_together() -> None:
    table = ForwardSettings(to=("a@x.example",))
    listed = ForwardSettings(to=("a@x.example",), sender="B@x.example")
    found = list(
        problems({"b@x.example": table, "B@x.example": table, "c": table, "d@x.example": listed})
    )
    assert [path for path, _ in found] == [
        ("forward", "B@x.example"), ("forward", "c"), ("forward", "d@x.example", "sender")
    ]  # fmt: skip
