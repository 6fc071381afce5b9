"""What every `IMailStore` does.

class TestMyStore(MailStoreConformance):
    @pytest.fixture
    def store(self): ...          # an open, empty store

Beside it, `mailstore_machine` holds a store to random histories.
"""

from typing import Any

import pytest
from attrs import evolve
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from zope.interface.verify import verifyObject

from mailhive.errors import CannotCalculateChanges, NotFound
from mailhive.interfaces.mailstore import IMailReader, IMailStore, IMailWriter
from mailhive.model.changes import Changes, StateChange
from mailhive.model.email import (
    Comparator,
    EmailQuery,
    FilterCondition,
    FilterOperator,
    MailboxCounts,
    NewEmail,
    SearchText,
)
from mailhive.model.ids import is_id

__all__ = ["MailStoreConformance", "new_email"]

_STRANGE_IDS = [
    "",
    "M",
    "0",
    "M0",
    "M1\n",
    "M" + "v" * 12,
    "M" + "1" * 300,
    "é",
    "\ud800",
    "' OR 1",
]


def new_email(number: int = 1, /, **changes: Any) -> NewEmail:
    """A message received `number` seconds into 1970, in a thread of its own."""
    email = NewEmail(
        blob_id=f"blob{number}",
        size=100 + number,
        received_at=number * 1000,
        sent_at=number * 1000,
        message_id=f"{number}@example.org",
        message_ids=(f"{number}@example.org",),
        thread_subject="subject",
        has_attachment=False,
        summary=b'{"subject":"subject %d"}' % number,
        headers=b"Subject: subject %d\r\n" % number,
        structure=b'{"type":"text/plain"}',
        sort_subject="SUBJECT",
        search=SearchText(subject=f"subject {number}", body="body"),
    )
    return evolve(email, **changes)


def inbox_of(writer: Any, role: str | None = "inbox") -> str:
    """A new Mailbox."""
    wire: str = writer.create_record("Mailbox", {"name": str(role), "role": role})
    return wire


def file(writer: Any, mailboxes: Any, *emails: NewEmail) -> list[str]:
    """Add emails; returns their ids."""
    return [writer.add_email(email, mailboxes, ())[0] for email in emails]


def file_marked(writer: Any, mailboxes: Any, email: NewEmail, *keywords: str) -> str:
    """Add an email that has keywords; returns its id."""
    wire: str = writer.add_email(email, mailboxes, keywords)[0]
    return wire


def where(**properties: Any) -> FilterCondition:
    return FilterCondition(tuple(properties.items()))


