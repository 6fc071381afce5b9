"""Authentication strategy: credentials of an HTTP request to a principal."""

from zope.interface import Attribute, Interface

__all__ = ["IAuthenticationStrategy"]


class IAuthenticationStrategy(Interface):
    """One way to prove who is asking.  Strategies are tried in configured order."""

    challenge = Attribute(
        "The value of a WWW-Authenticate header that invites this strategy "
        "(str), or None for one that clients cannot be invited to use."
    )

    def authenticate(headers, peer: str):
        """Fire with a `Principal`, or None when these headers do not speak to this strategy.

        `headers` has `get(name) -> str | None` by case-insensitive name.
        `peer` is the client's address.  Fires with `AuthenticationFailed` when
        credentials of this strategy are there and wrong: no later strategy is
        then asked.  `TemporaryFailure` when it cannot be decided now.
        """
