"""Every limit that the server advertises, in one table (RFC 8620 §2, RFC 8621 §1.3.1)."""

from attrs import frozen

__all__ = ["Limits"]


@frozen
class Limits:
    """What a client may ask for.  Sizes are octets; None is no limit.

    The session object is written from this table and the code that enforces a
    limit reads it from here, so that no limit is advertised and not enforced.
    """

    request_size: int = 10_000_000  # maxSizeRequest
    calls: int = 16  # maxCallsInRequest
    concurrent_requests: int = 4  # maxConcurrentRequests, per principal
    concurrent_uploads: int = 4  # maxConcurrentUpload, per principal
    get: int = 500  # maxObjectsInGet
    set: int = 500  # maxObjectsInSet
    upload_size: int = 30_000_000  # maxSizeUpload
    upload_quota: int = 200_000_000  # unreferenced uploads of a user; the oldest go first
    email_get_full: int = 500  # ids of an Email/get that reads bodies
    email_size: int | None = None  # largest message created, imported or taken in
    email_attachments_size: int = 20_000_000  # maxSizeAttachmentsPerEmail
    recipients: int = 1_000  # of one message
    delayed_send: int = 0  # maxDelayedSend, seconds; 0: a message goes at once
    mailbox_name_size: int = 200  # maxSizeMailboxName, octets of UTF-8
    mailbox_depth: int = 20  # maxMailboxDepth
    mailboxes_per_email: int | None = None  # maxMailboxesPerEmail
