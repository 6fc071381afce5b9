"""Questions to the DNS.

Whether an answer is secure, which is proved by DNSSEC, is for the name server to say: it
sets the AD bit.  That is believed only where the administrator says so, as it is worth
as much as the server and the way to it.
"""

from ipaddress import ip_address
from typing import Any

from attrs import frozen
from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.names import client, dns, hosts, resolve
from twisted.names.error import DNSNameError, DomainError, ResolverError

from mailhive.errors import TemporaryFailure

__all__ = ["TLSA", "Answer", "ValidatedNames", "ask", "look_up", "name_resolver"]

#: RFC 6698 §7.1; `twisted.names.dns` has no name for it.
TLSA = 52

#: Seconds that a name server has for each of some tries.
_TIMEOUT = (1, 3, 8)
#: Aliases that are followed one after the other.
_MOST_ALIASES = 8
#: Whatever goes wrong on the way to an answer.
_NO_ANSWER = (
    DomainError,
    ResolverError,
    defer.TimeoutError,
    ConnectError,
    ConnectionClosed,
    OSError,
)

_PORT = 53
_SYSTEM = "/etc/resolv.conf"


@frozen
class Answer:
    """What the DNS says of a name and a kind of records.

    `records` has their payloads, or is None if there is no such name.  `name` is the one
    that has them, once aliases are followed.  `is_secure` holds for all of it.
    """

    records: list[Any] | None
    name: str
    is_secure: bool


def name_resolver(servers: tuple[str, ...], reactor: Any, *, validate: bool = False) -> Any:
    """An `IResolver` that asks these servers, or those of the system if there are none.

    It knows the file of hosts.  To remember answers is left to the name server.  With
    `validate` the word of the servers counts for what is secure.
    """
    kind = ValidatedNames if validate else client.Resolver
    asking = (
        kind(servers=[_address(server) for server in servers], reactor=reactor)
        if servers
        else kind(resolv=_SYSTEM, reactor=reactor)
    )
    return resolve.ResolverChain([hosts.Resolver(), asking])


async def look_up(resolver: Any, name: str, kind: int) -> list[Any] | None:
    """The payloads of the records of a kind, such as `dns.MX`; None if there is no such name.

    `name` is in A-labels.  Aliases are followed.  `TemporaryFailure` if there is no answer.
    """
    return (await ask(resolver, name, kind)).records


async def ask(resolver: Any, name: str, kind: int) -> Answer:
    """The same, with what else is known of it."""
    asked, is_secure = name, True
    for _ in range(_MOST_ALIASES):
        if not _is_name(asked):
            return Answer(None, asked, is_secure=False)
        try:
            asking: defer.Deferred[Any] = resolver.query(dns.Query(asked, kind), timeout=_TIMEOUT)
            sections = await asking
        except DNSNameError as error:
            return Answer(None, asked, is_secure and _is_vouched_for(*error.args[:1]))
        except _NO_ANSWER as error:
            raise TemporaryFailure(f"No answer from the DNS about {name}") from error
        is_secure = is_secure and isinstance(sections, _Vouched)
        found = [answer for answer in sections[0] if answer.type == kind]
        aliases = [answer.payload for answer in sections[0] if answer.type == dns.CNAME]
        if found:
            return Answer([each.payload for each in found], _text(found[0].name), is_secure)
        if not aliases or kind == dns.CNAME:
            return Answer([], asked, is_secure)
        asked = _text(aliases[-1].name)
    return Answer([], asked, is_secure=False)


def _is_name(name: str) -> bool:
    """Can there be such a name (RFC 1035 §2.3.4)?"""
    labels = name.removesuffix(".").split(".")
    return len(name) <= 254 and all(0 < len(label) <= 63 for label in labels)


class _Vouched(tuple[Any, ...]):
    """The sections of an answer that the name server has validated."""

    __slots__ = ()


class ValidatedNames(client.Resolver):
    """Asks servers which validate, and believes them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.factory = _Streams(self, self.timeout)
        self.factory.noisy = False

    def filterAnswers(self, message: dns.Message) -> Any:
        sections = super().filterAnswers(message)
        is_vouched_for = isinstance(sections, tuple) and _is_vouched_for(message)
        return _Vouched(sections) if is_vouched_for else sections

    def _connectedProtocol(self, interface: str = "") -> Any:
        protocol = super()._connectedProtocol(interface)
        write = protocol.writeMessage
        protocol.writeMessage = lambda message, to: write(_wanting_validation(message), to)
        return protocol


class _Stream(dns.DNSProtocol):
    def writeMessage(self, message: dns.Message) -> None:
        super().writeMessage(_wanting_validation(message))


class _Streams(client.DNSClientFactory):
    def buildProtocol(self, _: Any) -> _Stream:
        stream = _Stream(self.controller)
        stream.factory = self
        return stream


def _wanting_validation(message: dns.Message) -> dns.Message:
    """RFC 6840 §5.7: AD in a question asks for it in the answer."""
    message.authenticData = 1
    return message


def _is_vouched_for(message: Any = None) -> bool:
    return isinstance(message, dns.Message) and bool(message.authenticData)


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").rstrip(".").lower()


def _address(server: str) -> tuple[str, int]:
    """`192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`; else ValueError."""
    host, mark, port = server.rpartition(":")
    if mark and (host.startswith("[") or ":" not in host):
        return str(ip_address(host.strip("[]"))), int(port)
    return str(ip_address(server)), _PORT
