"""Logging in by a bind: what results mean, what is never sent, and how long nobody takes."""

import pytest
from sansldap import LDAPResultCode
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater

from mailhive.directory.ldap.connection import Outcome
from mailhive.directory.ldap.directory import LdapDirectory
from mailhive.directory.ldap.mapping import Mapped
from mailhive.directory.ldap.settings import LdapSettings
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal

BOB = Mapped("uid=bob,dc=x", Principal("bob"), frozenset(), frozenset(), (), (), ())


class Lookup:
    """Knows bob, at once."""

    async def logging_in_as(self, login):
        return BOB if login == "bob" else None

    async def whole(self, entry):
        return entry.principal


class Logins:
    """A pool whose server takes `seconds` for a bind."""

    def __init__(self, clock):
        self.clock, self.seconds, self.code = clock, 0.25, 49
        self.binds = []

    async def run(self, request):
        return await request(self)

    def bind(self, dn, password):
        self.binds.append((dn, password))
        return deferLater(self.clock, self.seconds, lambda: Outcome(self.code, "said"))


@pytest.fixture
def bench():
    settings = LdapSettings(url=("ldap://x",), base_dn=("dc=x",), domains=("x.example",))
    clock = Clock()
    directory = LdapDirectory("ldap", settings, clock, lambda f, *a: succeed(f(*a)))
    directory._lookup, directory._logins = Lookup(), Logins(clock)
    return directory, directory._logins, clock


def took(deferred: Deferred, clock: Clock) -> tuple[object, float]:
    """What it fired with, and after how many seconds."""
    seen = []
    deferred.addBoth(seen.append)
    began = clock.seconds()
    while not seen:
        assert clock.seconds() - began < 100
        clock.advance(0.25)
    return seen[0], clock.seconds() - began


def test_nobody_takes_as_long_as_somebody(bench):
    directory, logins, clock = bench
    for seconds in (0.25, 0.25, 0.75):
        logins.seconds = seconds
        assert took(directory.authenticate("bob", "wrong"), clock) == (None, seconds)
    asked = len(logins.binds)
    times = {took(directory.authenticate("nobody", "wrong"), clock) for _ in range(100)}
    assert times == {(None, 0.25), (None, 0.75)}
    assert len(logins.binds) == asked


@pytest.mark.parametrize("password", ["", "\ud800", "x" * 1025])
def test_passwords_that_are_never_sent(bench, password):
    # RFC 4513 §5.1.2
    directory, logins, clock = bench
    logins.code = 0
    took(directory.authenticate("bob", "first"), clock)
    result, seconds = took(directory.authenticate("bob", password), clock)
    assert result is None
    assert seconds >= 0.25
    assert logins.binds == [("uid=bob,dc=x", "first")]


@pytest.mark.parametrize(
    "code",
    [
        LDAPResultCode.INVALID_CREDENTIALS,
        LDAPResultCode.INAPPROPRIATE_AUTHENTICATION,
        LDAPResultCode.CONSTRAINT_VIOLATION,
        LDAPResultCode.UNWILLING_TO_PERFORM,
        LDAPResultCode.NO_SUCH_OBJECT,
    ],
)
def test_results_that_refuse(bench, code):
    directory, logins, clock = bench
    logins.code = code.value
    assert took(directory.authenticate("bob", "x"), clock)[0] is None


@pytest.mark.parametrize(
    "code",
    [
        LDAPResultCode.OPERATIONS_ERROR,
        LDAPResultCode.REFERRAL,
        LDAPResultCode.SASL_BIND_IN_PROGRESS,
        LDAPResultCode.CONFIDENTIALITY_REQUIRED,
        LDAPResultCode.BUSY,
        LDAPResultCode.UNAVAILABLE,
        LDAPResultCode.OTHER,
        4096,
        -1,
    ],
)
def test_results_that_decide_nothing(bench, code):
    directory, logins, clock = bench
    logins.code = getattr(code, "value", code)
    failure, _ = took(directory.authenticate("bob", "x"), clock)
    assert failure.check(TemporaryFailure)
    logins.code = 0
    assert took(directory.authenticate("bob", "x"), clock)[0] == Principal("bob")