class MailStoreConformance:
    """Inherit from this and bring the fixture `store`."""

    # Accounts

    @ensureDeferred
    async def test_provides_the_interfaces(self, store):
        account = await store.create_account("alice")
        assert verifyObject(IMailStore, store)
        assert await store.read(account, lambda r: verifyObject(IMailReader, r))
        assert await store.write(account, lambda w: verifyObject(IMailWriter, w))

    @ensureDeferred
    async def test_an_account_has_one_random_id(self, store):
        assert await store.account("alice") is None
        made = await gatherResults([store.create_account("alice") for _ in range(5)])
        assert len(set(made)) == 1
        other = await store.create_account("bob")
        assert other != made[0]
        assert is_id(other)
        assert other[0].isalpha()
        assert await store.account("alice") == made[0]
        assert await store.accounts() == {"alice": made[0], "bob": other}

    @ensureDeferred
    async def test_an_unknown_account_is_not_found(self, store):
        for strange in ("nobody", "", "../alice", "a\x00"):
            with pytest.raises(NotFound):
                await store.read(strange, lambda r: r.modseq)
            with pytest.raises(NotFound):
                await store.write(strange, inbox_of)

    @ensureDeferred
    async def test_a_deleted_account_is_gone(self, store):
        account = await store.create_account("alice")
        await store.write(account, inbox_of)
        await store.delete_account(account)
        await store.delete_account(account)
        assert await store.account("alice") is None
        with pytest.raises(NotFound):
            await store.read(account, lambda r: r.modseq)
        again = await store.create_account("alice")
        assert again != account
        assert await store.read(again, lambda r: r.records("Mailbox")) == {}

    @ensureDeferred
    async def test_accounts_do_not_see_each_other(self, store):
        accounts = await gatherResults([store.create_account(f"user {n}") for n in range(6)])

        def fill(writer, count):
            return len(file(writer, [inbox_of(writer)], *map(new_email, range(1, count + 1))))

        await gatherResults([store.write(a, fill, n) for n, a in enumerate(accounts, 1)])
        found = await gatherResults([store.read(a, lambda r: r.email_ids(99)) for a in accounts])
        assert list(map(len, found)) == [1, 2, 3, 4, 5, 6]

    # Reads and writes

    @ensureDeferred
    async def test_a_new_account_is_empty(self, store):
        account = await store.create_account("alice")

        def look(reader):
            return (
                reader.modseq,
                reader.state("Email"),
                reader.records("Mailbox"),
                reader.mailbox_counts(),
                reader.email_ids(10),
                reader.storage_usage(),
                reader.upload_usage(),
                reader.changes("Email", 0, None),
            )

        nothing = Changes(0, 0, False, (), (), ())
        assert await store.read(account, look) == (0, 0, {}, {}, (), 0, 0, nothing)

    @ensureDeferred
    async def test_writes_run_in_order_and_return_what_they_return(self, store):
        account = await store.create_account("alice")
        order: list[int] = []

        def note(_writer, number):
            order.append(number)
            return number

        results = await gatherResults([store.write(account, note, n) for n in range(50)])
        assert results == order == list(range(50))

    @ensureDeferred
    async def test_a_read_sees_what_was_written(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        assert list(await store.read(account, lambda r: r.records("Mailbox"))) == [mailbox]

    @ensureDeferred
    async def test_a_function_that_raises_leaves_nothing_and_harms_no_other(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)

        def fail(writer):
            file_marked(writer, [mailbox], new_email(99), "$flagged")
            raise KeyError("on purpose")

        jobs = [store.write(account, file, [mailbox], new_email(1))]
        jobs += [store.write(account, fail), store.write(account, file, [mailbox], new_email(2))]
        results = await DeferredList(jobs, consumeErrors=True)
        assert [success for success, _ in results] == [True, False, True]
        assert results[1][1].check(KeyError)
        emails = await store.read(account, lambda r: r.emails(r.email_ids(9)))
        assert {e.blob_id for e in emails.values()} == {"blob1", "blob2"}
        with pytest.raises(KeyError):
            await store.read(account, lambda r: r.emails([])["M1"])

    @ensureDeferred
    async def test_a_writer_reads_its_own_changes(self, store):
        account = await store.create_account("alice")

        def work(writer):
            mailbox = inbox_of(writer)
            before = writer.state("Email"), writer.state("Mailbox")
            email, thread = writer.add_email(
                new_email(search=SearchText(body="owl")), [mailbox], []
            )
            found = writer.query_emails(EmailQuery(where(text="owl")), calculate_total=True)
            assert (found.ids, found.total) == ((email,), 1)
            assert writer.threads([thread]) == {thread: (email,)}
            assert writer.mailbox_counts() == {mailbox: MailboxCounts(1, 1, 1, 1)}
            assert writer.changes("Email", before[0], None).created == (email,)
            assert writer.changes("Mailbox", before[1], None).updated == (mailbox,)
            assert writer.storage_usage() == 101
            assert writer.has_blob("blob1")
            writer.destroy_email(email)
            assert writer.emails([email]) == {}
            return writer.modseq

        modseq = await store.write(account, work)
        assert await store.read(account, lambda r: r.modseq) == modseq

    @ensureDeferred
    async def test_observers_hear_of_what_was_committed(self, store):
        account = await store.create_account("alice")
        heard: list[StateChange] = []
        store.observe(heard.append)
        mailbox = await store.write(account, inbox_of)
        await store.write(account, lambda w: w.modseq)
        with pytest.raises(NotFound):
            await store.write(account, lambda w: w.destroy_email("M1"))
        await store.write(account, file, [mailbox], new_email())
        states = await store.read(
            account, lambda r: {name: r.state(name) for name in ("Email", "Mailbox", "Thread")}
        )
        assert heard[0] == StateChange(account, {"Mailbox": 1})
        assert heard[1:] == [StateChange(account, states)]

    @ensureDeferred
    async def test_an_observer_that_fails_harms_no_other(self, store):
        account = await store.create_account("alice")
        heard: list[StateChange] = []

        def fail(_change):
            raise KeyError

        store.observe(fail)
        store.observe(heard.append)
        await store.write(account, inbox_of)
        assert len(heard) == 1

    @ensureDeferred
    async def test_close_finishes_what_was_accepted(self, store):
        account = await store.create_account("alice")
        done: list[str] = []
        for _ in range(20):
            store.write(account, inbox_of).addCallback(done.append)
        await store.close()
        assert len(done) == 20

    # Records

    @ensureDeferred
    async def test_records_are_kept_by_type(self, store):
        account = await store.create_account("alice")

        def work(writer):
            first = writer.create_record("Identity", {"name": "Ann", "nested": [1, {"x": None}]})
            second = writer.create_record("Identity", {"name": "Bob"})
            mailbox = inbox_of(writer)
            single = writer.create_record("VacationResponse", {"on": False}, "singleton")
            writer.update_record("Identity", second, {"name": "Bea"})
            return first, second, mailbox, single

        first, second, mailbox, single = await store.write(account, work)
        found = await store.read(account, lambda r: r.records("Identity"))
        assert {wire: record.data for wire, record in found.items()} == {
            first: {"name": "Ann", "nested": [1, {"x": None}]},
            second: {"name": "Bea"},
        }
        assert [record.id for record in found.values()] == [first, second]
        assert single == "singleton"
        some = await store.read(account, lambda r: r.records("Identity", [second, mailbox, "x"]))
        assert list(some) == [second]
        for wrong in (lambda w: w.update_record("Identity", mailbox, {}),
                      lambda w: w.destroy_record("Mailbox", first),
                      lambda w: w.destroy_record("Identity", "\ud800")):  # fmt: skip
            with pytest.raises(NotFound):
                await store.write(account, wrong)

    @ensureDeferred
    async def test_destroyed_ids_are_never_given_out_again(self, store):
        account = await store.create_account("alice")
        seen: set[str] = set()

        def turn(writer):
            mailbox = inbox_of(writer)
            email, thread = writer.add_email(new_email(), [mailbox], [])
            fresh = {mailbox, email, thread, writer.create_record("Identity", {})}
            writer.destroy_email(email)
            writer.destroy_record("Mailbox", mailbox)
            writer.destroy_record("Identity", list(writer.records("Identity"))[-1])
            return fresh

        for _ in range(5):
            fresh = await store.write(account, turn)
            assert not fresh & seen
            seen |= fresh

    @ensureDeferred
    async def test_a_mailbox_that_holds_email_stays(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        await store.write(account, file, [mailbox], new_email())
        with pytest.raises(ValueError, match="not empty"):
            await store.write(account, lambda w: w.destroy_record("Mailbox", mailbox))

    # Emails

    @ensureDeferred
    async def test_an_email_comes_back_as_it_was(self, store):
        account = await store.create_account("alice")
        first, second = await store.write(account, lambda w: (inbox_of(w), inbox_of(w, None)))
        new = new_email(headers=b"X: \xff\x00\r\n" * 500, structure=b"[]" * 500)
        email = await store.write(account, file_marked, [second, first], new, "$Seen", "x")

        def look(reader):
            return [
                reader.emails([email, "M77"], **options)[email]
                for options in ({}, {"summary": True}, {"summary": True, "full": True})
            ]

        bare, row, whole = await store.read(account, look)
        assert (bare.blob_id, bare.size, bare.received_at) == ("blob1", 101, 1000)
        assert set(bare.mailbox_ids) == {first, second}
        assert set(bare.keywords) == {"$seen", "x"}
        assert (bare.summary, bare.headers, bare.structure) == (None, None, None)
        assert (row.summary, row.headers) == (new.summary, None)
        assert (whole.summary, whole.headers, whole.structure) == (
            new.summary,
            new.headers,
            new.structure,
        )

    @ensureDeferred
    async def test_an_email_has_to_be_in_a_mailbox_that_exists(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        email = (await store.write(account, file, [mailbox], new_email()))[0]
        for error, mailboxes in ((ValueError, []), (NotFound, [mailbox, "F77"]), (NotFound, ["0"])):
            with pytest.raises(error):
                await store.write(account, file, mailboxes, new_email())
            with pytest.raises(error):
                await store.write(account, lambda w: w.update_email(email, mailbox_ids=mailboxes))  # noqa: B023

    @ensureDeferred
    async def test_what_does_not_differ_changes_no_state(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        email = await store.write(account, file_marked, [mailbox], new_email(), "a", "b")
        modseq = await store.read(account, lambda r: r.modseq)
        await store.write(
            account, lambda w: w.update_email(email, mailbox_ids=[mailbox], keywords=["B", "a"])
        )
        assert await store.read(account, lambda r: r.modseq) == modseq

    @ensureDeferred
    async def test_strange_ids_are_unknown(self, store):
        account = await store.create_account("alice")
        await store.write(account, lambda w: file(w, [inbox_of(w)], new_email()))

        def look(reader):
            return (
                reader.emails(_STRANGE_IDS, full=True),
                reader.threads(_STRANGE_IDS),
                reader.records("Mailbox", _STRANGE_IDS),
                reader.mailbox_counts(_STRANGE_IDS),
                [reader.email_with_blob(strange) for strange in _STRANGE_IDS],
                any(reader.has_blob(strange) for strange in _STRANGE_IDS),
            )

        assert await store.read(account, look) == ({}, {}, {}, {}, [None] * 10, False)
        for strange in _STRANGE_IDS:
            with pytest.raises(NotFound):
                await store.write(account, lambda w: w.destroy_email(strange))  # noqa: B023

    # Threads (RFC 8621 §3)

    @ensureDeferred
    async def test_threads_share_a_message_id_and_the_subject(self, store):
        account = await store.create_account("alice")

        def work(writer):
            mailbox = inbox_of(writer)

            def add(number, refs, subject="s"):
                email = new_email(
                    number,
                    message_ids=(f"{number}@x", *(f"{ref}@x" for ref in refs)),
                    thread_subject=subject,
                )
                return writer.add_email(email, [mailbox], [])

            one = add(50, [])
            reply = add(10, [50])
            assert reply[1] == one[1]
            assert add(3, [50], "another")[1] != one[1]
            sibling_a, sibling_b = add(60, [77]), add(61, [77])
            assert sibling_a[1] == sibling_b[1] != one[1]
            # It could join both: the oldest thread wins.
            both = add(62, [77, 10])
            assert both[1] == one[1]
            return writer.threads([one[1], "T99"]), one, reply, both

        threads, one, reply, both = await store.write(account, work)
        assert threads == {one[1]: (reply[0], one[0], both[0])}

    @ensureDeferred
    async def test_a_thread_goes_with_its_last_email(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        reply = new_email(2, message_ids=("2@x", "1@example.org"))
        one, two = await store.write(account, file, [mailbox], new_email(), reply)
        row = (await store.read(account, lambda r: r.emails([one])))[one]
        since = await store.read(account, lambda r: r.state("Thread"))
        await store.write(account, lambda w: w.destroy_email(one))
        changes = await store.read(account, lambda r: r.changes("Thread", since, None))
        assert changes.updated == (row.thread_id,)
        await store.write(account, lambda w: w.destroy_email(two))
        changes = await store.read(account, lambda r: r.changes("Thread", since, None))
        assert changes.destroyed == (row.thread_id,)
        assert await store.read(account, lambda r: r.threads([row.thread_id])) == {}
        again = await store.write(account, lambda w: w.add_email(reply, [mailbox], []))
        assert again[1] != row.thread_id

    # Counts (RFC 8621 §2)

    @ensureDeferred
    async def test_the_trash_counts_apart(self, store):
        """The example of RFC 8621 §2: unread in the trash, read in the inbox, one Thread."""
        account = await store.create_account("alice")
        inbox, trash = await store.write(account, lambda w: (inbox_of(w), inbox_of(w, "trash")))
        reply = new_email(2, message_ids=("2@x", "1@example.org"))
        await store.write(account, file_marked, [inbox], new_email(), "$seen")
        thrown = (await store.write(account, file, [trash], reply))[0]
        assert await store.read(account, lambda r: r.mailbox_counts()) == {
            inbox: MailboxCounts(1, 0, 1, 0),
            trash: MailboxCounts(1, 1, 1, 1),
        }
        await store.write(account, lambda w: w.update_email(thrown, mailbox_ids=[inbox, trash]))
        assert await store.read(account, lambda r: r.mailbox_counts([inbox])) == {
            inbox: MailboxCounts(2, 1, 1, 1)
        }
        await store.write(account, lambda w: w.update_email(thrown, keywords=["$draft"]))
        assert await store.read(account, lambda r: r.mailbox_counts([trash])) == {
            trash: MailboxCounts(1, 0, 1, 0)
        }

    @ensureDeferred
    async def test_counts_follow_the_role_of_the_trash(self, store):
        account = await store.create_account("alice")
        inbox, bin_ = await store.write(account, lambda w: (inbox_of(w), inbox_of(w, None)))
        reply = new_email(2, message_ids=("2@x", "1@example.org"))
        await store.write(account, file_marked, [inbox], new_email(), "$seen")
        await store.write(account, file, [bin_], reply)
        assert (await store.read(account, lambda r: r.mailbox_counts()))[inbox].unread_threads == 1
        since = await store.read(account, lambda r: r.state("Mailbox"))
        await store.write(
            account, lambda w: w.update_record("Mailbox", bin_, {"name": "bin", "role": "trash"})
        )
        assert (await store.read(account, lambda r: r.mailbox_counts()))[inbox].unread_threads == 0
        changes = await store.read(account, lambda r: r.changes("Mailbox", since, None))
        assert set(changes.updated) == {inbox, bin_}

    # Changes (RFC 8620 §5.2)

    @ensureDeferred
    async def test_changes_of_counts_alone_say_so(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        since = await store.read(account, lambda r: r.state("Mailbox"))
        await store.write(account, file, [mailbox], new_email())
        changes = await store.read(account, lambda r: r.changes("Mailbox", since, None))
        assert (changes.updated, changes.property_changes) == ((mailbox,), False)
        await store.write(account, lambda w: w.update_record("Mailbox", mailbox, {"role": None}))
        await store.write(account, file, [mailbox], new_email(2))
        changes = await store.read(account, lambda r: r.changes("Mailbox", since, None))
        assert (changes.updated, changes.property_changes) == ((mailbox,), True)

    @ensureDeferred
    async def test_states_that_were_never_given_out_are_refused(self, store):
        account = await store.create_account("alice")
        await store.write(account, inbox_of)
        for type_name, since in (("Mailbox", 2), ("Mailbox", -1), ("Email", 1), ("Mailbox", 2**70)):
            with pytest.raises(CannotCalculateChanges):
                await store.read(account, lambda r: r.changes(type_name, since, 5))  # noqa: B023

    # Queries (RFC 8621 §4.4); the machine asks all the others

    @ensureDeferred
    async def test_an_anchor_that_is_not_among_the_results_is_not_found(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        one, two = await store.write(account, file, [mailbox], new_email(1), new_email(2))
        await store.write(account, lambda w: w.update_email(one, keywords=["x"]))
        query = EmailQuery(where(hasKeyword="x"))
        for anchor in (two, "M99", "\ud800", ""):
            with pytest.raises(NotFound):
                await store.read(account, lambda r: r.query_emails(query, anchor=anchor))  # noqa: B023
        page = await store.read(
            account, lambda r: r.query_emails(query, anchor=one, anchor_offset=3)
        )
        assert (page.ids, page.position) == ((), 3)

    @ensureDeferred
    async def test_results_are_those_of_the_state_they_name(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        query = EmailQuery(where(minSize=0), (Comparator("size", ascending=False),), True)
        for number in range(1, 6):
            await store.write(account, file, [mailbox], new_email(number))
            for _ in range(2):  # computed, then remembered
                page, state = await store.read(
                    account,
                    lambda r: (r.query_emails(query, calculate_total=True), r.state("Email")),
                )
                assert (len(page.ids), page.total, page.state) == (number, number, state)

    @ensureDeferred
    async def test_numbers_sort_as_numbers_when_asked(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        subjects = ["10", "9", "x", "0100", ""]
        emails = [new_email(n, sort_subject=s) for n, s in enumerate(subjects, 1)]
        await store.write(account, file, [mailbox], *emails)

        async def sorted_by(collation):
            query = EmailQuery(sort=(Comparator("subject", collation=collation),))
            found = await store.read(
                account,
                lambda r: [
                    r.emails(r.query_emails(query).ids)[i] for i in r.query_emails(query).ids
                ],
            )
            return [subjects[row.received_at // 1000 - 1] for row in found]

        assert await sorted_by("i;ascii-numeric") == ["9", "10", "0100", "", "x"]
        assert await sorted_by("i;unicode-casemap") == ["", "0100", "10", "9", "x"]

    @ensureDeferred
    async def test_big_and_deep_filters_are_answered_or_refused(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        await store.write(account, file, [mailbox], new_email())
        wide = FilterOperator("OR", tuple(where(hasKeyword=f"k{n}") for n in range(900)))
        found = await store.read(account, lambda r: r.query_emails(EmailQuery(wide)))
        assert found.ids == ()
        deep: Any = where(inMailbox=mailbox)
        for _ in range(40):
            deep = FilterOperator("NOT", (deep,))
        found = await store.read(account, lambda r: r.query_emails(EmailQuery(deep)))
        assert len(found.ids) == 1

    @ensureDeferred
    async def test_header_looks_at_the_field_decoded(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        headers = (
            b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Folded: one\r\n\ttwo\r\n"
            b"X-Bad: =?utf-8?b?%%%?= =?nope?q?x?=\r\nX-Raw: \xff\x00\r\nX-Empty:\r\n"
        )
        await store.write(account, file, [mailbox], new_email(headers=headers))
        for value, expected in (
            (("SUBJECT", "grüsse"), True),
            (("subject", "GRÜSSE"), True),
            (("x-folded", "one\ttwo"), True),
            (("x-folded", "two one"), False),
            (("x-bad", "nope"), True),
            (("x-raw",), True),
            (("x-empty", ""), True),
            (("x-empty", "a"), False),
            (("bject",), False),
            (("x-none",), False),
        ):
            query = EmailQuery(where(header=value))
            found = await store.read(account, lambda r: r.query_emails(query).ids)  # noqa: B023
            assert bool(found) is expected, value

    @ensureDeferred
    async def test_text_is_found_as_soon_as_it_is_visible(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        found: list[Deferred[Any]] = []
        for number in range(1, 30):
            added = store.write(account, file, [mailbox], new_email(number))

            def search(_result):
                return store.read(
                    account,
                    lambda r: (
                        r.query_emails(EmailQuery(where(body="body")), calculate_total=True).total,
                        len(r.email_ids(99)),
                    ),
                )

            found.append(added.addCallback(search))
        for hits, visible in await gatherResults(found):
            assert hits == visible > 0
        await store.write(account, lambda w: [w.destroy_email(e) for e in w.email_ids(29)])
        query = EmailQuery(where(text="subject"))
        assert (await store.read(account, lambda r: r.query_emails(query))).ids == ()

    # Blobs and uploads

    @ensureDeferred
    async def test_blobs_are_known_by_emails_and_uploads(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        email = (await store.write(account, file, [mailbox], new_email()))[0]
        await store.write(account, lambda w: w.add_upload("up", "text/plain", 7, 10.0))

        def look(reader):
            return (
                reader.email_with_blob("blob1"),
                reader.email_with_blob("up"),
                [reader.has_blob(blob) for blob in ("blob1", "up", "other")],
                reader.upload_usage(),
                reader.storage_usage(),
            )

        assert await store.read(account, look) == (email, None, [True, True, False], 7, 101)
        await store.write(account, lambda w: w.destroy_email(email))
        assert await store.read(account, look) == (None, None, [False, True, False], 7, 0)

    @ensureDeferred
    async def test_uploads_go_by_age_and_quota(self, store):
        account = await store.create_account("alice")

        def work(writer):
            for blob, now in (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0), ("a", 5.0)):
                writer.add_upload(blob, "text/plain", 10, now)
            assert writer.upload_usage() == 40
            gone = writer.expire_uploads(3.0), writer.expire_uploads(0.0, 25)
            assert writer.upload_usage() == 20
            return gone

        assert await store.write(account, work) == (("b",), ("c",))
        assert await store.read(account, lambda r: [r.has_blob(b) for b in "abcd"]) == [
            True,
            False,
            False,
            True,
        ]
