"""What every `IAuthenticationStrategy` does.

class TestMyStrategy(AuthenticationConformance):
    @pytest.fixture
    def strategy(self): ...
    right = {"Authorization": "..."}      # headers that are `principal`'s
    principal = Principal("alice")
    wrong = [{...}]                       # headers of this strategy that are nobody's
    foreign = [{...}]                     # headers that do not speak to it
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from zope.interface.verify import verifyObject

from mailhive.auth.errors import AuthenticationFailed
from mailhive.interfaces.authentication import IAuthenticationStrategy
from mailhive.model.principal import Principal

__all__ = ["AuthenticationConformance", "Headers"]

# RFC 9110 §11.6.1: auth-scheme, then parameters with token or quoted values.
_PARAMETER = r'[!#-\'*+.^-z|~0-9A-Z-]+=("([^"\\]|\\.)*"|[^\s",]+)'
_CHALLENGE = re.compile(rf"[A-Za-z][\w-]*( {_PARAMETER}(, ?{_PARAMETER})*)?", re.ASCII)


class Headers:
    """Request headers as strategies read them."""

    def __init__(self, headers: Mapping[str, str], connected_from: str = "192.0.2.1"):
        self._headers = {name.lower(): value for name, value in headers.items()}
        self.connected_from = connected_from

    def get(self, name: str) -> str | None:
        return self._headers.get(name.lower())


class AuthenticationConformance:
    """Fixture `strategy`; attributes as the module's docstring says."""

    principal: ClassVar[Principal]
    right: ClassVar[Mapping[str, str]]
    wrong: ClassVar[Sequence[Mapping[str, str]]]
    foreign: ClassVar[Sequence[Mapping[str, str]]]
    peer = "192.0.2.1"

    def test_provides_the_interface(self, strategy: Any) -> None:
        assert verifyObject(IAuthenticationStrategy, strategy)

    def test_the_challenge_is_one(self, strategy: Any) -> None:
        challenge = strategy.challenge
        assert challenge is None or _CHALLENGE.fullmatch(challenge)

    @ensureDeferred
    async def test_right_credentials(self, strategy):
        for _ in range(3):
            found = await strategy.authenticate(Headers(self.right), self.peer)
            assert found == self.principal

    @ensureDeferred
    async def test_no_credentials(self, strategy):
        assert await strategy.authenticate(Headers({}), self.peer) is None

    @ensureDeferred
    async def test_credentials_of_another_strategy(self, strategy):
        for headers in self.foreign:
            assert await strategy.authenticate(Headers(headers), self.peer) is None

    @ensureDeferred
    async def test_wrong_credentials(self, strategy):
        for number, headers in enumerate(self.wrong):
            with pytest.raises(AuthenticationFailed):
                await strategy.authenticate(Headers(headers), f"192.0.2.{number}")
        found = await strategy.authenticate(Headers(self.right), self.peer)
        assert found == self.principal

    @ensureDeferred
    async def test_the_failure_repeats_nothing_of_the_credentials(self, strategy):
        for number, headers in enumerate(self.wrong):
            with pytest.raises(AuthenticationFailed) as caught:
                await strategy.authenticate(Headers(headers), f"192.0.2.{number}")
            for value in headers.values():
                for word in value.split()[1:]:
                    assert word not in str(caught.value)
