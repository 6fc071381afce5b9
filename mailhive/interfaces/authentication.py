"""Authentication: credentials of a request, or a token, to a principal."""

from zope.interface import Attribute, Interface

__all__ = ["IAuthenticationStrategy", "IBearerTokens"]


class IAuthenticationStrategy(Interface):
    """One way to prove who is asking.  Strategies are tried in configured order."""

    challenge = Attribute(
        "The value of a WWW-Authenticate header that invites this strategy "
        "(str), or None for one that clients cannot be invited to use."
    )

    def authenticate(headers, peer: str):
        """Fire with a `Principal`, or None when these headers do not speak to this strategy.

        May be a coroutine.  `headers` has `get(name) -> str | None` by
        case-insensitive name, and `connected_from`, the address of whoever opened
        the connection, a proxy perhaps; `peer` is the client's address.  The same
        headers are shown again while a connection lasts that they opened, to ask if
        they still hold.

        Fails with `AuthenticationFailed` when credentials of this strategy are there
        and wrong, `NoAccount` when they are right and of nobody here,
        `TooManyAttempts`, or `TemporaryFailure` when it cannot be decided now.
        Later strategies are asked then too.
        """


class IBearerTokens(Interface):
    """A strategy that takes tokens, whatever protocol they come by (RFC 6750, RFC 7628)."""

    def bearer(token: str, peer: str, service: str):
        """Fire with the `Principal` whose token it is.

        `service` is what it is to be used for: `jmap`, `smtp` or `imap`.  Fails as
        `IAuthenticationStrategy.authenticate` does.
        """
