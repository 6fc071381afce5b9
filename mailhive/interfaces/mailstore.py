"""Mail store: accounts, their objects, and what changed in them.

The unit is the account.  All work on one is done by plain synchronous functions
that the store calls with a reader or writer of that account:

    counts = await store.read(account_id, lambda reader: reader.mailbox_counts())
    await store.write(account_id, flag, email_id)      # flag(writer, email_id)

A function given to `read` must be free of side effects: a store may run it at
once on the calling thread while all it does is answered by an index, and run it
again from the start on a thread of its own when it turns out to need more.  A
function given to `write` runs alone on its account, on a thread of the store.

**Modseq.**  Every change of an object gets a number of its own, one higher than
any before in that account.  The state of a type is the highest number that a
change of an object of that type got, so `/changes` can stop at any object
(RFC 8620 §5.2 maxChanges).  A state is 0 before the first change.

Ids are wire ids (`mailhive.model.ids`); one that was never given out is treated
like one that does not exist.  Destroyed ids are never given out again.
"""

from zope.interface import Attribute, Interface

__all__ = ["IMailReader", "IMailStore", "IMailWriter"]


class IMailStore(Interface):
    """All accounts.  Every method but `observe` returns a Deferred."""

    def account(name: str):
        """Fire with the id of the account of the principal `name`, or None."""

    def create_account(name: str):
        """Fire with the id of the account of `name`, made if it does not exist.

        Idempotent, also when called concurrently.  Ids are random.  A new
        account is empty; filling it is the caller's (`mail.provision`).
        """

    def accounts():
        """Fire with a dict of name to account id."""

    def delete_account(account_id: str):
        """Forget an account and everything in it.  Idempotent."""

    def read(account_id: str, fn, *args):
        """Fire with `fn(reader, *args)`; `reader` is an `IMailReader`.

        The reader sees one committed state throughout, which includes every
        write whose Deferred has fired.  `AccountNotFound` for an unknown account.
        """

    def write(account_id: str, fn, *args):
        """Fire with `fn(writer, *args)` once its changes are durable.

        Writes of an account run one after the other in the order of their
        calls, each seeing those before it; those that wait together share one
        commit.  When `fn` raises, its changes are undone, the others of the
        commit stay, and the Deferred fires with what it raised.  Where the server
        has several processes `fn` may run in another one: it is then a function of a
        module, and it, `args` and what it returns can be pickled.
        """

    def observe(observer):
        """Call `observer(StateChange)` in the reactor thread after each commit that changed something."""

    def close():
        """Finish what was accepted, then close every account."""


