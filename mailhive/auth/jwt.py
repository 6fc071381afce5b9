"""JSON Web Tokens (RFC 7519): of issuers whose keys are configured, and our own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from mailhive.auth.bearer import BearerStrategy
from mailhive.auth.claims import Expectations, Header, InvalidToken, read_claims, read_header
from mailhive.auth.keys import VerifyingKey, read_keys, verified
from mailhive.auth.sources import KeySource
from mailhive.config.fields import Location, doc, is_in_the_clear, lasts, web_url
from mailhive.config.problems import Found
from mailhive.config.units import Duration
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IAppCredentials
from mailhive.model.principal import Principal
from mailhive.registry import Provider

__all__ = ["PROVIDER", "JwtSettings", "JwtStrategy", "build"]


@frozen
class JwtSettings:
    """`jwt`: tokens signed by somebody who is trusted, or by `mailhive token`."""

    public_keys: tuple[Location, ...] = field(
        default=(),
        metadata=doc(
            "PEM files of public keys or certificates, or URLs of such. RSA keys verify RS256 to "
            "RS512 and PS256 to PS512, elliptic ones ES256, ES384, ES512 and EdDSA."
        ),
    )
    jwks_url: str | None = field(
        default=None,
        validator=web_url,
        metadata=doc(
            "Where the issuer publishes its keys (RFC 7517). They are fetched again when a token "
            "names one that is not known, at most every 30 seconds."
        ),
    )
    issuer: str | None = field(
        default=None, metadata=doc("What `iss` of a token has to be.", default="any")
    )
    audience: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "What `aud` of a token has to name one of. Without it, tokens with an `aud` are "
            "refused: they are for somebody else (RFC 7519 §4.1.3)."
        ),
    )
    leeway: Duration = field(
        default=Duration(30.0),
        metadata=doc("How far the clock of the issuer may be off, for `exp`, `nbf` and `iat`."),
    )
    cache_time: Duration = field(
        default=Duration(900.0),
        validator=lasts("30s"),
        metadata=doc("How long keys from a URL are used before they are fetched again."),
    )

    @property
    def has_keys(self) -> bool:
        return bool(self.public_keys or self.jwks_url)

    def problems(self) -> Found:
        for index, location in enumerate(self.public_keys):
            if "://" in location:
                continue
            try:
                read_keys(Path(location).read_bytes())
            except OSError as error:
                message = f'"{location}" cannot be read: {error.strerror}'
                yield ("public-keys", index), message
            except ValueError as error:
                yield ("public-keys", index), f'"{location}" {error}'
        if not self.has_keys:
            for key, given in (("issuer", self.issuer), ("audience", self.audience)):
                if given:
                    yield (key,), "does nothing; allowed beside public-keys or jwks-url"

    def warnings(self) -> Found:
        better = "comes by http, where others can replace it; better is https"
        if is_in_the_clear(self.jwks_url or ""):
            yield ("jwks-url",), better
        for index, location in enumerate(self.public_keys):
            if is_in_the_clear(location):
                yield ("public-keys", index), better


class JwtStrategy(BearerStrategy):
    """`keys` are those of files, `sources` the URLs of others.

    `users` is an `auth.users.Users`, `own_key` the `TokenKey` of our tokens and
    `directory` knows them, if it is an `IAppCredentials`.
    """

    def __init__(
        self,
        users: Any,
        clock: Any,
        *,
        keys: Sequence[VerifyingKey] = (),
        sources: Sequence[KeySource] = (),
        expectations: Expectations = Expectations(),  # noqa: B008 (frozen)
        own_key: Any = None,
        directory: Any = None,
    ) -> None:
        self._users = users
        self._clock = clock
        self._keys = tuple(keys)
        self._sources = tuple(sources)
        self._expectations = expectations
        self._own_key = own_key
        self._directory = directory

    @property
    def challenge(self) -> str | None:
        has_keys = self._keys or self._sources or self._keeps_tokens
        return super().challenge if has_keys else None

    @property
    def _keeps_tokens(self) -> bool:
        kept: bool = IAppCredentials.providedBy(self._directory)  # which may change
        return kept

    async def principal_of(self, token: str, _: str, service: str) -> Principal:
        header = read_header(token)
        if self._keeps_tokens and self._own_key.is_of(header):
            return await self._own(token, service)
        try:
            payload = verified(token, header.algorithm, await self._candidates(header))
        except ValueError:
            raise InvalidToken("That is no JSON Web Token") from None
        if payload is None:
            raise InvalidToken("No key that is known has signed the token")
        claims = read_claims(payload)
        self._expectations.check(claims, self._clock())
        name = claims.get("sub")
        if not isinstance(name, str) or not name:
            raise InvalidToken("The token names no subject")
        principal: Principal = await self._users.named(name)
        return principal

    async def _own(self, token: str, service: str) -> Principal:
        token_id = self._own_key.verify(token, self._clock())
        principal: Principal | None = await self._directory.token(token_id, service)
        if principal is None:
            raise InvalidToken("The token is not valid, or not for this service")
        return principal

    async def _candidates(self, header: Header) -> list[VerifyingKey]:
        """The keys that may have signed it.

        `TemporaryFailure` only if no other source has one.
        """
        found = [key for key in self._keys if key.may_verify(header.algorithm, header.kid)]
        failed: TemporaryFailure | None = None
        for source in self._sources:
            try:
                found += await source.keys(header.algorithm, header.kid)
            except TemporaryFailure as error:
                failed = error
        if failed is not None and not found:
            raise failed
        return found


def build(settings: JwtSettings, context: Any) -> JwtStrategy:
    """The strategy of these settings."""
    files = [location for location in settings.public_keys if "://" not in location]
    urls: list[str] = [location for location in settings.public_keys if "://" in location]
    if settings.jwks_url is not None:
        urls.append(settings.jwks_url)
    clock = context.reactor.seconds
    return JwtStrategy(
        context.users,
        clock,
        keys=[key for file in files for key in read_keys(Path(file).read_bytes())],
        sources=[KeySource(url, context.fetcher, clock, settings.cache_time) for url in urls],
        expectations=Expectations(settings.issuer, frozenset(settings.audience), settings.leeway),
        own_key=context.token_key,
        directory=context.directory,
    )


PROVIDER = Provider(settings=JwtSettings, build=build)
