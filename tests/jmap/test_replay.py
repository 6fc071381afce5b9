"""A client that replays /changes and /queryChanges has what a fresh /get and /query give.

Random histories of several accounts (RFC 8620 §5.2, §5.6), each known to several
clients as it was at some moment.  Mail comes in by SMTP and goes out through the outbox
meanwhile, much is done at once, and every now and then the server ends in the midst of
it: its files are taken as they are and opened by another.

MAILHIVE_HISTORIES says how many histories there are; a few by default, a few thousand
for a long run:

    MAILHIVE_HISTORIES=2000 pytest --timeout 0 tests/jmap/test_replay.py
"""

import os
import shutil
import smtplib
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from attrs import define, evolve, field
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Registry
from mailhive.model.principal import Principal
from mailhive.services import Listener
from mailhive.smtp.listener import PROVIDER as SMTP
from mailhive.smtp.policy import MxSettings
from mailhive.testing.local import LocalStores, LocalUser
from mailhive.testing.memory import MemoryReports
from mailhive.testing.queries import KEYWORDS, QUERIES, Subjects, dates
from mailhive.testing.replay import KnownObjects, KnownResults

HISTORIES = int(os.environ.get("MAILHIVE_HISTORIES", "20"))
METHODS = Registry.load().methods
TYPES = sorted(name.partition("/")[0] for name in METHODS if name.endswith("/changes"))
KINDS = ("created", "updated", "destroyed")
QUERIED = sorted(name.partition("/")[0] for name in METHODS if name.endswith("/queryChanges"))

ALICE = ("alice@example.org", "a@example.org")
PRINCIPALS = (
    Principal("staff", type="group", emails=("staff@example.org",)),
    Principal("alice", emails=ALICE, member_of=("staff",)),
    Principal("bob", emails=("bob@example.org",), member_of=("staff",)),
)
ADDRESSES = ("alice@example.org", "bob@example.org", "staff@example.org")
MAILBOX_CHANGES = [
    *("create", "destroy", "isSubscribed", "sortOrder"),
    *("name", "name", "parentId", "parentId"),
]

# What happens: the name of a method of `World`, and its arguments.

choices = st.integers(0, 10**6)
some = st.lists(choices, min_size=1, max_size=3)
keyword_maps = st.lists(st.sampled_from(KEYWORDS), max_size=2, unique=True).map(
    lambda words: dict.fromkeys(words, True)
)
messages = st.builds(
    lambda number, parent, subject, sender, size: (
        f"From: {sender}@example.org\r\nTo: alice@example.org\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@x>\r\nReferences: <{parent}@x>\r\n\r\n{'x ' * size}\r\n"
    ).encode(),
    st.integers(1, 15),
    st.integers(1, 2),
    st.sampled_from(["lunch", "plans 10"]),
    st.sampled_from(["ann", "Bob"]),
    st.sampled_from([1, 200]),
)


