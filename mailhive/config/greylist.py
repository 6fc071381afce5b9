"""The section `[greylist]`: strangers are asked to come back."""

from attrs import Attribute, field, frozen

from mailhive.config.fields import at_least, doc, lasts
from mailhive.config.problems import Found
from mailhive.config.units import Duration
from mailhive.model.addresses import canonical_domain, is_domain
from mailhive.model.networks import Networks

__all__ = ["GreylistSettings"]


def _domains(_: object, __: "Attribute[tuple[str, ...]]", names: tuple[str, ...]) -> None:
    for name in names:
        canonical = canonical_domain(name)
        if canonical is None or not is_domain(canonical):
            raise ValueError(f'"{name}" is no domain; allowed is one such as "example.org"')


@frozen
class GreylistSettings:
    """What a listener with `greylist = true` goes by (RFC 6647).

    A recipient is refused with 451 when mail comes for the first time from that network (an
    IPv4 /24 or IPv6 /64) with that sender to that recipient. Servers try again, and are then let
    in; many who send junk do not.
    """

    delay: Duration = field(
        default=Duration(300.0),
        validator=lasts("1s"),
        metadata=doc("Who comes back earlier is put off again."),
    )
    retry_within: Duration = field(
        default=Duration(86_400.0),
        validator=lasts("1m"),
        metadata=doc("Who comes back later is a stranger again."),
    )
    life: Duration = field(
        default=Duration(36 * 86_400.0),  # RFC 6647 §5: at least a week
        validator=lasts("1h"),
        metadata=doc("How long who was let in is known, since they came last."),
    )
    trust_after: int = field(
        default=5,
        validator=at_least(0),
        metadata=doc(
            "A network that was let in with so many senders and recipients is not put off any "
            "more, whatever the sender and recipient; 0 trusts none."
        ),
    )
    exempt: Networks = field(
        default=Networks(),
        metadata=doc("Clients that are never put off, beside those in `trusted-networks`."),
    )
    exempt_names: tuple[str, ...] = field(
        default=(),
        validator=_domains,
        metadata=doc(
            "Domains whose servers are never put off, by the name that the DNS confirms for a "
            "client; looked up where a listener has `judge` or `client-name`. Who is on a list "
            "that welcomes is not put off either."
        ),
    )

    def problems(self) -> Found:
        if self.retry_within <= self.delay:
            yield ("retry-within",), "leaves no time; allowed is more than `delay`"
