"""Random histories of an account, held against `ModelAccount`.

After each step the store must say what the model says; queries are drawn at
random; and from every state it ever had, `changes` with any limit must lead a
client to the present.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.internet.defer import DeferredList, gatherResults

from mailhive.errors import NotFound
from mailhive.model.changes import Changes
from mailhive.model.email import (
    Comparator,
    EmailQuery,
    Filing,
    FilterCondition,
    FilterOperator,
    NewEmail,
    SearchText,
)
from mailhive.testing.conformance.mailstore_model import ModelAccount
from mailhive.testing.conformance.mailstore_samples import refile

__all__ = ["MailStoreMachine"]

_KEYWORDS = ["$seen", "$draft", "$flagged", "$answered", "work", "$forwarded"]
_WORDS = ["hello", "Über", "東京", "naïve cafe", "bob@example.org"]
_TYPES = ("Email", "Thread", "Mailbox")

keyword_sets = st.frozensets(st.sampled_from(_KEYWORDS), max_size=3)
choices = st.integers(0, 10**6)

new_emails = st.builds(
    lambda number, refs, subject, words, **rest: NewEmail(
        blob_id=f"b{number}",
        message_id=None,
        message_ids=(f"<{number}@x>", *(f"<{ref}@x>" for ref in refs)),
        thread_subject=subject,
        summary=b'{"subject":null}',
        headers=f"Subject: {subject}\r\nX-Words: {' '.join(words)}\r\n".encode(),
        structure=b"[]",
        sort_subject=subject,
        search=SearchText(subject=subject, body=" ".join(words), to=words[0] if words else ""),
        **rest,
    ),
    st.integers(1, 30),
    st.lists(st.integers(1, 30), max_size=2),
    st.sampled_from(["plans", "lunch"]),
    st.lists(st.sampled_from(_WORDS), max_size=3),
    size=st.integers(1, 5),
    received_at=st.integers(1, 8).map(lambda n: n * 1000),
    sent_at=st.none() | st.integers(1, 4),
    has_attachment=st.booleans(),
    sort_from=st.sampled_from(["", "ann", "bob", "émile"]),
    sort_to=st.sampled_from(["", "ann", "10"]),
)


def _conditions(mailboxes: st.SearchStrategy[str]) -> st.SearchStrategy[FilterCondition]:
    keyword = st.sampled_from(_KEYWORDS)
    text = st.sampled_from([*_WORDS, "uber", "京", "'naive CAFE'", "cafe naive", "plans", "%", ""])
    header = st.sampled_from([("subject",), ("X-Words", "ello"), ("x-words", "")])
    values: dict[str, st.SearchStrategy[Any]] = {
        "inMailbox": mailboxes,
        "inMailboxOtherThan": st.lists(mailboxes, max_size=2).map(tuple),
        "before": st.integers(1, 9).map(lambda n: n * 1000),
        "after": st.integers(1, 9).map(lambda n: n * 1000),
        "minSize": st.integers(1, 5),
        "maxSize": st.integers(1, 5),
        "allInThreadHaveKeyword": keyword,
        "someInThreadHaveKeyword": keyword,
        "noneInThreadHaveKeyword": keyword,
        "hasKeyword": keyword,
        "notKeyword": keyword,
        "hasAttachment": st.booleans(),
        "header": header,
        **dict.fromkeys(("text", "from", "to", "cc", "bcc", "subject", "body"), text),
    }
    pairs = st.sampled_from(sorted(values)).flatmap(
        lambda name: st.tuples(st.just(name), values[name])
    )
    return st.lists(pairs, max_size=2, unique_by=lambda pair: pair[0]).map(
        lambda properties: FilterCondition(tuple(properties))
    )


def queries(mailboxes: st.SearchStrategy[str]) -> st.SearchStrategy[EmailQuery]:
    """Any Email query over these mailboxes."""
    filters: st.SearchStrategy[Any] = st.recursive(
        _conditions(mailboxes),
        lambda inner: st.builds(
            FilterOperator,
            st.sampled_from(["AND", "OR", "NOT"]),
            st.lists(inner, max_size=3).map(tuple),
        ),
        max_leaves=4,
    )
    plain = st.sampled_from(["receivedAt", "size", "from", "to", "subject", "sentAt"])
    worded = st.sampled_from(["hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"])
    comparators = st.builds(Comparator, plain, st.booleans()) | st.builds(
        Comparator, worded, st.booleans(), st.none(), st.sampled_from(_KEYWORDS)
    )
    return st.builds(
        EmailQuery,
        st.none() | filters,
        st.lists(comparators, max_size=3).map(tuple),
        st.booleans(),
    )


class MailStoreMachine(RuleBasedStateMachine):
    """Needs `store`, an open `IMailStore`, and `wait(fn, *args)`, which returns what the
    Deferred of `fn(*args)`, called in the reactor thread, fires with.

    `check(account_id)` raises if the account is damaged inside.
    """

    store: Any
    wait: Callable[..., Any]
    check: Callable[[str], None] = staticmethod(lambda account_id: None)  # noqa: ARG005

    names = 0

    def __init__(self) -> None:
        super().__init__()
        MailStoreMachine.names += 1
        self.account = self.wait(self.store.create_account, f"machine {MailStoreMachine.names}")
        self.model = ModelAccount()
        self.history: list[dict[str, tuple[int, Mapping[str, Any]]]] = []
        self.past: list[tuple[int, ModelAccount]] = []  # with the Email state
        self.queries: list[EmailQuery] = []  # as clients do, the same ones are asked again

    @initialize()
    def begin(self) -> None:
        self.make_mailbox("inbox")
        self.make_mailbox("trash")

    def teardown(self) -> None:
        self.wait(self.store.delete_account, self.account)

    # Steps

    @precondition(lambda self: len(self.model.mailboxes) < 5)
    @rule(role=st.sampled_from([None, "trash"]))
    def make_mailbox(self, role: str | None) -> None:
        data = {"name": "x", "role": role}
        mailbox = self._write(lambda w: w.create_record("Mailbox", data))
        assert mailbox not in self.model.mailboxes
        self.model.mailboxes[mailbox] = data
        self._compare()

    @rule(choice=choices, role=st.sampled_from([None, "inbox", "trash"]))
    def change_mailbox(self, choice: int, role: str | None) -> None:
        mailbox = self._mailbox(choice)
        self.model.mailboxes[mailbox] = {"name": "y", "role": role}
        self._write(lambda w: w.update_record("Mailbox", mailbox, self.model.mailboxes[mailbox]))
        self._compare()

    @precondition(lambda self: len(self.model.mailboxes) > 1 and self._empty_mailboxes())
    @rule(choice=choices)
    def destroy_mailbox(self, choice: int) -> None:
        empty = self._empty_mailboxes()
        mailbox = empty[choice % len(empty)]
        self._write(lambda w: w.destroy_record("Mailbox", mailbox))
        del self.model.mailboxes[mailbox]
        self._compare()

    @rule(
        emails=st.lists(st.tuples(new_emails, choices, keyword_sets), min_size=1, max_size=3),
        apart=st.booleans(),
    )
    def add(self, emails: list[tuple[NewEmail, int, frozenset[str]]], apart: bool) -> None:
        """Emails come in: one function, or several that wait together."""
        wanted = [(new, self._mailboxes(choice), words) for new, choice, words in emails]
        if apart:
            jobs = [(_add, *one) for one in wanted]
            found = self.wait(lambda: gatherResults(self._submit(jobs)))
        else:
            found = self._write(lambda w: [_add(w, *one) for one in wanted])
        for (new, mailboxes, words), (email, thread) in zip(wanted, found, strict=True):
            expected = self.model.thread_for(new)
            assert thread == expected or (
                expected is None and thread not in self.model.threads_ever
            )
            assert email not in self.model.emails
            self.model.add(email, thread, new, mailboxes, words)
        self._compare()

    @precondition(lambda self: self.model.emails)
    @rule(
        changes=st.lists(
            st.tuples(choices, st.none() | choices, st.none() | keyword_sets),
            min_size=1,
            max_size=6,
        ),
        together=st.booleans(),
    )
    def update(
        self, changes: list[tuple[int, int | None, frozenset[str] | None]], together: bool
    ) -> None:
        """Emails move and get keywords, all in one function, by one call or by several."""

        def write(writer: Any) -> None:
            filings = {}
            for choice, mailbox_choice, words in changes:
                email = self._email(choice)
                if mailbox_choice is not None:
                    email.mailboxes = self._mailboxes(mailbox_choice)
                if words is not None:
                    email.keywords = words
                filings[email.id] = Filing(tuple(email.mailboxes), tuple(email.keywords))
                if not together:
                    writer.update_emails({email.id: filings[email.id]})
            if together:
                writer.update_emails(filings)

        self._write(write)
        self._compare()

    @precondition(lambda self: self.model.emails)
    @rule(
        picks=st.lists(choices, min_size=1, max_size=4),
        new=st.none() | new_emails,
        together=st.booleans(),
    )
    def destroy(self, picks: list[int], new: NewEmail | None, together: bool) -> None:
        """Emails go; one may come in the same function."""
        wanted = {self._email(choice).id for choice in picks}
        mailboxes = self._mailboxes(picks[0])

        def write(writer: Any) -> Any:
            for emails in [sorted(wanted)] if together else [[email] for email in wanted]:
                writer.destroy_emails(emails)
            return new and _add(writer, new, mailboxes, ())

        found = self._write(write)
        for email in wanted:
            del self.model.emails[email]
        if new:
            self.model.add(found[0], found[1], new, mailboxes, ())
        self._compare()

    @precondition(lambda self: self.model.emails)
    @rule(choice=choices, new=new_emails)
    def fail(self, choice: int, new: NewEmail) -> None:
        """A function changes this and that, then raises; its neighbors do not notice."""
        email = self._email(choice)
        mailboxes = self._mailboxes(choice)

        def write(writer: Any) -> None:
            _add(writer, new, mailboxes, ("$flagged",))
            refile(writer, email.id, keywords=["fails"])
            writer.create_record("Mailbox", {"name": "z", "role": "trash"})
            writer.destroy_emails([email.id])
            writer.mailbox_counts()
            raise NotFound("on purpose")

        jobs = [(_toggle, email.id), (write,), (_toggle, email.id)]
        results = self.wait(lambda: DeferredList(self._submit(jobs), consumeErrors=True))
        assert [success for success, _ in results] == [True, False, True]
        assert results[1][1].check(NotFound)
        self._compare()

    # Questions

    @rule(
        data=st.data(),
        position=st.integers(-4, 6),
        limit=st.none() | st.integers(0, 6),
        calculate_total=st.booleans(),
    )
    def query(self, data: Any, position: int, limit: int | None, calculate_total: bool) -> None:
        query = self._draw_query(data)
        expected = self.model.query(query)
        page = self._read(
            lambda r: r.query_emails(
                query, position=position, limit=limit, calculate_total=calculate_total
            )
        )
        start = position if position >= 0 else max(0, len(expected) + position)
        stop = None if limit is None else start + limit
        assert page.ids == tuple(expected[start:stop])
        assert page.total == (len(expected) if calculate_total else None)
        assert page.position == start
        if expected:
            index = position % len(expected)
            page = self._read(
                lambda r: r.query_emails(query, anchor=expected[index], anchor_offset=-1, limit=2)
            )
            start = max(0, index - 1)
            assert (page.position, page.ids) == (start, tuple(expected[start : start + 2]))

    @rule(data=st.data(), choice=choices, partial=st.booleans(), calculate_total=st.booleans())
    def query_changes(self, data: Any, choice: int, partial: bool, calculate_total: bool) -> None:
        """A client brings the results of an earlier day up to date."""
        query = self._draw_query(data)
        since, then = self.past[choice % len(self.past)]
        old, new = then.query(query), self.model.query(query)
        # RFC 8620 §5.6: what a client did not fetch of the results is None.
        known: list[str | None] = list(old)
        up_to = None
        if partial and old:
            up_to = old[choice % len(old)]
            known = [*old[: old.index(up_to) + 1], *[None] * (len(old) - old.index(up_to) - 1)]
        found = self._read(
            lambda r: r.query_email_changes(
                query, since, up_to=up_to, calculate_total=calculate_total
            )
        )
        assert found.state == self.past[-1][0]
        assert set(found.removed) <= set(then.emails)
        assert len(set(found.removed)) == len(found.removed)
        assert [index for _, index in found.added] == sorted({index for _, index in found.added})
        assert all(new[index] == email for email, index in found.added)
        assert not calculate_total or found.total == len(new)
        known = [email for email in known if email not in found.removed]
        for email, index in found.added:
            known += [None] * (index - len(known))
            known.insert(index, email)
        if None in known:
            known = known[: known.index(None)]
        elif up_to is None:
            assert len(known) == len(new)
        assert known == new[: len(known)]
        assert up_to not in new or up_to in known
        if since == self.past[-1][0]:
            assert found.removed == found.added == ()

    @rule(choice=choices, limit=st.none() | st.integers(1, 4))
    def catch_up(self, choice: int, limit: int | None) -> None:
        """A client of an earlier day asks what changed, some at a time."""
        then = self.history[choice % len(self.history)]
        now = self.history[-1]
        for type_name in _TYPES:
            since, objects = then[type_name]
            known = dict(objects)
            told: set[str] = set()
            while True:
                changes = self._read(lambda r: r.changes(type_name, since, limit))  # noqa: B023
                _check_step(changes, since, limit, known, told)
                for mailbox in changes.only_counts:
                    assert known[mailbox][0] == now[type_name][1][mailbox][0]
                for wire in (*changes.created, *changes.updated):
                    known[wire] = now[type_name][1].get(wire)
                for wire in changes.destroyed:
                    known.pop(wire, None)
                since = changes.new_state
                if not changes.has_more:
                    break
            assert since == now[type_name][0]
            assert known == now[type_name][1]

    # Helpers

    def _compare(self) -> None:
        """The store says what the model says; remember it."""
        model = self.model
        counts, threads, emails, mailboxes, states, size = self._read(_look, tuple(model.threads()))
        assert counts == model.counts()
        assert threads == model.threads()
        assert {
            e.id: (frozenset(e.mailbox_ids), frozenset(e.keywords)) for e in emails.values()
        } == {e.id: (e.mailboxes, e.keywords) for e in model.emails.values()}
        assert {wire: record.data for wire, record in mailboxes.items()} == model.mailboxes
        assert size == sum(e.new.size for e in model.emails.values())
        self.check(self.account)
        self.past.append((states[0], copy.deepcopy(model)))
        self.history.append(
            {
                "Email": (states[0], {k: (v.mailbox_ids, v.keywords) for k, v in emails.items()}),
                "Thread": (states[1], threads),
                "Mailbox": (states[2], {k: (v.data, counts[k]) for k, v in mailboxes.items()}),
            }
        )

    def _draw_query(self, data: Any) -> EmailQuery:
        asked = data.draw(st.none() | st.integers(0, 3), "one asked before")
        if asked is None or asked >= len(self.queries):
            mailboxes = st.sampled_from([*self.model.mailboxes, "none"])
            self.queries.insert(0, data.draw(queries(mailboxes)))
            return self.queries[0]
        return self.queries[asked]

    def _read(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.wait(self.store.read, self.account, fn, *args)

    def _write(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.wait(self.store.write, self.account, fn, *args)

    def _submit(self, jobs: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Writes that wait together."""
        return [self.store.write(self.account, *job) for job in jobs]

    def _mailbox(self, choice: int) -> str:
        return list(self.model.mailboxes)[choice % len(self.model.mailboxes)]

    def _mailboxes(self, choice: int) -> frozenset[str]:
        count = len(self.model.mailboxes)
        return frozenset({self._mailbox(choice), self._mailbox(choice // count)})

    def _empty_mailboxes(self) -> list[str]:
        full = {mailbox for e in self.model.emails.values() for mailbox in e.mailboxes}
        return [mailbox for mailbox in self.model.mailboxes if mailbox not in full]

    def _email(self, choice: int) -> Any:
        return list(self.model.emails.values())[choice % len(self.model.emails)]


def _add(writer: Any, new: NewEmail, mailboxes: Any, keywords: Any) -> Any:
    return writer.add_email(new, mailboxes, keywords)


def _toggle(writer: Any, email: str) -> None:
    keywords = set(writer.emails([email])[email].keywords)
    refile(writer, email, keywords=keywords ^ {"toggled"})


def _look(reader: Any, threads: tuple[str, ...]) -> Any:
    ids = reader.email_ids(10_000)
    return (
        reader.mailbox_counts(),
        reader.threads(threads),
        reader.emails(ids),
        reader.records("Mailbox"),
        tuple(reader.state(type_name) for type_name in _TYPES),
        reader.storage_usage(),
    )


def _check_step(
    changes: Changes, since: int, limit: int | None, known: Mapping[str, Any], told: set[str]
) -> None:
    lists = (changes.created, changes.updated, changes.destroyed)
    assert changes.old_state == since
    assert limit is None or sum(map(len, lists)) <= limit
    assert changes.new_state >= since
    assert not changes.has_more or changes.new_state > since
    assert len({wire for ids in lists for wire in ids}) == sum(map(len, lists))
    # RFC 8620 §5.2: never created after it was updated or destroyed.
    assert not set(changes.created) & (told | set(known))
    assert set(changes.updated) <= set(known)
    told.update(*lists)
