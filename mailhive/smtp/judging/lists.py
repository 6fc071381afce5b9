"""The lists of hosts that a listener asks, and what they say of a client."""

from typing import Literal

from attrs import Attribute, field, frozen

from mailhive.authn.dns import IpAddress, Resolver
from mailhive.authn.dns_lists import AnswerPattern, DnsList, Listing, look_up
from mailhive.authn.results import Result
from mailhive.config.fields import doc, host_name

__all__ = ["DnsListSettings", "Listed", "listed"]


def _patterns(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    for value in values:
        try:
            AnswerPattern.parse(value)
        except ValueError as error:
            allowed = 'addresses as in "127.0.0.2", "127.0.0.4-7" or "127.0.*.2-3"'
            raise ValueError(f"{error}; allowed are {allowed}") from None
    if not values:
        raise ValueError("is empty; at least one is needed")


@frozen
class DnsListSettings:
    """`[[server.listener.NAME.dns-lists]]`: a list of hosts in the DNS (RFC 5782)."""

    zone: str = field(
        validator=host_name,
        metadata=doc("The domain of the list, which is asked with the address of the client."),
    )
    name: str | None = field(
        default=None,
        metadata=doc(
            "What the list is called where others read it, for a domain that has a key in it.",
            default="the domain",
        ),
    )
    answers: tuple[str, ...] = field(
        default=("127.0.0.2-254",),
        validator=_patterns,
        metadata=doc(
            "Answers that count. Each of the four octets is a number, a range or `*`. Answers "
            "in `127.255.255.*`, by which lists tell that they do not answer, never do."
        ),
    )
    action: Literal["refuse", "junk", "mark", "welcome"] = field(
        default="refuse",
        metadata=doc(
            "What becomes of mail of clients on the list. It is refused with 550, together with "
            "the reason that the list gives; or filed into the mailbox for junk; or it is just "
            "told in its `Authentication-Results` field. A list of those who are `welcome` "
            "takes precedence over others, and over `client-name` and `refuse-hello`."
        ),
    )


@frozen
class Listed:
    """A list that a client is on, by its public name."""

    settings: DnsListSettings
    listing: Listing

    @property
    def name(self) -> str:
        return self.settings.name or self.settings.zone

    @property
    def reason(self) -> str:
        """What the list says why, without what is not for others."""
        return self.listing.reason.replace(self.settings.zone, self.name)

    def result(self) -> Result:
        """The same in the terms of Authentication-Results."""
        properties = {"dns.zone": self.name, "policy.ip": str(self.listing.answer)}
        if self.reason:
            properties["policy.txt"] = self.reason
        if self.settings.action == "welcome":
            return Result("dnswl", "pass", properties)  # RFC 8904 §2
        # RFC 8601 §2.7.7: no name is registered for it
        return Result("x-dnsbl", "fail", properties)


async def listed(
    resolver: Resolver, settings: DnsListSettings, address: IpAddress
) -> Listed | None:
    """Is the client on that list?  `DnsFailure` if that cannot be known."""
    where = DnsList(settings.zone, tuple(map(AnswerPattern.parse, settings.answers)))
    listing = await look_up(resolver, where, address)
    return None if listing is None else Listed(settings, listing)
