"""JSON values to header fields: the inverse of `mime.headers` (RFC 8621 §4.1.2, §4.6).

A field is folded before 78 columns where it can be and never has a line of more
than 998 octets (RFC 5322 §2.1.1).  No value can end its field: line ends and
other control characters are dropped or become spaces, except in the Raw form,
where what is not a proper fold is a ValueError.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from mailhive.mime.encodedword import encode_words
from mailhive.model.utcdate import parse_date

__all__ = ["FieldError", "compose", "fold_words", "format_date_time", "parameters"]

_WIDTH = 78
_MAX_LINE = 998
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"[\r\n\v\f\x85\u2028\u2029]+[ \t]*")
_FOLD = re.compile(r"\r?\n(?=[ \t]+[^ \t\r\n])")
_WORDS = re.compile(r"[ \t]*[^ \t]+|[ \t]+")
_ATOM = re.compile(r"[!#$%&'*+\-/=?^_`{|}~0-9A-Za-z]+")
_PLAIN_ADDRESS = re.compile(r"[^\s\"()<>\[\]:;,\\@]+@[^\s\"()<>:;,\\@]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+\-.^_`{|}~]+")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_IN_URL = "!#$%&'()*+,-./:;=?@[]_~"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class FieldError(ValueError):
    """A value that cannot be written as a header field."""


def compose(name: str, form: str, value: Any) -> bytes:
    """One header field, its line end included.

    `form` is a form of RFC 8621 §4.1.2 and `value` a value of its type.
    """
    if form == "Raw":
        return _raw(name, value)
    return fold_words(name, _FORMS[form](value))


def fold_words(name: str, words: Iterable[str]) -> bytes:
    """A field of words, each with the white space before it, on as many lines as it takes."""
    lines: list[str] = []
    line = f"{name}:"
    for word in words:
        width = len(line) + len(word.encode("utf-8"))
        # The first word stays beside the name if it fits in a line at all.
        room = _WIDTH if lines or not line.endswith(":") else _MAX_LINE
        if width > room and line.strip(" \t") and word[:1] in (" ", "\t") and word.strip(" \t"):
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    field = "\r\n".join(lines).encode("utf-8")
    if max(map(len, field.split(b"\r\n"))) > _MAX_LINE:
        raise FieldError(f"{name} has a word too long for a line of a message")
    return field + b"\r\n"


def _raw(name: str, value: str) -> bytes:
    unfolded = _FOLD.sub("", value)
    if _CONTROL.search(unfolded) or "\n" in unfolded or "\r" in unfolded:
        raise FieldError(f"{name} has a line end that is not followed by more of the field")
    # A space after the colon is customary, and there is software that looks for it.
    space = "" if value[:1] in ("", " ", "\t", "\r", "\n") else " "
    try:
        field = f"{name}:{space}{_FOLD.sub(chr(13) + chr(10), value)}".encode()
    except UnicodeEncodeError:
        raise FieldError(f"{name} is not text") from None
    if max(map(len, field.split(b"\r\n"))) > _MAX_LINE:
        return fold_words(name, _WORDS.findall(unfolded))
    return field + b"\r\n"


def _clean(text: str) -> str:
    """One line of text in NFC without control characters."""
    text = _CONTROL.sub("", _LINE_END.sub(" ", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates


def _text(value: str) -> list[str]:
    text = _clean(value)
    words = _WORDS.findall(text)
    if (
        text.isascii()
        and "=?" not in text
        and text == text.strip(" \t")
        and all(len(word) < _MAX_LINE // 2 for word in words)
    ):
        return [" " + words[0], *words[1:]] if words else [" "]
    return [" " + word for word in encode_words(text)]


def _phrase(name: str) -> list[str]:
    """A display-name as words."""
    if "=?" not in name and len(name) < _MAX_LINE // 4:
        if _ATOM.fullmatch(name):
            return [" " + name]
        if name.isascii() and name == name.strip():
            return [f' "{_escape(name)}"']
    return [" " + word for word in encode_words(name)]


def _mailbox(address: dict[str, str | None]) -> list[str]:
    email = _clean(address["email"] or "").strip()
    name = _clean(address.get("name") or "").strip()
    if not name and _PLAIN_ADDRESS.fullmatch(email):
        return [" " + email]
    # What would end the angle brackets has no place in an addr-spec.
    angle = " <" + email.replace("<", "").replace(">", "") + ">"
    return [*_phrase(name), angle] if name else [angle]


def _listed(items: Sequence[list[str]]) -> list[str]:
    """Items parted by commas."""
    for item in items[:-1]:
        item[-1] += ","
    return [word for item in items for word in item]


def _addresses(value: Sequence[dict[str, str | None]]) -> list[str]:
    return _listed([_mailbox(address) for address in value])


def _grouped(value: Sequence[dict[str, Any]]) -> list[str]:
    items: list[list[str]] = []
    for group in value:
        members = group["addresses"]
        name = group.get("name")
        if name is None:
            items += [_mailbox(address) for address in members]
            continue
        words = _phrase(_clean(name).strip()) or [' ""']
        words[-1] += ":"
        words += _addresses(members)
        words[-1] += ";"
        items.append(words)
    return _listed(items)


def _ids(value: Sequence[str]) -> list[str]:
    return [" <" + re.sub(r"[<>\s]", "", _clean(one)) + ">" for one in value]


def _urls(value: Sequence[str]) -> list[str]:
    return _listed([[" <" + quote(_clean(url), safe=_IN_URL) + ">"] for url in value])


def _date(value: str) -> list[str]:
    offset = _OFFSET.search(value[19:])
    minutes = 0
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        minutes = -minutes if offset[1] == "-" else minutes
    return [" " + format_date_time(parse_date(value), minutes)]


_FORMS: dict[str, Callable[[Any], list[str]]] = {
    "Text": _text,
    "Addresses": _addresses,
    "GroupedAddresses": _grouped,
    "MessageIds": _ids,
    "Date": _date,
    "URLs": _urls,
}


def format_date_time(millis: int, offset_minutes: int = 0) -> str:
    """A date-time (RFC 5322 §3.3) as told `offset_minutes` east of UTC."""
    zone = timezone(timedelta(minutes=offset_minutes))
    when = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)).astimezone(zone)
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04} "
        f"{when:%H:%M:%S} {sign}{hours:02}{minutes:02}"
    )


def parameters(words: list[str], given: Mapping[str, str | None]) -> list[str]:
    """`words` followed by those parameters that are not None (RFC 2045 §5.1, RFC 2231)."""
    for name, value in given.items():
        for one in _parameter(name, _clean(value)) if value is not None else ():
            words[-1] += ";"
            words.append(" " + one)
    return words


def _parameter(name: str, value: str) -> list[str]:
    """A parameter as a token, a quoted string, or in the extended form of RFC 2231."""
    if len(value) <= _WIDTH // 2 and "=?" not in value:
        if _TOKEN.fullmatch(value):
            return [f"{name}={value}"]
        if value.isascii():
            return [f'{name}="{_escape(value)}"']
    encoded = quote(value, safe="!#$&+-.^_`{|}~")
    if len(encoded) <= _WIDTH // 2:
        return [f"{name}*=utf-8''{encoded}"]
    # RFC 2231 §3: sections, none of which parts an escape.
    sections = re.findall(r"(?:%..|[^%]){1,20}", encoded)
    sections[0] = "utf-8''" + sections[0]
    return [f"{name}*{number}*={section}" for number, section in enumerate(sections)]


def _escape(text: str) -> str:
    """The inside of a quoted string (RFC 5322 §3.2.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
