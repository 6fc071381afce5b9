"""What settings classes are written with: types and validators of keys."""

import re
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, NewType

from attrs import Attribute

from mailhive.config.units import Duration, format_duration, parse_duration
from mailhive.model.addresses import canonical_address
from mailhive.model.paths import is_mailbox

__all__ = [
    "FilePath",
    "HttpHeader",
    "Location",
    "WorkerCount",
    "absolute_url",
    "an_address",
    "at_least",
    "client_url",
    "doc",
    "each_once",
    "host_name",
    "is_in_the_clear",
    "lasts",
    "location",
    "machine_name",
    "name_servers",
    "origin",
    "web_url",
    "websocket_url",
]

#: A path that the configuration gives relative to its own file; absolute once read.
FilePath = NewType("FilePath", Path)
#: A number of processes.
WorkerCount = NewType("WorkerCount", int)
#: A URL, or such a path as text.
Location = NewType("Location", str)

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


class HttpHeader(NamedTuple):
    """A header field of every JMAP response, written `Name: Value` (RFC 9110 §5)."""

    name: str
    value: str


def doc(text: str, **more: Any) -> dict[str, Any]:
    """The metadata of a key."""
    return {"doc": text, **more}


def host_name(_: object, __: "Attribute[str]", name: str) -> None:
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(
            f'"{name}" is not a host name; allowed are labels of letters, digits and hyphens, '
            'joined by dots, as in "mail.example.org"'
        )


def at_least(minimum: int) -> Any:
    def check(_: object, __: "Attribute[int]", value: int) -> None:
        if value < minimum:
            raise ValueError(f"{value} is too small; at least {minimum} is allowed")

    return check


def an_address(_: object, __: "Attribute[str | None] | None", value: str | None) -> None:
    """The address of a mailbox, or nothing."""
    if value is not None and not (is_mailbox(value) and canonical_address(value)):
        raise ValueError(f'"{value}" is no address; allowed is one such as "user@example.org"')


def each_once(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    """A list that names at least one thing, and none twice."""
    if not values:
        raise ValueError("is empty; at least one is needed")
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f'names "{value}" twice; allowed is once')


def lasts(minimum: str) -> Any:
    """A duration of at least `minimum`, written as the configuration writes one."""

    def check(_: object, __: "Attribute[Duration]", value: Duration) -> None:
        if value < parse_duration(minimum):
            raise ValueError(
                f"{format_duration(value)} is too short; at least {minimum} is allowed"
            )

    return check


def client_url(_: object, __: "Attribute[str | None]", url: str | None) -> None:
    if url is None:
        return
    scheme, mark, rest = url.rpartition("://")
    if (mark and scheme not in ("http", "https")) or not re.fullmatch(
        r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[!$-.0-;=@-Z_a-z~]*)*", rest
    ):
        raise ValueError(
            f'"{url}" is not such a URL; allowed is "host:port", optionally with "http://" or '
            '"https://" before it and a path behind it'
        )


def absolute_url(instance: object, attribute: "Attribute[str | None]", url: str | None) -> None:
    if url is not None and "://" not in url:
        raise ValueError(f'"{url}" has no scheme; allowed is "http://…" or "https://…"')
    client_url(instance, attribute, url)


def origin(_: object, __: "Attribute[str]", value: str) -> None:
    """`*`, or an origin as browsers serialize it (RFC 6454 §6.2)."""
    usual = value.startswith("http://") and value.endswith(":80")
    usual = usual or (value.startswith("https://") and value.endswith(":443"))
    if value != "*" and (
        usual
        or not re.fullmatch(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", value)
    ):
        raise ValueError(
            f'"{value}" is not an origin; allowed is "*", or scheme, host and port as browsers '
            'write them: "https://webmail.example.org", in lower case, without a path, without '
            "the scheme's usual port"
        )


def web_url(_: object, __: "Attribute[Any]", url: str | None) -> None:
    """A URL that this server calls."""
    if url is not None and not re.fullmatch(
        r"https?://[A-Za-z0-9.\[\]:-]+(/[!-.0->@-~]*)*(\?[!-~]*)?", url, re.ASCII
    ):
        raise ValueError(f'"{url}" is not such a URL; allowed is "https://…" or "http://…"')


def is_in_the_clear(url: str) -> bool:
    """Can others read and replace what comes from there?"""
    return re.match(r"http://(?!(localhost|127\.0\.0\.1|\[::1\])(:|/|$))", url) is not None


def location(value: str, base: Path) -> Location:
    """What the configuration says where something is, relative to `base`."""
    if value.startswith("file://"):
        value = value.removeprefix("file://")
    elif "://" in value:
        web_url(None, None, value)  # type: ignore[arg-type]
        return Location(value)
    return Location(str(base / value))


def websocket_url(_: object, __: "Attribute[str | None]", url: str | None) -> None:
    if url is None:
        return
    scheme, _mark, rest = url.rpartition("://")
    if scheme not in ("ws", "wss"):
        raise ValueError(f'"{url}" is not such a URL; allowed is "ws://…" or "wss://…"')
    client_url(None, None, rest)  # type: ignore[arg-type]


def name_servers(_: object, __: "Attribute[tuple[str, ...]]", servers: tuple[str, ...]) -> None:
    for server in servers:
        host, mark, port = server.rpartition(":")
        if not (mark and (host.startswith("[") or ":" not in host)):
            host, port = server, "53"
        try:
            ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            port = ""
        if not (port.isdecimal() and port.isascii() and 0 < int(port) < 65_536):
            raise ValueError(
                f'"{server}" is no name server; allowed is an IP address, as in "192.0.2.1", '
                '"192.0.2.1:53", "2001:db8::1" or "[2001:db8::1]:53"'
            )


def machine_name() -> str:
    try:
        host_name(None, None, name := socket.gethostname())  # type: ignore[arg-type]
    except ValueError:
        return "localhost"
    return name
