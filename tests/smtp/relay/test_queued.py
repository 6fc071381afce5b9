"""Mail for servers that are well or not: when it is tried, and what its EmailSubmission says."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import define, evolve
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailhive.jmap.types.submission.records import Submissions
from mailhive.model.principal import Principal
from mailhive.queue.local import LocalTransport
from mailhive.queue.outbox import Outbox
from mailhive.queue.reports import Reporter
from mailhive.queue.schedule import PAUSES
from mailhive.testing.certificates import make_certificate
from mailhive.testing.conformance.outbox import turn, until
from mailhive.testing.sender import Sender, envelope
from mailhive.testing.smtp_peer import CLOSE, HANG, SmtpPeer

from .conftest import context, tlsa

DAY = 86_400
WAITING = ("queued", "250 2.0.0 Accepted, on its way")
ACCEPTED = ("unknown", "250 2.0.0 Accepted")
GREYLISTED = ("queued", "450 4.7.1 Greylisted")
DOWN = ("queued", "451 4.4.1 Connection refused")
DROPPED = ("queued", "451 4.4.2 ")
UNGREETED = ("queued", "451 4.4.1 ")
MESSAGE = (
    b"From: alice@here.example\r\nTo: all@here.example\r\nSubject: queued\r\n"
    b"Date: Sat, 01 Mar 2025 10:00:00 +0000\r\nMessage-ID: <1@here.example>\r\n\r\nHello\r\n"
)
UNTRUSTED = ("queued", "451 4.7.5 ")


@define(eq=False)
class Queue:
    """What alice sends; `peers` are servers by the domain that they take mail for."""

    peers: Mapping[str, SmtpPeer]
    clock: Clock
    outbox: Outbox
    alice: Sender

    async def submit(self, *domains: str) -> str:
        """The id of the EmailSubmission of a message to a recipient in each domain."""
        to = envelope("alice@here.example", *(f"x@{domain}" for domain in domains))
        submission_id: str = (await self.alice.send(MESSAGE, envelope=to))["id"]
        return submission_id

    async def status(self, submission_id: str) -> dict[str, tuple[str, str]]:
        """delivered and smtpReply by domain."""
        statuses = (await self.alice.get(submission_id))["deliveryStatus"]
        return {
            address.partition("@")[2]: (status["delivered"], status["smtpReply"])
            for address, status in statuses.items()
        }

    async def says(self, submission_id: str, wanted: dict[str, tuple[str, str]]) -> None:
        """Wait until the EmailSubmission says this; of replies it is the beginning."""
        while True:
            said = await self.status(submission_id)
            if all(
                said[domain][0] == delivered and said[domain][1].startswith(reply)
                for domain, (delivered, reply) in wanted.items()
            ):
                return
            await turn()

    def attempts(self, domain: str) -> int:
        lines = [line for lines in self.peers[domain].commands for line in lines]
        return sum(line.startswith("MAIL") for line in lines)

    async def pass_time(self, seconds: float, *, hanging: int = 0) -> None:
        """Let time go by, and what is due then begin.

        First all attempts but so many are let end: the time of the next one counts from there.
        """
        it = self.outbox
        await until(lambda: len(it._attempts) == hanging and not it._looking)
        self.clock.advance(seconds)
        for _ in range(5):
            await self.outbox.status("")
            await turn()

    async def reports(self, count: int) -> str:
        """What alice was told, once it is of so many recipients."""
        told = ""
        while told.count("Action: ") < count:
            await turn()
            told = b"".join(m for m in await self.alice.mail() if b"MAILER-DAEMON" in m).decode()
        assert told.count("Action: ") == count
        return told


@pytest_twisted.async_yield_fixture
async def queue(
    tmp_path: Path, stores: Any, names: Any, peers: Any, relay: Any
) -> AsyncIterator[Any]:
    started: list[Outbox] = []

    async def start(
        policies: Mapping[str, str] | None = None,
        records: Mapping[str, Any] | None = None,
        **servers: SmtpPeer,
    ) -> Queue:
        port = await peers(*servers.values())
        hosts = [f"127.0.0.{number}" for number in range(1, len(servers) + 1)]
        names.records = {
            f"{name}.example": {"A": [host]}
            for name, host in zip([*servers, "down"], [*hosts, "127.0.0.99"], strict=True)
        }
        for name, record in (records or {}).items():
            names.records[f"_{port}._tcp.{name}.example"] = {"TLSA": [record]}
        names.signed |= {f"{name}.example" for name in records or ()}
        clock = Clock()
        clock.rightNow = reactor.seconds()
        outbox = Outbox(
            tmp_path / "queued.sqlite",
            Submissions(stores.mail_store),
            reactor,
            clock,
            reporter=Reporter(stores.blob_store, "here.example"),
        )
        alice = await Sender.of(stores, Principal("alice", emails=("alice@here.example",)))
        alice.user.api = evolve(alice.user.api, outbox=outbox)
        by_domain = {f"{name}.example": peer for name, peer in servers.items()}
        made = Queue(by_domain, clock, outbox, alice)
        made.outbox.add_transport(
            LocalTransport(stores.directory, stores.delivery, stores.blob_store)
        )
        made.outbox.add_transport(relay(policies, port=port, dane=bool(records)).transport)
        made.outbox.startService()
        started.append(made.outbox)
        return made

    yield start
    for outbox in started:
        await outbox.stopService()


@ensureDeferred
async def test_each_destination_on_its_own(queue: Any) -> None:
    it = await queue(
        hangs=SmtpPeer(replies={"GREETING": [HANG]}),
        stalls=SmtpPeer(replies={"END": [HANG]}),
        greylists=SmtpPeer(replies={"RCPT": ["450 4.7.1 Greylisted"]}),
        refuses=SmtpPeer(replies={"RCPT": ["550 5.1.1 Nobody"]}),
        drops=SmtpPeer(replies={"DATA": [CLOSE]}),
        well=SmtpPeer(),
    )
    sent = await it.submit("down.example", *it.peers)
    await it.says(
        sent,
        {
            "well.example": ACCEPTED,
            "refuses.example": ("no", "550 5.1.1 Nobody"),
            "greylists.example": GREYLISTED,
            "drops.example": DROPPED,
            "down.example": DOWN,
            # These have said nothing yet, and hold up nobody.
            "hangs.example": WAITING,
            "stalls.example": WAITING,
        },
    )
    await it.submit("well.example")
    await until(lambda: len(it.peers["well.example"].messages) == 2)
    report = await it.reports(1)
    assert "Final-Recipient: rfc822;x@refuses.example" in report
    assert "smtp; 550 5.1.1 Nobody" in report and "greylists.example" not in report
    assert len((await it.alice.get(sent))["dsnBlobIds"]) == 1

    # A minute later the rest are tried again, those that hang as soon as they have let go.
    await it.pass_time(50, hanging=2)
    assert it.attempts("greylists.example") == it.attempts("drops.example") == 1
    await it.pass_time(20, hanging=2)
    await it.says(sent, {"greylists.example": ACCEPTED, "drops.example": ACCEPTED})
    for domain in ("hangs.example", "stalls.example"):
        await until(lambda: len(it.peers[domain].connections) == 1)  # noqa: B023
        it.peers[domain].connections[0].transport.abortConnection()
    await it.says(sent, {"hangs.example": UNGREETED, "stalls.example": DROPPED})
    await it.pass_time(70)
    await it.says(sent, {"hangs.example": ACCEPTED, "stalls.example": ACCEPTED})
    # Nobody can tell whether a message counts whose end was not answered (RFC 1047); who asks
    # for one though no recipient was good gets an empty one (RFC 2920 §3.1).
    copies = {domain: sum(map(bool, peer.messages)) for domain, peer in it.peers.items()}
    assert copies == {
        "hangs.example": 1,
        "stalls.example": 2,
        "greylists.example": 1,
        "refuses.example": 0,
        "drops.example": 1,
        "well.example": 2,
    }
    await it.reports(1)


@ensureDeferred
async def test_a_destination_that_stays_down(queue: Any) -> None:
    it = await queue(busy=SmtpPeer(replies={"MAIL": ["451 4.3.0 Busy"] * 100}))
    sent = await it.submit("down.example", "busy.example")
    await it.says(sent, {"busy.example": ("queued", "451 4.3.0 Busy"), "down.example": DOWN})
    for number, pause in enumerate(PAUSES, 1):
        assert it.attempts("busy.example") == number
        await it.pass_time(pause * 0.89)
        assert it.attempts("busy.example") == number
        await it.pass_time(pause * 0.22)
        await until(lambda: it.attempts("busy.example") > number)  # noqa: B023
    assert (await it.reports(2)).count("Action: delayed") == 2
    await it.pass_time(5 * DAY)
    given_up = "550 5.4.7 Given up after 5 days: "
    ends = {"busy.example": f"{given_up}451 4.3.0 Busy", "down.example": given_up + DOWN[1]}
    await it.says(sent, {domain: ("no", reply) for domain, reply in ends.items()})
    assert (await it.reports(4)).count("Action: failed") == 2
    while await it.outbox.status(sent) is not None:
        await turn()


@ensureDeferred
async def test_bad_certificates(queue: Any, names: Any) -> None:
    good, bad = make_certificate("renewed.example"), make_certificate("bad.example")

    def server() -> SmtpPeer:
        return SmtpPeer(extensions=("STARTTLS",), context_factory=context(bad))

    it = await queue(
        {"strict.example": "version: STSv1\nmode: enforce\nmx: strict.example\nmax_age: 9"},
        {"renewed": tlsa(good), "stays": tlsa(good), "stripped": tlsa(bad)},
        strict=server(),
        renewed=server(),
        stays=server(),
        stripped=SmtpPeer(),
        lax=server(),
        well=SmtpPeer(),
    )
    unfit = ("strict.example", "renewed.example", "stays.example", "stripped.example")
    sent = await it.submit(*it.peers)
    wanted = {"lax.example": ACCEPTED, "well.example": ACCEPTED}
    await it.says(sent, wanted | dict.fromkeys(unfit, UNTRUSTED))
    assert "DANE" in (await it.status(sent))["renewed.example"][1]
    assert not any(map(it.attempts, unfit))
    # A minute later again, and one is well now.
    (found,) = [name for name in names.records if name.endswith("._tcp.renewed.example")]
    names.records[found] = {"TLSA": [tlsa(bad)]}
    await it.pass_time(PAUSES[0] * 1.2)
    await it.says(sent, {"renewed.example": ACCEPTED})
    others = [domain for domain in unfit if domain != "renewed.example"]
    await until(lambda: all(len(it.peers[domain].commands) == 2 for domain in others))
    for domain in others:
        await until(lambda: not it.peers[domain].connections)  # noqa: B023
    await it.pass_time(6 * DAY)
    given_up = ("no", "550 5.4.7 Given up after 5 days: 451 4.7.5 ")
    await it.says(sent, dict.fromkeys(others, given_up))
    report = await it.reports(3)
    assert report.count("Action: failed") == 3 and "well.example" not in report
    assert not any(map(it.attempts, others))
    assert [len(it.peers[domain].messages) for domain in unfit] == [0, 1, 0, 0]
