"""The parameters of an Envelope: those of the submission extensions that we show.

As an Envelope has them they are without xtext (RFC 8621 §7), as the outbox takes them
they are what SMTP carries.
"""

import re
from collections.abc import Callable, Mapping

from attrs import frozen

from mailhive.model.utcdate import parse_date
from mailhive.model.xtext import to_utf8_xtext, to_xtext

__all__ = ["Hold", "ParameterError", "mail_parameters", "recipient_parameters"]

Parameters = Mapping[str, str | None]

_PRINTABLE = re.compile(r"[ -~]+")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]{1,40}")
_SECONDS = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_REPORTED = frozenset({"SUCCESS", "FAILURE", "DELAY"})


class ParameterError(Exception):
    """A parameter that is unknown or has a wrong value; its text is for a person."""


@frozen
class Hold:
    """`now` and how long a message may be held from then on, both in milliseconds."""

    now: int
    most: int

    def send_at(self, parameters: dict[str, str | None]) -> int | None:
        """Take HOLDFOR or HOLDUNTIL out of parameters: when is the message to go?

        To the second and never too early; None if neither is there.
        """
        seconds, date = parameters.pop("HOLDFOR", None), parameters.pop("HOLDUNTIL", None)
        if seconds is None and date is None:
            return None
        if seconds is not None and date is not None:
            raise ParameterError("HOLDFOR and HOLDUNTIL exclude each other")
        if seconds is not None:
            send_at = self.now + int(seconds) * 1000
        else:
            try:
                send_at = max(parse_date(date), self.now)
            except ValueError:
                raise ParameterError("HOLDUNTIL takes a date as 2026-01-31T08:00:00Z") from None
        if send_at > self.now + self.most:
            raise ParameterError(f"A message is held for {self.most // 1000} seconds at most")
        return -(-send_at // 1000) * 1000


def mail_parameters(given: Parameters, hold: Hold) -> tuple[dict[str, str | None], int | None]:
    """Those of MAIL for the outbox, and the time before which the message is not to go."""
    known = {**_MAIL, **(_HOLD if hold.most else {})}
    parameters = _read(given, known)
    send_at = hold.send_at(parameters)
    return parameters, send_at


def recipient_parameters(given: Parameters) -> dict[str, str | None]:
    """Those of RCPT for the outbox."""
    return _read(given, _RCPT)


def _read(
    given: Parameters, known: Mapping[str, Callable[[str], str | None] | None]
) -> dict[str, str | None]:
    read: dict[str, str | None] = {}
    for name, value in given.items():
        keyword = name.upper()  # RFC 5321 §2.4
        if keyword not in known:
            raise ParameterError(f"{name} belongs to no submission extension of this server")
        if keyword in read:
            raise ParameterError(f"{keyword} is given twice")
        form = known[keyword]
        sent = None if value is None or form is None else form(value)
        if (form is not None and sent is None) or (form is None and value is not None):
            raise ParameterError(f"This is no value of {keyword}")
        read[keyword] = sent
    return read


def _ret(value: str) -> str | None:
    """RFC 3461 §4.3."""
    return value.upper() if value.upper() in ("FULL", "HDRS") else None


def _envid(value: str) -> str | None:
    """RFC 3461 §4.4."""
    sent = to_xtext(value)
    return sent if _PRINTABLE.fullmatch(value) and len(sent) <= 100 else None


def _notify(value: str) -> str | None:
    """RFC 3461 §4.1."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return "NEVER"
    return ",".join(words) if _REPORTED.issuperset(words) and len(words) <= 3 else None


def _orcpt(value: str) -> str | None:
    """RFC 3461 §4.2, RFC 6533 §3."""
    kind, _, address = value.partition(";")
    is_utf8 = kind.lower() == "utf-8"
    if not _ADDRESS_TYPE.fullmatch(kind) or not address.isprintable():
        return None
    if not is_utf8 and not _PRINTABLE.fullmatch(address):
        return None
    sent = f"{kind};{to_utf8_xtext(address) if is_utf8 else to_xtext(address)}"
    return sent if address and len(sent) <= 500 else None


def _seconds(value: str) -> str | None:
    """RFC 4865 §5."""
    return value if _SECONDS.fullmatch(value) else None


_MAIL = {"RET": _ret, "ENVID": _envid, "REQUIRETLS": None}  # RFC 8689 §2: it has no value
_HOLD: dict[str, Callable[[str], str | None]] = {"HOLDFOR": _seconds, "HOLDUNTIL": str}
_RCPT = {"NOTIFY": _notify, "ORCPT": _orcpt}
