"""A client that replays /changes and /queryChanges has what a fresh /get and /query give.

Random histories of an account (RFC 8620 §5.2, §5.6).  Clients look at it at some
moment, go away, and come back at a later one.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest_twisted
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

KEYWORDS = ["$seen", "$flagged", "work"]
TYPES = ("Mailbox", "Thread", "Email")
EMAIL_PROPERTIES = ["mailboxIds", "keywords", "threadId", "receivedAt"]

choices = st.integers(0, 10**6)
keyword_maps = st.lists(st.sampled_from(KEYWORDS), max_size=2, unique=True).map(
    lambda words: dict.fromkeys(words, True)
)
dates = st.integers(1, 5).map(lambda day: f"2024-05-0{day}T00:00:00Z")
messages = st.builds(
    lambda number, parent, subject, sender, size: (
        f"From: {sender}@example.org\r\nSubject: {subject}\r\nMessage-ID: <{number}@x>\r\n"
        f"References: <{parent}@x>\r\n\r\n{'x ' * size}\r\n"
    ).encode(),
    st.integers(1, 15),
    st.integers(1, 2),
    st.sampled_from(["lunch", "plans 10"]),
    st.sampled_from(["ann", "Bob"]),
    st.sampled_from([1, 200]),
)
deliveries = st.tuples(messages, choices, keyword_maps, dates)
mailbox_changes = st.tuples(
    st.sampled_from(["create", "parentId", "parentId", "name", "name", "sortOrder", "destroy"]),
    choices,
    st.none() | choices,
    st.sampled_from("abcd"),
)


def filters(conditions: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Filters of some conditions, nested or not."""
    names = st.sampled_from(sorted(conditions))
    condition = st.lists(names, min_size=1, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: conditions[name] for name in names})
    )
    return st.recursive(
        condition,
        lambda inner: st.fixed_dictionaries(
            {
                "operator": st.sampled_from(["AND", "OR", "NOT"]),
                "conditions": st.lists(inner, max_size=2),
            }
        ),
        max_leaves=3,
    )


def sorts(*properties: str, keyword: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """Sorts by some properties, and none."""
    plain = st.fixed_dictionaries(
        {"property": st.sampled_from(properties), "isAscending": st.booleans()}
    )
    if keyword:
        plain |= st.fixed_dictionaries(
            {
                "property": st.sampled_from(keyword),
                "keyword": st.sampled_from(KEYWORDS),
                "isAscending": st.booleans(),
            }
        )
    return st.none() | st.lists(plain, max_size=2)


def queries(mailboxes: list[str]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """The type and the arguments of any query."""
    mailbox, keyword = st.sampled_from(mailboxes), st.sampled_from(KEYWORDS)
    immutable: dict[str, st.SearchStrategy[Any]] = {
        "before": dates,
        "after": dates,
        "minSize": st.just(300),
        "from": st.sampled_from(["ann", "bob"]),
        "subject": st.just("lunch"),
        "header": st.just(["Subject", "plans"]),
    }
    mutable = {
        "inMailbox": mailbox,
        "inMailboxOtherThan": st.lists(mailbox, max_size=1),
        "hasKeyword": keyword,
        "notKeyword": keyword,
    }
    of_thread = dict.fromkeys(
        ("allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword"), keyword
    )
    columns = ("receivedAt", "size", "from", "subject", "sentAt")
    words = ("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword")
    kinds = st.sampled_from(
        [
            ({**mutable, **of_thread}, columns, words),
            (mutable, columns, words[:1]),
            ({"inMailbox": mailbox}, ("receivedAt",), ()),
            (immutable, columns, ()),
            ({**immutable, **mutable}, columns, ()),
        ]
    )
    emails = kinds.flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "filter": st.none() | filters(kind[0]) | filters(kind[0]),
                "sort": sorts(*kind[1], keyword=kind[2]),
                "collapseThreads": st.booleans(),
            }
        )
    )
    tree = st.fixed_dictionaries(
        {
            "filter": filters(
                {
                    "parentId": st.none() | mailbox,
                    "name": st.sampled_from(["a", "b"]),
                    "hasAnyRole": st.booleans(),
                    "isSubscribed": st.booleans(),
                }
            ),
            "sort": sorts("name", "sortOrder"),
            "sortAsTree": st.booleans(),
            "filterAsTree": st.booleans(),
        }
    )
    return st.sampled_from(["Email", "Email", "Email", "Mailbox"]).flatmap(
        lambda name: st.tuples(st.just(name), emails if name == "Email" else tree)
    )


