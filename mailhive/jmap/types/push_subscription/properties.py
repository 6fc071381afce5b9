"""The properties of a PushSubscription (RFC 8620 §7.2)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from mailhive.jmap.checks import is_string, is_utc_date, list_of, nullable
from mailhive.jmap.registry import Property
from mailhive.model.utcdate import format_utc_date
from mailhive.model.webpush import PushKeys, PushSubscription

__all__ = ["PROPERTIES", "SHOWN", "parse_keys", "view"]

_LONGEST = 255  # characters of deviceClientId and of the name of a type
_LONGEST_URL = 2_048
_MOST_TYPES = 256
_AUTH_OCTETS = 16  # RFC 8291 §3.2


def _is_name(value: Any) -> bool:
    return is_string(value) and 0 < len(value) <= _LONGEST


def _is_url(value: Any) -> bool:
    # RFC 8620 §7.2: there are no others.
    return is_string(value) and value.startswith("https://") and len(value) <= _LONGEST_URL


def _are_types(value: Any) -> bool:
    return list_of(_is_name)(value) and len(value) <= _MOST_TYPES


def _are_keys(value: Any) -> bool:
    try:
        parse_keys(value)
    except (ValueError, TypeError, KeyError):
        return False
    return True


PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "deviceClientId": Property(_is_name, immutable=True),
    "url": Property(_is_url, immutable=True),
    "keys": Property(nullable(_are_keys), None, immutable=True),
    "verificationCode": Property(nullable(is_string), None),
    "expires": Property(nullable(is_utc_date), None),
    "types": Property(nullable(_are_types), None),
}

#: RFC 8620 §7.2.1: what is private to a device is returned to nobody.
SHOWN = tuple(name for name in PROPERTIES if name not in ("url", "keys"))


def parse_keys(value: Any) -> PushKeys:
    """A subscriber's keys (RFC 8291 §3); ValueError, TypeError or KeyError if they are none."""
    p256dh, auth = _decode(value["p256dh"]), _decode(value["auth"])
    if len(auth) != _AUTH_OCTETS or p256dh[:1] != b"\x04" or value.keys() != {"p256dh", "auth"}:
        raise ValueError("not such keys")
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)  # is on the curve
    return PushKeys(p256dh, auth)


def view(subscription: PushSubscription) -> dict[str, Any]:
    """Every property of a subscription, the private ones too."""
    keys, types = subscription.keys, subscription.types
    return {
        "id": subscription.id,
        "deviceClientId": subscription.device,
        "url": subscription.url,
        "keys": keys and {"p256dh": _encode(keys.p256dh), "auth": _encode(keys.auth)},
        # To see it one has to have got it.
        "verificationCode": subscription.code if subscription.is_verified else None,
        "expires": format_utc_date(subscription.expires),
        "types": None if types is None else list(types),
    }


def _decode(text: Any) -> bytes:
    """RFC 4648 §5, with or without the padding."""
    if not isinstance(text, str):
        raise TypeError("not a string")
    text = text.rstrip("=")
    try:
        octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Error as error:
        raise ValueError("not base64") from error
    if _encode(octets) != text:
        raise ValueError("not base64 in its one form")
    return octets


def _encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
