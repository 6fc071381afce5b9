"""Is an account's database consistent?  Everything derived, computed again.

Written for clarity, not speed, and sharing no code with the writer: tests and the
`mailhive` command hold what was kept against what the emails say.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from attrs import define, field

from mailhive.sqlite.connection import Connection
from mailhive.store.flags import KEYWORD_FLAGS, is_unread
from mailhive.store.ids import mailbox_number

__all__ = ["problems"]


def problems(connection: Connection) -> list[str]:
    """What is wrong with an account's database, in words; empty if nothing is."""
    with connection.transaction():
        broken = [line for (line,) in connection.all("PRAGMA integrity_check") if line != "ok"]
        return broken or list(_problems(connection))


@define
class _Email:
    thread: int
    received_at: int
    flags: int
    mailboxes: tuple[int, ...]
    keywords: tuple[str, ...]
    size: int

    @property
    def unread(self) -> bool:
        return is_unread(self.flags)


@define
class _Thread:
    emails: list[_Email] = field(factory=list)

    def unread(self, trash: int) -> int:
        return sum(e.unread for e in self.emails if set(e.mailboxes) != {trash})

    def trash_unread(self, trash: int) -> int:
        return sum(e.unread for e in self.emails if trash in e.mailboxes)


def _problems(connection: Connection) -> Iterator[str]:
    emails = {
        row[0]: _Email(row[1], row[2], row[3], _numbers(row[4]), tuple(row[5].split()), row[6])
        for row in connection.all(
            "SELECT id, thread, received_at, flags, mailboxes, keywords, size FROM email"
        )
    }
    threads: dict[int, _Thread] = defaultdict(_Thread)
    for email in emails.values():
        threads[email.thread].emails.append(email)
    counters = dict(connection.all("SELECT name, value FROM counter"))
    yield from _counters(connection, counters, emails)
    yield from _lists(connection, emails)
    yield from _threads(connection, threads, counters["trash"])
    yield from _mailboxes(connection, emails, threads, counters["trash"])
    yield from _change_log(connection, counters["modseq"])


def _counters(
    connection: Connection, counters: Mapping[str, int], emails: Mapping[int, _Email]
) -> Iterator[str]:
    octets = sum(email.size for email in emails.values())
    yield from _differ("counter email_octets", counters["email_octets"], octets)
    by_user = "SELECT user, sum(counted) FROM upload GROUP BY user HAVING sum(counted) > 0"
    kept = connection.all("SELECT user, octets FROM uploader WHERE octets > 0")
    yield from _differ("octets of uploaders", dict(kept), dict(connection.all(by_user)))
    rows = connection.all("SELECT number, data FROM record WHERE type = 'Mailbox' ORDER BY number")
    roles = {number: msgspec.json.decode(data).get("role") for number, data in rows}
    trash = next((number for number, role in roles.items() if role == "trash"), 0)
    yield from _differ("counter trash", counters["trash"], trash)
    yield from _differ(
        "rows of mailbox", {n for (n,) in connection.all("SELECT id FROM mailbox")}, {0, *roles}
    )
    for table in ("record_key", "record_blob"):
        attached = {n for (n,) in connection.all(f"SELECT record FROM {table}")}
        numbers = {n for (n,) in connection.all("SELECT number FROM record")}
        yield from _differ(f"records of {table}", attached - numbers, set())
    for name, table, column in (
        ("email", "email", "id"),
        ("thread", "thread", "id"),
        ("record", "record", "number"),
    ):
        highest = connection.value(f"SELECT coalesce(max({column}), 0) FROM {table}")
        if highest > counters[name]:
            yield f"counter {name} is {counters[name]}, but {highest} was given out"


def _lists(connection: Connection, emails: Mapping[int, _Email]) -> Iterator[str]:
    """The tables that have rows per email."""
    for table in ("email_full", "email_sort"):
        found = {number for (number,) in connection.all(f"SELECT id FROM {table}")}
        yield from _differ(f"rows of {table}", found, set(emails))
    indexed = [number for (number,) in connection.all("SELECT id FROM fts_docsize")]
    pending = [number for (number,) in connection.all("SELECT email FROM fts_pending")]
    yield from _differ("texts", Counter(indexed + pending), Counter(list(emails)))
    for number, email in emails.items():
        flags = sum(KEYWORD_FLAGS.get(keyword, 0) for keyword in email.keywords)
        if email.flags & sum(KEYWORD_FLAGS.values()) != flags:
            yield f"email {number} has flags {email.flags}, but keywords {email.keywords}"
    yield from _differ(
        "rows of mbx",
        set(connection.all("SELECT mailbox, received_at, email, thread, flags FROM mbx")),
        {
            (mailbox, e.received_at, number, e.thread, e.flags)
            for number, e in emails.items()
            for mailbox in (0, *e.mailboxes)
        },
    )
    yield from _differ(
        "rows of keyword",
        set(connection.all("SELECT keyword, received_at, email, thread FROM keyword")),
        {
            (keyword, e.received_at, number, e.thread)
            for number, e in emails.items()
            for keyword in e.keywords
            if keyword != "$seen"
        },
    )
    refs = connection.all("SELECT id, refs FROM email_full")
    yield from _differ(
        "rows of reference",
        set(connection.all("SELECT key, thread, email FROM reference")),
        {
            (keys[start : start + 16], emails[number].thread, number)
            for number, keys in refs
            if number in emails
            for start in range(0, len(keys), 16)
        },
    )


