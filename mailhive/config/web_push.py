"""The `[jmap.web-push]` section."""

import re

from attrs import Attribute, field, frozen

from mailhive.config.fields import at_least, doc, lasts
from mailhive.config.units import Duration
from mailhive.model.networks import Networks

__all__ = ["JmapWebPush"]


def _contact(_: object, __: "Attribute[str | None]", value: str | None) -> None:
    if value is not None and not re.fullmatch(r"mailto:[!-~]+@[!-~]+|https://[!-~]+", value):
        raise ValueError(
            f'"{value}" is not such a URI; allowed is "mailto:…" with an address, or "https://…"'
        )


@frozen
class JmapWebPush:
    """Changes told to URLs of clients (PushSubscription)."""

    prevent_ssrf: bool = field(
        default=True,
        metadata=doc(
            "Whether URLs have to lead to public hosts: those of this server, of private networks "
            "and the like are refused, whatever name they have and whenever it resolves to them."
        ),
    )
    allow: Networks = field(
        default=Networks(),
        metadata=doc(
            "Networks that URLs may lead to all the same, as `10.1.2.0/24`, for a push service "
            "of your own."
        ),
    )
    timeout: Duration = field(
        default=Duration(30.0),
        validator=lasts("1s"),
        metadata=doc("How long a push service may take to answer."),
    )
    max_connections: int = field(
        default=100,
        validator=at_least(1),
        metadata=doc("Pushes that are sent at the same time."),
    )
    throttle: Duration = field(
        default=Duration(1.0),
        metadata=doc(
            "The least time from one push to the next of one subscription; what changes meanwhile "
            "is told as one. It grows for those whose push service answers 429."
        ),
    )
    retry: Duration = field(
        default=Duration(10.0),
        validator=lasts("1s"),
        metadata=doc(
            "The pause after a push that failed; it doubles with each, up to an hour. After about "
            "three days of failures a subscription is destroyed."
        ),
    )
    max_life: Duration = field(
        default=Duration(30 * 86_400.0),
        validator=lasts("48h"),  # RFC 8620 §7.2
        metadata=doc("The time after which a client has to renew a subscription."),
    )
    max_per_user: int = field(
        default=20,
        validator=at_least(1),
        metadata=doc("Subscriptions that one user may have."),
    )
    contact: str | None = field(
        default=None,
        validator=_contact,
        metadata=doc(
            "By what those who run a push service find you: a `mailto:` or `https:` URI.",
            default="`mailto:postmaster@` and `server.hostname`",
        ),
    )
