"""Access tokens of an OpenID Connect provider, which is asked about each and remembered.

Nobody is let in on what is not known: while the provider cannot answer, tokens that
are not remembered get a `TemporaryFailure`.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from attrs import field, frozen

from mailhive.auth.bearer import BearerStrategy
from mailhive.auth.claims import Expectations, InvalidToken
from mailhive.auth.provider import Endpoints, OidcProvider
from mailhive.auth.shared import Shared
from mailhive.config.fields import at_least, doc, is_in_the_clear, web_url
from mailhive.config.problems import Found
from mailhive.config.units import Duration
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal
from mailhive.registry import Provider

__all__ = ["PROVIDER", "OidcSettings", "OidcStrategy", "build"]

#: Seconds for which it is remembered that a token is not good.
WRONG = 30.0
_UNVERIFIED = (False, "false")


@frozen
class OidcSettings:
    """`oidc`: access tokens of an OpenID Connect provider, which is asked about them."""

    issuer: str = field(
        validator=web_url,
        metadata=doc(
            "The URL of the provider, as it names itself. Its endpoints are found below it "
            "at `/.well-known/openid-configuration`."
        ),
    )
    introspection: str | None = field(
        default=None,
        validator=web_url,
        metadata=doc("Its introspection endpoint (RFC 7662).", default="discovered"),
    )
    userinfo: str | None = field(
        default=None,
        validator=web_url,
        metadata=doc("Its userinfo endpoint.", default="discovered"),
    )
    client_id: str | None = field(
        default=None,
        metadata=doc(
            "Who this server is to the introspection endpoint. Without it, the userinfo endpoint "
            "says alone whether a token is good."
        ),
    )
    client_secret: str | None = field(
        default=None,
        repr=False,
        metadata={"doc": "The secret that goes with it.", "secret": True},
    )
    claim: str = field(
        default="email",
        metadata=doc(
            "What of the token, or of the userinfo, is the name or an address of the user. An "
            "`email` that the provider calls unverified is refused."
        ),
    )
    audience: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "What `aud` of a token has to name one of; needs `client-id`. Without it, tokens "
            "that the provider made for other programs are good here."
        ),
    )
    cache_time: Duration = field(
        default=Duration(300.0),
        metadata=doc(
            "How long what the provider said of a token is believed, but never longer than the "
            "token lives."
        ),
    )
    cache_size: int = field(
        default=10_000,
        validator=at_least(1),
        metadata=doc("Tokens that are remembered; those used longest ago go first."),
    )

    def problems(self) -> Found:
        if self.client_id is None:
            for key in ("introspection", "client_secret", "audience"):
                if getattr(self, key):
                    yield (key.replace("_", "-"),), "does nothing; allowed beside client-id"

    def warnings(self) -> Found:
        if not self.audience:
            message = "has no audience: tokens made for other programs are good here too"
            yield ("issuer",), message
        if is_in_the_clear(self.issuer):
            yield ("issuer",), "comes by http, where others can read tokens; better is https"


class OidcStrategy(BearerStrategy):
    """`users` is an `auth.users.Users`, `throttle` slows down who tries tokens."""

    def __init__(
        self,
        settings: OidcSettings,
        provider: OidcProvider,
        users: Any,
        throttle: Any,
        clock: Any,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._users = users
        self._throttle = throttle
        self._clock = clock
        self._expectations = Expectations(
            audience=frozenset(settings.audience),
            leeway=0.0,
            requires_expiry=False,
        )
        self._key = os.urandom(32)
        self._asking = Shared()
        # Keyed hashes of tokens: who it is, or why nobody; and until when that is believed.
        self._said: OrderedDict[bytes, tuple[str | InvalidToken, float]] = OrderedDict()

    async def principal_of(self, token: str, peer: str, _: str) -> Principal:
        key = blake2b(token.encode(), key=self._key, digest_size=32).digest()
        said, until = self._said.get(key, (None, 0.0))
        if said is None or until <= self._clock():
            said = await self._asking.run(key, lambda: self._ask(key, token, peer))
        else:
            self._said.move_to_end(key)
        if isinstance(said, InvalidToken):
            raise said
        principal: Principal = await self._users.named(said)
        return principal

    async def _ask(self, key: bytes, token: str, peer: str) -> str | InvalidToken:
        """Who the provider says it is, or why nobody."""
        attempt = self._throttle.begin(None, token, peer)
        try:
            claims = await self._claims(token)
            until = self._clock() + self._settings.cache_time
            said: str | InvalidToken = self._name(claims)
            if isinstance(expires := claims.get("exp"), int | float):
                until = min(until, expires)
        except InvalidToken as error:
            attempt.failed()
            said = error
            until = self._clock() + min(WRONG, self._settings.cache_time)
        except BaseException:
            attempt.undecided()
            raise
        else:
            attempt.succeeded()
        self._said[key] = said, until
        self._said.move_to_end(key)
        if len(self._said) > self._settings.cache_size:
            self._said.popitem(last=False)
        return said

    async def _claims(self, token: str) -> dict[str, Any]:
        """All that is known of a token that is good; `InvalidToken` if it is not."""
        endpoints = await self._provider.endpoints()
        claims: dict[str, Any] = {}
        if self._settings.client_id is not None:
            claims = await self._introspected(endpoints, token)
        if self._settings.claim in claims:
            return claims
        if endpoints.userinfo is None:
            raise TemporaryFailure("the identity provider has no userinfo endpoint")
        told = await self._provider.userinfo(endpoints.userinfo, token)
        if told is None:
            raise InvalidToken("The token is not active")
        # OpenID Connect Core §5.3.2: it could be another user's otherwise.
        if claims and told.get("sub") != claims.get("sub"):
            raise InvalidToken("The token and the user do not belong together")
        return {**told, **claims}

    async def _introspected(self, endpoints: Endpoints, token: str) -> dict[str, Any]:
        if endpoints.introspection is None:
            raise TemporaryFailure("the identity provider has no introspection endpoint")
        claims = await self._provider.introspect(
            endpoints.introspection, token, in_body=endpoints.secret_in_body
        )
        if claims is None:
            raise InvalidToken("The token is not active")
        if claims.get("iss", self._settings.issuer) != self._settings.issuer:
            raise InvalidToken("The token is of another issuer")
        _check_kind(claims)
        # RFC 7662 §4: whether it holds already is for the provider to say, by its own clock.
        checked = {**claims, "iat": None, "nbf": None}
        if not self._settings.audience:
            checked["aud"] = None
        self._expectations.check(checked, self._clock())
        return claims

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise InvalidToken("The token does not say who you are")
        if claim == "email" and claims.get("email_verified") in _UNVERIFIED:
            raise InvalidToken("The address of the user is not verified")
        return name


def _check_kind(claims: Mapping[str, Any]) -> None:
    """An access token for whoever bears it, and no other kind that is active too."""
    kind = claims.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() not in ("bearer", "access_token"):
        raise InvalidToken("The token is no access token")
    if claims.get("typ") in ("Refresh", "Offline", "ID"):  # as Keycloak says it
        raise InvalidToken("The token is no access token")
    if "cnf" in claims:  # RFC 7800: only who has a key may use it
        raise InvalidToken("The token is bound to a key")


def build(settings: OidcSettings, context: Any) -> OidcStrategy:
    """The strategy of these settings."""
    clock = context.reactor.seconds
    provider = OidcProvider(
        settings.issuer,
        context.fetcher,
        clock,
        Endpoints(settings.introspection, settings.userinfo),
        settings.client_id,
        settings.client_secret,
    )
    return OidcStrategy(settings, provider, context.users, context.throttle, clock)


PROVIDER = Provider(settings=OidcSettings, build=build)