def _threads(connection: Connection, threads: Mapping[int, _Thread], trash: int) -> Iterator[str]:
    yield from _differ(
        "rows of thread",
        set(connection.all("SELECT id, emails, unread, trash_unread FROM thread")),
        {
            (number, len(t.emails), t.unread(trash), t.trash_unread(trash))
            for number, t in threads.items()
        },
    )
    yield from _differ(
        "rows of thread_mailbox",
        set(connection.all("SELECT thread, mailbox, emails FROM thread_mailbox")),
        {
            (number, mailbox, count)
            for number, t in threads.items()
            for mailbox, count in Counter(m for e in t.emails for m in e.mailboxes).items()
        },
    )


def _mailboxes(
    connection: Connection,
    emails: Mapping[int, _Email],
    threads: Mapping[int, _Thread],
    trash: int,
) -> Iterator[str]:
    counts = {
        row[0]: row[1:]
        for row in connection.all(
            "SELECT id, total_emails, unread_emails, total_threads, unread_threads FROM mailbox"
        )
    }
    yield from _differ("counts of all mail", counts.pop(0), (len(emails), 0, len(threads), 0))
    for mailbox, found in counts.items():
        here = [e for e in emails.values() if mailbox in e.mailboxes]
        its_threads = {e.thread: threads[e.thread] for e in here}
        unread = [
            t.trash_unread(trash) if mailbox == trash else t.unread(trash)
            for t in its_threads.values()
        ]
        expected = (
            len(here),
            sum(e.unread for e in here),
            len(its_threads),
            sum(count > 0 for count in unread),
        )
        yield from _differ(f"counts of mailbox {mailbox}", found, expected)


def _change_log(connection: Connection, modseq: int) -> Iterator[str]:
    seqs: Counter[int] = Counter()
    highest: dict[str, int] = {}
    for type_name, created, changed in connection.all(
        "SELECT 'Email', createdseq, modseq FROM email"
        " UNION ALL SELECT 'Thread', createdseq, modseq FROM thread"
        " UNION ALL SELECT type, createdseq, modseq FROM record"
        " UNION ALL SELECT type, seq, seq FROM tombstone"
    ):
        seqs.update({created, changed})
        highest[type_name] = max(highest.get(type_name, 0), created, changed)
    for seq, count in seqs.items():
        if count > 1:
            yield f"modseq {seq} was given to {count} changes"
        if seq > modseq:
            yield f"modseq {seq} is beyond that of the account, {modseq}"
    states = {
        type_name: (state, tombstones)
        for type_name, state, tombstones in connection.all(
            "SELECT type, modseq, tombstones FROM type_state"
        )
    }
    buried = Counter(type_name for (type_name,) in connection.all("SELECT type FROM tombstone"))
    for type_name, (state, tombstones) in states.items():
        yield from _differ(f"tombstones of {type_name}", tombstones, buried[type_name])
        if state < highest.get(type_name, 0):
            yield f"state of {type_name} is {state}, but one changed at {highest[type_name]}"
    for type_name in highest.keys() - states.keys():
        yield f"there is no state of {type_name}"


def _numbers(joined: str) -> tuple[int, ...]:
    return tuple(mailbox_number(wire) or -1 for wire in joined.split())


def _differ(what: str, found: Any, expected: Any) -> Iterator[str]:
    if found == expected:
        return
    if isinstance(found, set):
        missing, wrong = sorted(expected - found), sorted(found - expected)
        yield f"{what}: missing {missing[:5]}, wrong {wrong[:5]}"
    elif isinstance(found, Counter):
        yield f"{what}: missing {expected - found}, too many {found - expected}"
    else:
        yield f"{what}: {found}, should be {expected}"
