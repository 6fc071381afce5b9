"""What is sent to a subscriber's URL: a body and its headers (RFC 8620 §7.2, RFC 8030 §5).

Without I/O.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import http_ece
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.json import Encoder

from mailhive.model.webpush import PushKeys, PushSubscription

__all__ = ["MAX_SIZE", "PushMessage", "encrypted", "state_change", "verification"]

_encode = Encoder(order="deterministic").encode

#: Octets of a text that fits into the 4096 every push service takes (RFC 8030 §7.2),
#: with what encryption adds (RFC 8291 §4).
MAX_SIZE = 3993

_States = Mapping[str, Mapping[str, str]]  # by account and type


@frozen
class PushMessage:
    """A POST.  `told` are the accounts whose states are in it."""

    headers: Mapping[str, str]
    body: bytes
    told: frozenset[str] = frozenset()


def verification(subscription: PushSubscription, now: int) -> PushMessage:
    """The PushVerification of a new subscription (RFC 8620 §7.2.2)."""
    value = {
        "@type": "PushVerification",
        "pushSubscriptionId": subscription.id,
        "verificationCode": subscription.code,
    }
    return _message(subscription, _encode(value), "normal", ["PushVerification"], now)


def state_change(subscription: PushSubscription, changed: _States, now: int) -> PushMessage:
    """A StateChange of as many accounts as fit, at least one (RFC 8620 §7.1)."""
    part: dict[str, Mapping[str, str]] = {}
    text = b""
    for account_id, states in changed.items():
        longer = _encode({"@type": "StateChange", "changed": {**part, account_id: states}})
        if part and len(longer) > MAX_SIZE:
            break
        part[account_id] = states
        text = longer
    # RFC 8030 §5.3: new mail is worth waking a device for, a flag is not.
    urgency = "normal" if any("EmailDelivery" in states for states in part.values()) else "low"
    subjects = [f"{account_id} {name}" for account_id in part for name in part[account_id]]
    message = _message(subscription, text, urgency, subjects, now)
    return PushMessage(message.headers, message.body, frozenset(part))


def encrypted(text: bytes, keys: PushKeys, **known: Any) -> bytes:
    """`text` for the owner of `keys` (RFC 8291), as the content coding aes128gcm (RFC 8188).

    `known` has `salt` and `private_key` where they must not be random, in tests.
    """
    known.setdefault("private_key", ec.generate_private_key(ec.SECP256R1()))
    coded: bytes = http_ece.encrypt(
        text, dh=keys.p256dh, auth_secret=keys.auth, version="aes128gcm", **known
    )
    return coded


def _message(
    subscription: PushSubscription, text: bytes, urgency: str, subjects: Iterable[str], now: int
) -> PushMessage:
    headers = {
        "Content-Type": "application/json",
        # RFC 8030 §5.2: as long as there is anybody to take it.
        "TTL": str(max(0, subscription.expires - now) // 1000),
        "Urgency": urgency,
        "Topic": _topic(subscription, subjects),
    }
    if subscription.keys is None:
        return PushMessage(headers, text)
    headers["Content-Encoding"] = "aes128gcm"
    return PushMessage(headers, encrypted(text, subscription.keys))


def _topic(subscription: PushSubscription, subjects: Iterable[str]) -> str:
    """The same for messages about the same types of the same accounts, and telling nothing else.

    A push service drops a message that waits when a newer one has the same topic
    (RFC 8030 §5.4): that one says all that the other did.
    """
    text = "\n".join(sorted(subjects)).encode()
    keyed = blake2b(text, key=subscription.code.encode(), digest_size=24)
    return urlsafe_b64encode(keyed.digest()).decode()
