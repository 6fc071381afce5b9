"""What the LDAP directory does when its server is down, slow, or lies."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.task import deferLater

from mailhive.errors import TemporaryFailure
from mailhive.testing.conformance.directory import PASSWORDS

pytestmark = pytest.mark.system

TYPE = 'type = "ldap"\n'
QUICK = (TYPE, TYPE + 'timeout = "1s"\nback-off = "1s"\n')
#: Enough for one that is well to answer on a busy machine.
PATIENT = (TYPE, TYPE + 'timeout = "3s"\nback-off = "1s"\n')
DOMAINS = 'domains = ["example.org", "example.net", "example.com", "bücher.example"]\n'
FILTER = '[directory."ldap".filter]\n'
BY_DOMAIN = ((DOMAINS, ""), (FILTER, FILTER + 'domain = "(mail=*@{domain})"\n'))
TLS = '[directory."ldap".tls]\n'
PLAIN = (TLS, TLS + "starttls = false\n")


def only(slapd, url):
    """The servers of the example replaced by one."""
    return (
        f'["ldap://localhost:{slapd.port}", "ldaps://localhost:{slapd.tls_port}"]',
        f'"{url}"',
    )


async def refuses(directory):
    """It says of nothing and nobody that there is none: it cannot tell."""
    asked = [
        directory.authenticate("bob", PASSWORDS["bob"]),
        directory.authenticate("bob", "wrong"),
        directory.authenticate("nobody", "wrong"),
        directory.principal("bob"),
        directory.recipients("bob@example.org"),
        directory.recipients("nobody@example.net"),
        directory.is_local_domain("example.org"),
    ]
    for succeeded, result in await DeferredList(asked, consumeErrors=True):
        assert not succeeded and result.check(TemporaryFailure), result
    with pytest.raises(TemporaryFailure):
        await directory.authenticate("bob", PASSWORDS["bob"])


async def decided(ask, *what):
    """The answer at last: a busy server may need longer than it is given."""
    from twisted.internet import reactor

    while True:
        try:
            return await ask(*what)
        except TemporaryFailure:
            await deferLater(reactor, 0.1)


async def recovers(directory):
    """It answers again, after a pause at most; and rightly."""
    assert (await decided(directory.authenticate, "bob", PASSWORDS["bob"])).name == "bob"
    assert await decided(directory.authenticate, "bob", "wrong") is None
    assert await decided(directory.is_local_domain, "example.org") is True


@ensureDeferred
async def test_killed_and_started_again(new_directory, slapd):
    directory = new_directory(QUICK, *BY_DOMAIN)
    await recovers(directory)
    slapd.kill()
    try:
        await refuses(directory)
    finally:
        slapd.start()
    await recovers(directory)


@ensureDeferred
async def test_stopped_and_continued(new_directory, slapd):
    directory = new_directory(QUICK, *BY_DOMAIN)
    await recovers(directory)
    slapd.pause()
    try:
        await refuses(directory)
    finally:
        slapd.resume()
    await recovers(directory)


@ensureDeferred
async def test_not_there_at_first(new_directory, slapd):
    slapd.kill()
    try:
        directory = new_directory(QUICK, *BY_DOMAIN)
        await refuses(directory)
    finally:
        slapd.start()
    await recovers(directory)


@pytest.mark.parametrize("mode", ["half", "silent", "cut", "garbage", "long", "more", "refuse"])
@pytest.mark.parametrize("encrypted", [False, True])
@ensureDeferred
async def test_answers_that_are_none(new_directory, slapd, relay, mode, encrypted):
    tls = () if encrypted else (PLAIN,)
    url = only(slapd, f"ldap://localhost:{relay.port}")
    directory = new_directory(url, QUICK, *BY_DOMAIN, *tls)
    await recovers(directory)
    relay.mode = mode
    relay.disconnect() if mode == "refuse" else None
    await refuses(directory)
    relay.mode = "pass"
    await recovers(directory)
    relay.mode = mode
    await refuses(new_directory(url, QUICK, *BY_DOMAIN, *tls))  # nothing connected before
    relay.mode = "pass"


@pytest.mark.parametrize("mode", ["silent", "refuse", "cut"])
@ensureDeferred
async def test_the_second_server_serves_while_the_first_is_away(new_directory, slapd, relay, mode):
    directory = new_directory(
        (f"localhost:{slapd.port}", f"localhost:{relay.port}"), PATIENT, *BY_DOMAIN
    )
    await recovers(directory)
    assert relay.most > 0
    relay.mode = mode
    relay.disconnect() if mode == "refuse" else None
    for _ in range(3):
        found = await gatherResults(
            [directory.authenticate(name, password) for name, password in PASSWORDS.items()]
        )
        assert {principal.name for principal in found} == set(PASSWORDS)
        assert await directory.authenticate("bob", "wrong") is None
    relay.mode, relay.received = "pass", b""
    from twisted.internet import reactor

    for _ in range(100):  # the first is asked again once its pause is over
        assert (await directory.principal("bob")).name == "bob"
        if relay.received:
            break
        await deferLater(reactor, 0.1)
    assert relay.received


@ensureDeferred
async def test_a_restart_between_two_requests_is_not_noticed(new_directory, slapd):
    """Every connection is dead then, and nobody may get a failure for it."""
    directory = new_directory(PATIENT)
    await recovers(directory)
    slapd.kill()
    slapd.start()
    assert (await directory.authenticate("bob", PASSWORDS["bob"])).name == "bob"
    assert (await directory.principal("alice")).name == "alice"


@ensureDeferred
async def test_a_request_that_is_given_up(new_directory, slapd, relay):
    directory = new_directory(only(slapd, f"ldap://localhost:{relay.port}"), PATIENT)
    await directory.principal("bob")
    relay.mode = "silent"
    asked = [directory.principal("bob") for _ in range(10)]
    for deferred in asked:
        deferred.addErrback(lambda _: None)
        deferred.cancel()
    relay.mode = "pass"
    assert (await directory.principal("bob")).name == "bob"


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@ensureDeferred
async def test_names_of_certificates_are_checked(new_directory, slapd, relay, scheme):
    relay.target = slapd.port if scheme == "ldap" else slapd.tls_port
    address = only(slapd, f"{scheme}://127.0.0.1:{relay.port}")
    await refuses(new_directory(address, QUICK, *BY_DOMAIN))
    assert relay.received  # it was asked for its certificate
    name = only(slapd, f"{scheme}://localhost:{relay.port}")
    await recovers(new_directory(name, QUICK, *BY_DOMAIN))


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@ensureDeferred
async def test_authorities_are_those_that_were_named(new_directory, slapd, scheme):
    port = slapd.port if scheme == "ldap" else slapd.tls_port
    url = only(slapd, f"{scheme}://localhost:{port}")
    of_the_system = (
        'ca = "../var/ldap-ca.pem"            # who signed the servers\' certificates',
        "",
    )
    await refuses(new_directory(url, QUICK, *BY_DOMAIN, of_the_system))


@ensureDeferred
async def test_who_may_not_look_anybody_up(new_directory, slapd):
    await refuses(new_directory(QUICK, *BY_DOMAIN, ("cn=mailhive,", "cn=nobody,")))


@ensureDeferred
async def test_trees_that_are_not_there(new_directory, slapd):
    directory = new_directory(QUICK, ("ou=groups,", "ou=nowhere,"))
    with pytest.raises(TemporaryFailure):
        await directory.principal("bob")