def usual_queries(mailbox: str) -> list[tuple[str, dict[str, Any]]]:
    """Queries of each kind, for each history to be held against them."""
    newest = [{"property": "receivedAt", "isAscending": False}]
    seen_first = [{"property": "hasKeyword", "keyword": "$seen", "isAscending": False}]
    work_first = [{"property": "someInThreadHaveKeyword", "keyword": "work"}, *newest]
    emails = [
        {"filter": {"inMailbox": mailbox}, "sort": newest},
        {"filter": {"inMailbox": mailbox}, "sort": newest, "collapseThreads": True},
        {"filter": {"inMailboxOtherThan": [mailbox]}, "sort": seen_first},
        {"filter": {"notKeyword": "$flagged"}, "collapseThreads": True},
        {"filter": {"noneInThreadHaveKeyword": "$flagged"}},
        {"filter": {"allInThreadHaveKeyword": "$seen"}, "sort": newest},
        {"sort": work_first, "collapseThreads": True},
        {"filter": {"from": "ann"}, "sort": [{"property": "subject"}]},
        {"filter": {"minSize": 300}, "collapseThreads": True},
    ]
    trees = [
        {"sort": [{"property": "name"}]},
        {"sort": [{"property": "name"}], "sortAsTree": True},
        {"filter": {"operator": "NOT", "conditions": [{"name": "b"}]}, "filterAsTree": True},
    ]
    return [("Email", one) for one in emails] + [("Mailbox", one) for one in trees]


@define
class Results:
    """What a client knows of the results of a query; None is what it did not fetch."""

    type: str
    arguments: dict[str, Any]
    state: str
    ids: list[str | None]

    def replay(self, removed: list[str], added: list[dict[str, Any]], total: int) -> None:
        """RFC 8620 §5.6: splice out, splice in, truncate or extend."""
        self.ids = [i for i in self.ids if i is None or i not in removed]
        for item in added:
            self.ids += [None] * (item["index"] - len(self.ids))
            self.ids.insert(item["index"], item["id"])
        self.ids = [*self.ids, *[None] * total][:total]

    @property
    def beginning(self) -> list[str]:
        """What is known without a gap."""
        stop = self.ids.index(None) if None in self.ids else len(self.ids)
        return [i for i in self.ids[:stop] if i is not None]


@define
class Objects:
    """What a client knows of all objects of a type."""

    type: str
    state: str
    objects: dict[str, Any] = field(factory=dict)


