"""Push subscriptions: URLs that clients want to be told at (RFC 8620 §7.2)."""

from attrs import field, frozen

__all__ = ["NewPushSubscription", "PushKeys", "PushSubscription"]


@frozen
class PushKeys:
    """A subscriber's keys (RFC 8291 §3): an uncompressed point of P-256, and a shared secret."""

    p256dh: bytes
    auth: bytes = field(repr=False)


@frozen
class NewPushSubscription:
    """What a client asks for.

    `expires` is in milliseconds.  `types` is None for all.  `position` is the
    modseq, by account, from which on changes are told.
    """

    device: str  # deviceClientId
    url: str = field(repr=False)
    keys: PushKeys | None
    expires: int
    types: tuple[str, ...] | None
    position: dict[str, int]


@frozen
class PushSubscription:
    """One that is there.  Nothing of `url` and `keys` is ever shown to anybody."""

    id: str
    device: str
    url: str = field(repr=False)
    keys: PushKeys | None = field(repr=False)
    code: str = field(repr=False)  # what the client has to send back
    is_verified: bool
    expires: int
    types: tuple[str, ...] | None