class IMailReader(Interface):
    """One account, as one moment.  Valid inside the function it was passed to."""

    account_id = Attribute("The account (str).")
    modseq = Attribute("The highest modseq of the account (int).")

    def state(type_name: str) -> int:
        """The state of a type: `Mailbox`, `Thread`, `Email`, `EmailDelivery` or a record type.

        `EmailDelivery` has no objects; it changes when an Email is added (RFC 8621 §1.5).
        """

    def states():
        """A dict of type to state, of all types that have ever changed."""

    def changes(type_name: str, since: int, limit: int | None):
        """What changed after `since`, as `Changes` of at most `limit` ids in all.

        Ordered by the moment a client has to learn of it, so that the
        intermediate state is exact; an object created and destroyed since is
        left out.  `CannotCalculateChanges` for a `since` that was never given
        out or that the log no longer reaches.
        """

    # Records: Mailbox and every type that is one JSON document per object.

    def records(type_name: str, ids=None):
        """A dict of id to `Record`, of `ids` or of all; unknown ids are left out."""

    def records_by_key(type_name: str, key: str):
        """A dict of id to `Record` of those that were created with this key, oldest first."""

    def mailbox_counts(ids=None):
        """A dict of mailbox id to `MailboxCounts`, exact.

        An Email counts as unread when it has neither $seen nor $draft.  A
        Thread counts as unread in a mailbox when it has an Email there and an
        unread Email anywhere, but Emails that are in the trash alone count for
        the trash only and the trash counts only its own (RFC 8621 §2).  The
        trash is the record of type Mailbox whose `role` is `trash`.
        """

    # Emails

    def emails(ids, *, summary: bool = False, full: bool = False):
        """A dict of id to `EmailRow`; with `summary`, and with headers and structure, if asked."""

    def email_ids(limit: int):
        """Up to `limit` ids of all Emails of the account, newest first."""

    def threads(ids):
        """A dict of thread id to the tuple of its email ids, oldest receivedAt first (RFC 8621 §3)."""

    def query_emails(
        query,
        *,
        position: int = 0,
        anchor: str | None = None,
        anchor_offset: int = 0,
        limit: int | None = None,
        calculate_total: bool = False,
    ):
        """An `EmailPage` of the window asked for (RFC 8620 §5.5).

        A negative position counts from the end; one beyond it gives no ids.
        `NotFound` when `anchor` is not among the results.
        """

    def query_email_changes(
        query, since: int, *, up_to: str | None = None, calculate_total: bool = False
    ):
        """The `QueryChanges` of the results since the Email state `since` (RFC 8620 §5.6).

        When the query looks only at what never changes and `up_to` is among the
        results, what was added after it is left out.  `CannotCalculateChanges` as
        for `changes`.
        """

    def email_with_blob(blob_id: str) -> str | None:
        """The id of an Email whose message is that blob, if there is one."""

    def has_blob(blob_id: str, user: str) -> bool:
        """Does an Email or record of this account refer to the blob, or an upload by this user?

        What nothing but an upload refers to is its uploader's alone, also in an
        account that several users share (RFC 8620 §6.1).  An upload says that the user
        has sent these octets; whether they are stored, the blob store knows.
        """

    def blob_ids(after: str, until: str, limit: int):
        """The ids of the stored blobs that an Email, a record or an upload refers to, page by page.

        A tuple of at most `limit`, each once and in ascending order, of those
        greater than `after` and not greater than `until`.
        """

    def upload_usage(user: str) -> int:
        """Octets of a user's uploads that no Email has referred to since."""

    def oldest_upload():
        """When the oldest upload was made, in seconds; None if there is none."""

    def storage_usage() -> int:
        """Octets of all Emails, each counted once."""


class IMailWriter(IMailReader):
    """A reader whose account can be changed.  Reads see the changes made so far."""

    def create_record(type_name: str, data, record_id: str | None = None, keys=()) -> str:
        """Store a JSON document as a new object; returns its id.

        `keys` are what `records_by_key` finds it by, for as long as it exists.
        """

    def update_record(type_name: str, record_id: str, data) -> None:
        """Replace the document of an object; `NotFound` if there is none."""

    def destroy_record(type_name: str, record_id: str) -> None:
        """Remove an object; `NotFound` if there is none.

        A Mailbox must hold no Email.
        """

    def refer_to_blob(type_name: str, record_id: str, blob_id: str) -> None:
        """Have a record refer to a stored blob too, for as long as it exists.

        `NotFound` if there is no such record.  To be called in a hold on the blob store.
        """

    def add_email(email, mailbox_ids, keywords):
        """File a `NewEmail`; returns `(email_id, thread_id)`.

        It joins the thread of an Email that shares one of its message ids and
        its thread subject (RFC 8621 §3), the oldest such thread if several do,
        else starts one.  `mailbox_ids` is not empty and names existing mailboxes.
        Counts, query indexes, thread and change log follow in the same commit;
        full-text is searchable from the next read on.  Uploads of its blob
        no longer count against a quota.
        """

    def filings(ids):
        """A dict of id to `Filing`, of those Emails that there are."""

    def update_emails(filings) -> None:
        """File Emails anew: `filings` is a mapping of id to `Filing`.

        An Email that is filed so already changes no state.  `NotFound` if an Email or a
        mailbox is not there, before anything is changed.
        """

    def destroy_emails(ids) -> None:
        """Remove Emails, and threads with their last one.

        `NotFound` if one is not there, before anything is changed.
        """

    def add_upload(blob_id: str, media_type: str, size: int, now: float, user: str) -> None:
        """Remember an upload by a user, again if it is there already."""

    def expire_uploads(before: float):
        """Forget uploads older than `before`; returns their ids."""

    def limit_uploads(user: str, quota: int):
        """Forget a user's oldest uploads until those that count have at most `quota` octets.

        Returns their ids.
        """

    def remember(kind: str, key: str, now: int, until: int, limit: int) -> bool:
        """Note that something was done: False if that was noted before and still holds.

        A note is forgotten at the time `until`, in milliseconds as `now` is, or
        when more than `limit` of its kind hold longer.  Notes change no state.
        """