def happening(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


imports = happening(
    "import_emails",
    hand=choices,
    emails=st.lists(st.tuples(messages, choices, keyword_maps, dates), min_size=1, max_size=3),
)
happenings = st.one_of(
    imports,
    happening(
        "deliver",
        message=messages,
        to=st.lists(st.sampled_from(ADDRESSES), min_size=1, unique=True),
    ),
    happening(
        "change_emails",
        hand=choices,
        changes=st.dictionaries(choices, choices | keyword_maps, min_size=2, max_size=6),
    ),
    happening("destroy_emails", hand=choices, doomed=some),
    happening("copy_emails", hand=choices, emails=some, mailbox=choices, move=st.booleans()),
    happening(
        "change_mailboxes",
        hand=choices,
        changes=st.lists(
            st.tuples(
                st.sampled_from(MAILBOX_CHANGES),
                choices,
                st.none() | choices,
                st.sampled_from("abcd"),
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    happening(
        "change_identities",
        hand=choices,
        change=st.sampled_from(["create", "update", "destroy"]),
        choice=choices,
        name=st.sampled_from("ab"),
    ),
    happening(
        "submit",
        hand=choices,
        to=st.lists(st.sampled_from((*ADDRESSES, "zoe@far.example")), min_size=1, unique=True),
        after=st.sampled_from(["keep", "update", "destroy"]),
    ),
    happening("cancel", hand=choices, submissions=some),
    happening("readdress", emails=st.permutations(ALICE)),
    happening("destroy_submissions", hand=choices, submissions=some),
)


def tour(hand: int) -> list[list[Any]]:
    """Of everything some, so that no history is without; -1 is the newest."""
    to = [ADDRESSES[0], ADDRESSES[2], "zoe@far.example"]
    first: list[tuple[str, dict[str, Any]]] = [
        ("change_mailboxes", {"changes": [("create", 0, None, "a")]}),
        ("change_identities", {"change": "create", "choice": 0, "name": "a"}),
        ("submit", {"to": to[:2], "after": "update"}),
        ("submit", {"to": to[2:], "after": "keep"}),
    ]
    second: list[tuple[str, dict[str, Any]]] = [
        ("change_mailboxes", {"changes": [("sortOrder", -1, None, "a")]}),
        ("change_identities", {"change": "update", "choice": -1, "name": "b"}),
        ("cancel", {"submissions": [-1]}),
        ("copy_emails", {"emails": [-1], "mailbox": 0, "move": False}),
        ("change_emails", {"changes": {0: {"$seen": True}, -1: 1}}),
    ]
    third: list[tuple[str, dict[str, Any]]] = [
        ("change_mailboxes", {"changes": [("destroy", -1, None, "a")]}),
        ("change_identities", {"change": "destroy", "choice": -1, "name": "a"}),
        ("destroy_submissions", {"submissions": [-1]}),
        ("destroy_emails", {"doomed": [-1]}),
    ]
    days: list[list[Any]] = [
        [(name, {"hand": hand, **rest}) for name, rest in day] for day in (first, second, third)
    ]
    return [*days, [("readdress", {"emails": ALICE[::-1]})]]


class Hand(NamedTuple):
    """One account as one of its users has it."""

    user: LocalUser
    name: str


@define
class World:
    """A server, its users, and what they do to it."""

    directory: Path
    lives: int = 0
    principals: tuple[Principal, ...] = PRINCIPALS
    stores: LocalStores = field(init=False)
    hands: list[Hand] = field(init=False)
    smtp: Any = field(init=False)  # IListeningPort
    ids: dict[str, dict[str, list[str]]] = field(factory=dict)  # by account and type

    @property
    def place(self) -> Path:
        return self.directory / str(self.lives)

    async def start(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        self.stores = LocalStores.start(self.place, reactor)
        users = [await self.stores.user(principal) for principal in self.principals][1:]
        self.hands = [
            hand
            for user in users
            for hand in (
                Hand(user, user.principal.name),
                Hand(await user.shared("staff"), f"staff of {user.principal.name}"),
            )
        ]
        listener = Listener("mx", "none", None, MxSettings())
        services = SimpleNamespace(
            blobs=self.stores.blob_store,
            analyses=self.stores.delivery.analyses,
            delivery=self.stores.delivery,
            hostname="mail.example.org",
            limits=Limits(),
            resolver=None,
            peers=None,
            reports=MemoryReports(),
        )
        factory = SMTP.build(None, None).make_factory("mx", listener, services, reactor)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.smtp = await endpoint.listen(factory)
        await self.refresh()

    async def stop(self) -> None:
        await self.smtp.stopListening()
        await self.stores.stop()
        assert self.stores.failures == []
        shutil.rmtree(self.place)

    async def crash(self, what: list[Any], pause: float) -> None:
        """End in the midst of these, with the files as they are, and start again."""
        under_way = [Deferred.fromCoroutine(self.do(*one)) for one in what]
        await deferLater(reactor, pause)
        before, after = self.place, self.directory / str(self.lives + 1)
        copy_as_it_is(before, after)
        # The server that those talk to goes on to its end, and nobody hears of it.
        for success, result in await DeferredList(under_way, consumeErrors=True):
            if not success:
                result.raiseException()
        await self.stop()
        self.lives += 1
        accounts = [hand.user.account_id for hand in self.hands]
        await self.start()
        assert [hand.user.account_id for hand in self.hands] == accounts

    async def do(self, name: str, arguments: dict[str, Any]) -> None:
        await getattr(self, name)(**arguments)

    async def at_once(self, what: list[Any]) -> None:
        await gatherResults(
            [Deferred.fromCoroutine(self.do(*one)) for one in what], consumeErrors=True
        )
        await self.refresh()

    async def refresh(self) -> None:
        """Learn which objects there are."""
        for hand in self.hands:
            account = self.ids.setdefault(hand.user.account_id, {})
            for type_name in TYPES:
                found = await self.call(hand, f"{type_name}/get", ids=None, properties=["id"])
                account[type_name] = [one["id"] for one in found["list"]]

    # What is done.  Much of it is refused, as it should be, by what is done at once.

    async def import_emails(self, hand: int, emails: list[Any]) -> None:
        own = self.hand(hand)
        given = {
            str(number): {
                "blobId": await own.user.upload(message),
                "mailboxIds": self.some_mailboxes(own, choice),
                "keywords": keywords,
                "receivedAt": date,
            }
            for number, (message, choice, keywords, date) in enumerate(emails)
        }
        await self.call(own, "Email/import", emails=given)

    async def deliver(self, message: bytes, to: list[str]) -> None:
        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.smtp.getHost().port, timeout=100) as client:
                client.sendmail("sender@far.example", to, message)

        await deferToThread(send)

    async def change_emails(self, hand: int, changes: dict[int, Any]) -> None:
        own = self.hand(hand)
        update = {
            email_id: {"keywords": change}
            if isinstance(change, dict)
            else {"mailboxIds": self.some_mailboxes(own, change)}
            for choice, change in changes.items()
            for email_id in self.of(own, "Email", [choice])
        }
        await self.call(own, "Email/set", update=update)

    async def destroy_emails(self, hand: int, doomed: list[int]) -> None:
        own = self.hand(hand)
        await self.call(own, "Email/set", destroy=self.of(own, "Email", doomed))

    async def copy_emails(self, hand: int, emails: list[int], mailbox: int, move: bool) -> None:
        """From an account to the other one that the user has."""
        own = self.hand(hand)
        other = self.hands[self.hands.index(own) ^ 1]
        create = {
            f"c{number}": {"id": email_id, "mailboxIds": self.some_mailboxes(other, mailbox)}
            for number, email_id in enumerate(self.of(own, "Email", emails))
        }
        await self.call(
            other,
            "Email/copy",
            fromAccountId=own.user.account_id,
            create=create,
            onSuccessDestroyOriginal=move,
        )

    async def change_mailboxes(self, hand: int, changes: list[Any]) -> None:
        own = self.hand(hand)
        for change, choice, parent, name in changes:
            [mailbox] = self.of(own, "Mailbox", [choice])
            values = {
                "parentId": None if parent is None else self.of(own, "Mailbox", [parent])[0],
                "name": name,
                "sortOrder": choice % 3,
                "isSubscribed": choice % 2 == 0,
            }
            if change == "create":
                await self.call(own, "Mailbox/set", create={"m": values})
            elif change == "destroy":
                await self.call(own, "Mailbox/set", destroy=[mailbox], onDestroyRemoveEmails=True)
            else:
                update = {mailbox: {change: values[change]}}
                await self.call(own, "Mailbox/set", update=update)

    async def change_identities(self, hand: int, change: str, choice: int, name: str) -> None:
        own = self.hand(hand)
        ids = self.of(own, "Identity", [choice])
        arguments: dict[str, Any] = {"destroy": ids}
        if change == "create":
            arguments = {"create": {"i": {"name": name, "email": self.address(own)}}}
        elif change == "update":
            arguments = {"update": {identity_id: {"name": name} for identity_id in ids}}
        await self.call(own, "Identity/set", **arguments)

    async def submit(self, hand: int, to: list[str], after: str) -> None:
        own = self.hand(hand)
        drafts = [*self.of(own, "Mailbox", [0])]
        email = {
            "mailboxIds": dict.fromkeys(drafts, True),
            "from": [{"email": self.address(own)}],
            "to": [{"email": address} for address in to],
            "subject": "lunch",
            "keywords": {"$draft": True},
        }
        submission = {"emailId": "#e", "identityId": self.of(own, "Identity", [0])[0]}
        arguments: dict[str, Any] = {"create": {"s": submission}}
        if after == "update":
            arguments["onSuccessUpdateEmail"] = {"#s": {"keywords/$seen": True}}
        elif after == "destroy":
            arguments["onSuccessDestroyEmail"] = ["#s"]
        account = {"accountId": own.user.account_id}
        await own.user.request(
            ["Email/set", {**account, "create": {"e": email}}, "0"],
            ["EmailSubmission/set", {**account, **arguments}, "1"],
        )

    async def cancel(self, hand: int, submissions: list[int]) -> None:
        own = self.hand(hand)
        ids = self.of(own, "EmailSubmission", submissions)
        update = {submission_id: {"undoStatus": "canceled"} for submission_id in ids}
        await self.call(own, "EmailSubmission/set", update=update)

    async def readdress(self, emails: list[str]) -> None:
        """The directory gives Alice another primary address."""
        staff, alice, bob = self.principals
        self.principals = (staff, evolve(alice, emails=tuple(emails)), bob)
        self.stores.directory.put(*self.principals)
        for number, hand in enumerate(self.hands):
            [principal] = [p for p in self.principals if p.name == hand.user.principal.name]
            self.hands[number] = hand._replace(user=evolve(hand.user, principal=principal))

    async def destroy_submissions(self, hand: int, submissions: list[int]) -> None:
        own = self.hand(hand)
        ids = self.of(own, "EmailSubmission", submissions)
        await self.call(own, "EmailSubmission/set", destroy=ids)

    # Helpers

    async def call(self, hand: Hand, method: str, **arguments: Any) -> dict[str, Any]:
        response = await hand.user.call(method, **arguments)
        assert "error" not in response, (method, arguments, response)
        return response

    def hand(self, choice: int) -> Hand:
        return self.hands[choice % len(self.hands)]

    def address(self, hand: Hand) -> str:
        return (
            ADDRESSES[("alice", "bob").index(hand.name)] if " " not in hand.name else ADDRESSES[2]
        )

    def of(self, hand: Hand, type_name: str, chosen: list[int]) -> list[str]:
        """Some of the objects that there were when it was looked last."""
        ids = self.ids[hand.user.account_id][type_name]
        return list(dict.fromkeys(ids[choice % len(ids)] for choice in chosen)) if ids else []

    def some_mailboxes(self, hand: Hand, choice: int) -> dict[str, bool]:
        return dict.fromkeys(self.of(hand, "Mailbox", [choice, choice // 100]), True)

    def subjects(self, hand: Hand) -> Subjects:
        ids = self.ids[hand.user.account_id]
        return Subjects(ids["Mailbox"], ids["Email"], ids["Identity"])


def copy_as_it_is(source: Path, target: Path) -> None:
    """The files as they are at one moment, whatever is being written.

    What is read twice, one file after the other, and is the same both times, was so at
    the moment between.
    """

    def read() -> dict[Path, bytes] | None:
        try:
            return {p.relative_to(source): p.read_bytes() for p in source.rglob("*") if p.is_file()}
        except FileNotFoundError:  # one that has just been moved or removed
            return None

    seen = read()
    while (again := read()) != seen or again is None:
        seen = again
    for path, content in again.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)


class Machine(RuleBasedStateMachine):
    """Needs `place`, a directory, and `run(function, *args)`, which waits for a coroutine.

    What is known has the number of the hand that knows it.
    """

    place: Path
    run: Callable[..., Any]
    changed: set[tuple[str, str]]  # types, and what was seen to become of their objects
    worlds = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.worlds += 1
        self.world = World(self.place / str(Machine.worlds))
        self.run(self.world.start)
        self.results: list[tuple[int, KnownResults]] = []
        self.objects: list[tuple[int, KnownObjects]] = []

    @initialize(first=st.lists(imports, min_size=1, max_size=3), tourist=st.integers(0, 3))
    def begin(self, first: list[Any], tourist: int) -> None:
        self.run(self.world.at_once, first)
        family = {
            "top": {"name": "b"},
            "below": {"name": "c", "parentId": "#top"},
            "deep": {"name": "d", "parentId": "#below"},
        }
        for number, hand in enumerate(self.world.hands):
            self.caller(number)("Mailbox/set", create=family)
            for type_name in TYPES:
                self.look_at_objects(number, type_name)
            for type_name in QUERIED:
                usual = QUERIES[type_name].usual(self.world.subjects(hand))
                for which, arguments in enumerate(usual):
                    # Each hand knows a part of them.
                    if which % len(self.world.hands) == number:
                        limit = 2 if which % 3 == 2 else None
                        found = KnownResults.fetch(self.caller(number), type_name, arguments, limit)
                        self.results.append((number, found))
        self.run(self.world.refresh)
        for what in tour(tourist):
            self.run(self.world.at_once, what)
            for type_name in TYPES:
                self.look_at_objects(tourist, type_name)

    # What happens

    @rule(what=happenings)
    def one_thing(self, what: Any) -> None:
        self.run(self.world.at_once, [what])

    @rule(what=st.lists(happenings, min_size=2, max_size=5))
    def many_things_at_once(self, what: list[Any]) -> None:
        self.run(self.world.at_once, what)

    @rule(
        what=st.lists(happenings, max_size=5),
        pause=st.sampled_from([0, 0.001, 0.003, 0.01, 0.03]),
        results=choices,
        objects=choices,
    )
    def crash(self, what: list[Any], pause: float, results: int, objects: int) -> None:
        self.run(self.world.crash, what, pause)
        self.update_objects(objects, 0, None)
        self.update_results(results, up_to=False, leave=True)

    # What clients do

    @rule(
        number=st.integers(0, 3),
        type_name=st.sampled_from(QUERIED),
        data=st.data(),
        limit=st.none() | st.integers(0, 3),
    )
    def look_at_results(self, number: int, type_name: str, data: Any, limit: int | None) -> None:
        subjects = self.world.subjects(self.world.hands[number])
        arguments = data.draw(QUERIES[type_name].any_of(subjects))
        found = KnownResults.fetch(self.caller(number), type_name, arguments, limit)
        self.results.append((number, found))

    @rule(number=st.integers(0, 3), type_name=st.sampled_from(TYPES))
    def look_at_objects(self, number: int, type_name: str) -> None:
        self.objects.append((number, KnownObjects.fetch(self.caller(number), type_name)))

    @rule(choice=choices, up_to=st.booleans(), leave=st.booleans())
    def update_results(self, choice: int, up_to: bool, leave: bool) -> None:
        """Come back; `leave` is to be gone again and know what has become of it."""
        number, known = self.results[choice % len(self.results)]
        now = known.check(self.caller(number), up_to=up_to)
        if not leave:
            self.results.append((number, now))

    @rule(choice=choices, steps=st.integers(0, 3), limit=st.none() | st.integers(1, 3))
    def update_objects(self, choice: int, steps: int, limit: int | None) -> None:
        """Come to the present, or `steps` towards it."""
        number, known = self.objects[choice % len(self.objects)]
        for _ in range(steps):
            if not known.update(self.caller(number), limit):
                break
        if not steps:
            known.check(self.caller(number), limit)

    def teardown(self) -> None:
        try:
            for choice in range(len(self.results)):
                self.update_results(choice, up_to=bool(choice % 2), leave=True)
            for choice in range(len(self.objects)):
                self.update_objects(choice, 0, None)
        finally:
            self.run(self.world.stop)

    def caller(self, number: int) -> Callable[..., dict[str, Any]]:
        hand = self.world.hands[number]

        def call(method: str, **arguments: Any) -> dict[str, Any]:
            response: dict[str, Any] = self.run(lambda: hand.user.call(method, **arguments))
            type_name, _, verb = method.partition("/")
            if verb == "changes":
                self.changed.update((type_name, kind) for kind in KINDS if response[kind])
            return response

        return call


def test_there_are_queries_for_every_type() -> None:
    assert sorted(QUERIES) == QUERIED


@pytest.mark.timeout(400 + 6 * HISTORIES)  # a failure takes minutes to be made small
@pytest_twisted.ensureDeferred
async def test_replayed_changes_lead_to_the_present(tmp_path: Path) -> None:
    def run(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        return blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(function(*args)))

    class ThisMachine(Machine):
        pass

    ThisMachine.place = tmp_path
    ThisMachine.run = staticmethod(run)
    ThisMachine.changed = set()
    amount = settings(
        max_examples=HISTORIES,
        stateful_step_count=20,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
    )
    await deferToThread(run_state_machine_as_test, ThisMachine, settings=amount)
    # Of each type, some were seen to be made, changed and destroyed.
    assert {(t, kind) for t in TYPES for kind in KINDS} - ThisMachine.changed == set()
