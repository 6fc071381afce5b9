"""What every `IMailStore` keeps in an account, and how it answers for it."""

from typing import Any

import pytest
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, gatherResults

from mailhive.errors import CannotCalculateChanges, NotFound
from mailhive.model.email import (
    Comparator,
    EmailQuery,
    Filing,
    FilterOperator,
    MailboxCounts,
)
from mailhive.testing.conformance.mailstore_samples import (
    file,
    file_marked,
    inbox_of,
    new_email,
    refile,
    where,
)

__all__ = ["ContentsConformance"]

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


class ContentsConformance:
    """A part of `MailStoreConformance`."""

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
            writer.destroy_emails([email])
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
                await store.write(account, lambda w: refile(w, email, mailbox_ids=mailboxes))  # noqa: B023

    @ensureDeferred
    async def test_emails_change_all_or_none(self, store):
        """One that is not there, or cannot be filed so, is found before any is changed."""
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        one, two = await store.write(account, file, [mailbox], new_email(1), new_email(2))
        good = Filing((mailbox,), ("$seen",))
        states = await store.read(account, lambda r: r.states())

        def fail(writer):
            for error, filings in (
                (NotFound, {one: good, "M99": good}),
                (NotFound, {one: good, two: Filing(("F99",), ())}),
                (ValueError, {one: good, two: Filing((), ())}),
                (ValueError, {one: good, two: Filing((mailbox,), ("a b",))}),
            ):
                with pytest.raises(error):
                    writer.update_emails(filings)
            with pytest.raises(NotFound):
                writer.destroy_emails([one, "M99", two])
            writer.update_emails({})
            writer.destroy_emails([])
            return writer.states()

        assert await store.write(account, fail) == states
        unread = {mailbox: MailboxCounts(2, 2, 2, 2)}
        assert await store.read(account, lambda r: r.mailbox_counts()) == unread

    @ensureDeferred
    async def test_each_email_of_many_changes_by_itself(self, store):
        """Of many at once, each has a modseq of its own, and its thread counts once."""
        account = await store.create_account("alice")
        inbox = await store.write(account, inbox_of)
        archive = await store.write(account, inbox_of, "archive")
        reply = [new_email(n, message_ids=("1@example.org",)) for n in (1, 2, 3)]
        emails = await store.write(account, file, [inbox], *reply, *map(new_email, range(4, 9)))
        since = await store.read(account, lambda r: r.states())

        def move(writer):
            known = writer.filings([*emails, "M99"])
            assert known == dict.fromkeys(emails, Filing((inbox,), ()))
            moved = {email: Filing((archive,), ("$seen",)) for email in emails[:6]}
            writer.update_emails({**moved, emails[2]: Filing((archive, inbox), ("a",))})
            return writer.filings(emails[2:3])

        both = Filing(tuple(sorted((inbox, archive))), ("a",))
        assert await store.write(account, move) == {emails[2]: both}
        counts = await store.read(account, lambda r: r.mailbox_counts())
        assert counts == {inbox: MailboxCounts(3, 3, 3, 3), archive: MailboxCounts(6, 1, 4, 1)}
        told = []
        state = since["Email"]
        for _ in emails[:6]:
            changes = await store.read(account, lambda r: r.changes("Email", state, 1))  # noqa: B023
            told += changes.updated
            state = changes.new_state
        assert sorted(told) == sorted(emails[:6])
        assert not changes.has_more
        # A thread changes when an email comes or goes (RFC 8621 §3), not when one moves.
        assert await store.read(account, lambda r: r.state("Thread")) == since["Thread"]
        await store.write(account, lambda w: w.destroy_emails([*emails[1:7], emails[1]]))
        counts = await store.read(account, lambda r: r.mailbox_counts())
        assert counts == {inbox: MailboxCounts(1, 1, 1, 1), archive: MailboxCounts(1, 0, 1, 0)}
        changes = await store.read(account, lambda r: r.changes("Thread", since["Thread"], None))
        assert (len(changes.updated), len(changes.destroyed)) == (1, 4)

    @ensureDeferred
    async def test_what_does_not_differ_changes_no_state(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        email = await store.write(account, file_marked, [mailbox], new_email(), "a", "b")
        modseq = await store.read(account, lambda r: r.modseq)
        await store.write(
            account, lambda w: refile(w, email, mailbox_ids=[mailbox], keywords=["B", "a"])
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
                any(reader.has_blob(strange, "ann") for strange in _STRANGE_IDS),
            )

        assert await store.read(account, look) == ({}, {}, {}, {}, [None] * 10, False)
        for strange in _STRANGE_IDS:
            with pytest.raises(NotFound):
                await store.write(account, lambda w: w.destroy_emails([strange]))  # noqa: B023

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
        await store.write(account, lambda w: w.destroy_emails([one]))
        changes = await store.read(account, lambda r: r.changes("Thread", since, None))
        assert changes.updated == (row.thread_id,)
        await store.write(account, lambda w: w.destroy_emails([two]))
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
        await store.write(account, lambda w: refile(w, thrown, mailbox_ids=[inbox, trash]))
        assert await store.read(account, lambda r: r.mailbox_counts([inbox])) == {
            inbox: MailboxCounts(2, 1, 1, 1)
        }
        await store.write(account, lambda w: refile(w, thrown, keywords=["$draft"]))
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
        assert changes.updated == changes.only_counts == (mailbox,)
        await store.write(account, lambda w: w.update_record("Mailbox", mailbox, {"role": None}))
        await store.write(account, file, [mailbox], new_email(2))
        changes = await store.read(account, lambda r: r.changes("Mailbox", since, None))
        assert (changes.updated, changes.only_counts) == ((mailbox,), ())

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
        await store.write(account, lambda w: refile(w, one, keywords=["x"]))
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
        await store.write(account, lambda w: w.destroy_emails(w.email_ids(29)))
        query = EmailQuery(where(text="subject"))
        assert (await store.read(account, lambda r: r.query_emails(query))).ids == ()

    # Blobs and uploads

    @ensureDeferred
    async def test_blobs_are_known_by_emails_and_uploads(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        email = (await store.write(account, file, [mailbox], new_email()))[0]
        await store.write(account, lambda w: w.add_upload("up", "text/plain", 7, 10.0, "ann"))

        def look(reader):
            return (
                reader.email_with_blob("blob1"),
                reader.email_with_blob("up"),
                [reader.has_blob(blob, "ann") for blob in ("blob1", "up", "other")],
                reader.upload_usage("ann"),
                reader.storage_usage(),
            )

        assert await store.read(account, look) == (email, None, [True, True, False], 7, 101)
        await store.write(account, lambda w: w.destroy_emails([email]))
        assert await store.read(account, look) == (None, None, [False, True, False], 7, 0)

    @ensureDeferred
    async def test_blobs_are_listed_page_by_page(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        blobs = [f"blob{number}" for number in (1, 3, 5, 7)]
        emails = [new_email(n, blob_id=blob) for n, blob in enumerate([*blobs, "blob3"], 1)]
        ids = await store.write(account, file, [mailbox], *emails)

        def uploads(writer):
            for blob in ("blob2", "blob5", "blob8"):
                writer.add_upload(blob, "text/plain", 7, 10.0, "ann")

        await store.write(account, uploads)

        def look(reader, *pages):
            return [reader.blob_ids(*page) for page in pages]

        pages = [
            ("", "c", 9),
            ("", "c", 3),
            ("blob3", "c", 3),
            ("blob2", "blob7", 9),
            ("c", "d", 9),
        ]
        assert await store.read(account, look, *pages) == [
            ("blob1", "blob2", "blob3", "blob5", "blob7", "blob8"),
            ("blob1", "blob2", "blob3"),
            ("blob5", "blob7", "blob8"),
            ("blob3", "blob5", "blob7"),
            (),
        ]
        await store.write(account, lambda w: w.destroy_emails(ids[:3]))
        assert await store.read(account, look, ("", "c", 9)) == [
            ("blob2", "blob3", "blob5", "blob7", "blob8")
        ]

    @ensureDeferred
    async def test_what_is_attached_to_records(self, store):
        account = await store.create_account("alice")

        def create(writer):
            return [
                writer.create_record("Thing", {"n": n}, keys=keys)
                for n, keys in enumerate((("a", "b", "a"), ("b",), ()))
            ]

        first, second, third = await store.write(account, create)

        def refer(writer):
            for thing, blob in ((first, "blob1"), (second, "blob1"), (third, "blob2")):
                writer.refer_to_blob("Thing", thing, blob)
                writer.refer_to_blob("Thing", thing, blob)
            with pytest.raises(NotFound):
                writer.refer_to_blob("Other", first, "blob3")

        await store.write(account, refer)

        def look(reader):
            return (
                {key: list(reader.records_by_key("Thing", key)) for key in "abc"},
                reader.records_by_key("Other", "a"),
                [reader.has_blob(blob, "ann") for blob in ("blob1", "blob2", "blob3")],
                reader.blob_ids("", "c", 9),
            )

        assert await store.read(account, look) == (
            {"a": [first], "b": [first, second], "c": []},
            {},
            [True, True, False],
            ("blob1", "blob2"),
        )
        await store.write(account, lambda w: [w.destroy_record("Thing", t) for t in (first, third)])
        assert await store.read(account, look) == (
            {"a": [], "b": [second], "c": []},
            {},
            [True, False, False],
            ("blob1",),
        )

    @ensureDeferred
    async def test_notes_hold_for_their_time(self, store):
        account = await store.create_account("alice")
        modseq = await store.read(account, lambda r: r.modseq)

        def work(writer):
            return [
                writer.remember(kind, key, now, until, 3)
                for kind, key, now, until in (
                    ("reply", "ann", 100, 200),
                    ("reply", "ann", 199, 299),
                    ("reply", "bob", 150, 250),
                    ("other", "ann", 150, 9999),
                    ("reply", "ann", 200, 500),  # forgotten at 200
                    ("reply", "cat", 201, 400),
                    ("reply", "dan", 201, 400),  # one too many: bob's ends first
                    ("reply", "bob", 202, 600),
                )
            ]

        done = await store.write(account, work)
        assert done == [True, False, True, True, True, True, True, True]
        again = await store.write(account, lambda w: w.remember("reply", "ann", 300, 900, 3))
        assert again is False
        assert await store.read(account, lambda r: r.modseq) == modseq

    @ensureDeferred
    async def test_uploads_go_by_age_and_quota(self, store):
        account = await store.create_account("alice")

        def work(writer):
            assert writer.oldest_upload() is None
            for blob, now in (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0), ("a", 5.0)):
                writer.add_upload(blob, "text/plain", 10, now, "ann")
            writer.add_upload("c", "text/plain", 10, 2.5, "bob")
            assert (writer.upload_usage("ann"), writer.upload_usage("bob")) == (40, 10)
            assert writer.oldest_upload() == 2.0
            gone = writer.expire_uploads(3.0), writer.limit_uploads("ann", 25)
            assert (writer.upload_usage("ann"), writer.upload_usage("bob")) == (20, 0)
            return gone

        assert await store.write(account, work) == (("b", "c"), ("c",))

        def known(reader, user):
            return [blob for blob in "abcd" if reader.has_blob(blob, user)]

        assert await store.read(account, known, "ann") == ["a", "d"]
        assert await store.read(account, known, "bob") == []

    @ensureDeferred
    async def test_an_upload_that_became_an_email_does_not_count(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        for user in ("ann", "bob"):
            await store.write(account, lambda w, u=user: w.add_upload("blob1", "a/b", 9, 1.0, u))
        email = (await store.write(account, file, [mailbox], new_email()))[0]

        def work(writer):
            assert writer.upload_usage("ann") == writer.upload_usage("bob") == 0
            assert writer.limit_uploads("ann", 0) == ()
            writer.destroy_emails([email])
            return [writer.has_blob("blob1", user) for user in ("ann", "bob", "cat")]

        assert await store.write(account, work) == [True, True, False]