class Machine(RuleBasedStateMachine):
    """Needs `run(function, *args)`, which waits for a coroutine function."""

    stores: LocalStores
    run: Callable[..., Any]
    names = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.names += 1
        self.user: LocalUser = self.run(self.stores.user, Principal(f"user{Machine.names}"))
        self.mailboxes: list[str] = []
        self.emails: list[str] = []
        self.results: list[Results] = []
        self.caches: list[Objects] = []

    @initialize(data=st.data(), deliveries=st.lists(deliveries, min_size=3, max_size=6))
    def begin(self, data: Any, deliveries: list[Any]) -> None:
        self.refresh()
        family = {
            "top": {"name": "b"},
            "below": {"name": "c", "parentId": "#top"},
            "deep": {"name": "d", "parentId": "#below"},
        }
        self.call("Mailbox/set", destroy=self.mailboxes[2:], create=family)
        self.refresh()
        self.deliver(deliveries)
        for type_name in TYPES:
            self.look_at_objects(type_name)
        for number, (type_name, arguments) in enumerate(usual_queries(self.mailboxes[0])):
            self.remember(type_name, arguments, 2 if number % 4 == 3 else None)
        self.look_at_results(data, [None, 2])

    # What happens to the account

    @rule(deliveries=st.lists(deliveries, min_size=1, max_size=3))
    def deliver(self, deliveries: list[Any]) -> None:
        emails = {
            str(number): {
                "blobId": self.run(self.user.upload, message),
                "mailboxIds": self.some_mailboxes(choice),
                "keywords": keywords,
                "receivedAt": date,
            }
            for number, (message, choice, keywords, date) in enumerate(deliveries)
        }
        self.call("Email/import", emails=emails)  # may be there already
        self.refresh()

    @precondition(lambda self: self.emails)
    @rule(changes=st.dictionaries(choices, choices | keyword_maps, min_size=2, max_size=6))
    def change_emails(self, changes: dict[int, Any]) -> None:
        update = {
            self.email(choice): {"keywords": change}
            if isinstance(change, dict)
            else {"mailboxIds": self.some_mailboxes(change)}
            for choice, change in changes.items()
        }
        assert self.call("Email/set", update=update)["notUpdated"] is None

    @precondition(lambda self: self.emails)
    @rule(doomed=st.lists(choices, min_size=1, max_size=2))
    def destroy_emails(self, doomed: list[int]) -> None:
        destroy = list({self.email(choice) for choice in doomed})
        assert self.call("Email/set", destroy=destroy)["notDestroyed"] is None
        self.refresh()

    @rule(changes=st.lists(mailbox_changes, min_size=1, max_size=3))
    def change_mailboxes(self, changes: list[Any]) -> None:
        """Some of these are refused, as they should be."""
        for change, choice, parent, name in changes:
            mailbox = self.mailbox(choice)
            parent_id = None if parent is None else self.mailbox(parent)
            values = {"parentId": parent_id, "name": name, "sortOrder": choice % 3}
            if change == "create":
                self.call("Mailbox/set", create={"m": values})
            elif change == "destroy":
                self.call("Mailbox/set", destroy=[mailbox], onDestroyRemoveEmails=True)
            else:
                self.call("Mailbox/set", update={mailbox: {change: values[change]}})
            self.refresh()

    # What clients do

    @rule(data=st.data(), limits=st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=3))
    def look_at_results(self, data: Any, limits: list[int | None]) -> None:
        for limit in limits:
            type_name, arguments = data.draw(queries(self.mailboxes))
            self.remember(type_name, arguments, limit)

    @precondition(lambda self: self.results)
    @rule(choice=choices, up_to=st.booleans(), leave=st.booleans())
    def update_results(self, choice: int, up_to: bool, leave: bool) -> None:
        """Come back; `leave` is to be gone again and know what has become of it."""
        results = self.results[choice % len(self.results)]
        last = results.beginning[-1] if up_to and results.beginning else None
        method = f"{results.type}/queryChanges"
        arguments = {**results.arguments, "sinceQueryState": results.state, "upToId": last}
        found = self.call(method, **arguments, calculateTotal=True)
        fresh = self.query(results.type, results.arguments)
        assert found["oldQueryState"] == results.state
        assert (found["newQueryState"], found["total"]) == (fresh["queryState"], fresh["total"])
        indexes = [item["index"] for item in found["added"]]
        assert indexes == sorted(set(indexes))

        count = len(found["removed"]) + len(found["added"])
        del found["total"]
        assert self.call(method, **arguments, maxChanges=count) == found
        if count:
            error = self.call(method, **arguments, maxChanges=count - 1)["error"]
            assert error["type"] == "tooManyChanges"

        knew_all = None not in results.ids
        known = Results(results.type, results.arguments, fresh["queryState"], results.ids)
        known.replay(found["removed"], found["added"], fresh["total"])
        assert known.beginning == fresh["ids"][: len(known.beginning)]
        assert not knew_all or last is not None or known.ids == fresh["ids"]
        assert last not in fresh["ids"] or last in known.beginning
        if not leave:
            self.results.append(known)

    @rule(type_name=st.sampled_from(TYPES))
    def look_at_objects(self, type_name: str) -> None:
        fresh = self.get(type_name, None)
        self.caches.append(Objects(type_name, fresh["state"], by_id(fresh)))

    @rule(choice=choices, limit=st.none() | st.integers(1, 3))
    def update_objects(self, choice: int, limit: int | None) -> None:
        cache = self.caches[choice % len(self.caches)]
        more = True
        while more:
            changes = self.call(f"{cache.type}/changes", sinceState=cache.state, maxChanges=limit)
            changed = [*changes["created"], *changes["updated"]]
            assert limit is None or len(changed) + len(changes["destroyed"]) <= limit
            assert not set(changes["created"]) & set(cache.objects)
            assert set(changes["updated"]) <= set(cache.objects)
            got = self.get(cache.type, changed)
            cache.objects.update(by_id(got))
            for gone in [*got["notFound"], *changes["destroyed"]]:
                cache.objects.pop(gone, None)
            cache.state, more = changes["newState"], changes["hasMoreChanges"]
        fresh = self.get(cache.type, None)
        assert (cache.state, cache.objects) == (fresh["state"], by_id(fresh))

    def teardown(self) -> None:
        for number in range(len(self.results)):
            self.update_results(number, up_to=bool(number % 2), leave=True)
        for number in range(len(self.caches)):
            self.update_objects(number, limit=None)

    # Helpers

    def remember(self, type_name: str, arguments: dict[str, Any], limit: int | None) -> None:
        found = self.query(type_name, arguments)
        assert found["canCalculateChanges"] is True
        ids = found["ids"][:limit]
        unknown = [None] * (found["total"] - len(ids))
        self.results.append(Results(type_name, arguments, found["queryState"], ids + unknown))

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.run(lambda: self.user.call(method, **arguments))
        return result

    def query(self, type_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.call(f"{type_name}/query", **arguments, calculateTotal=True)

    def get(self, type_name: str, ids: list[str] | None) -> dict[str, Any]:
        arguments: dict[str, Any] = {"ids": ids}
        if type_name == "Email":
            arguments["properties"] = EMAIL_PROPERTIES
        return self.call(f"{type_name}/get", **arguments)

    def refresh(self) -> None:
        """Learn which objects there are."""
        self.mailboxes = [m["id"] for m in self.get("Mailbox", None)["list"]]
        self.emails = [e["id"] for e in self.get("Email", None)["list"]]

    def mailbox(self, choice: int) -> str:
        return self.mailboxes[choice % len(self.mailboxes)]

    def some_mailboxes(self, choice: int) -> dict[str, bool]:
        return {self.mailbox(choice): True, self.mailbox(choice // len(self.mailboxes)): True}

    def email(self, choice: int) -> str:
        return self.emails[choice % len(self.emails)]


def by_id(response: dict[str, Any]) -> dict[str, Any]:
    return {one["id"]: one for one in response["list"]}


@pytest_twisted.ensureDeferred
async def test_replayed_changes_lead_to_the_present(stores: LocalStores) -> None:
    def run(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        return blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(function(*args)))

    class ThisMachine(Machine):
        pass

    ThisMachine.stores = stores
    ThisMachine.run = staticmethod(run)
    amount = settings(max_examples=40, stateful_step_count=20, deadline=None)
    await deferToThread(run_state_machine_as_test, ThisMachine, settings=amount)
