"""Logins by SCRAM beside all others: who they are, and how often one may try."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from mailhive.auth.errors import AuthenticationFailed, TooManyAttempts
from mailhive.auth.passwords import Passwords
from mailhive.auth.scram import ScramPasswords
from mailhive.auth.throttle import Throttle
from mailhive.auth.tokens import TokenKey
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.errors import TemporaryFailure
from mailhive.testing.directory import GrowingDirectory

PEER = "192.0.2.1"


def key_in(path):
    key = TokenKey(path / "token.key")
    key.open()
    return key


@pytest.fixture
def throttle():
    return Throttle(Clock().seconds)


@pytest.fixture
def scram(tmp_path, throttle):
    alice = PrincipalSettings(name="alice", secret="pencil", email=("alice@example.org",))
    directory = MemoryDirectory(MemorySettings((alice,)), deferToThread, Clock().seconds)
    return ScramPasswords(directory, throttle, key_in(tmp_path))


@ensureDeferred
async def test_who_it_is(scram):
    found = await scram.find("alice@example.org")
    user = await scram.principal_of("alice@example.org", found, "proof", right=True, peer=PEER)
    assert user.name == "alice" and user.credential in user.credentials
    with pytest.raises(AuthenticationFailed):
        await scram.principal_of("alice", found, "proof", right=False, peer=PEER)
    nobody = await scram.find("nobody")
    with pytest.raises(AuthenticationFailed):
        await scram.principal_of("nobody", nobody, "proof", right=True, peer=PEER)


@ensureDeferred
async def test_salts_stay(scram, tmp_path, throttle):
    salt = (await scram.find("Nobody")).verifier.salt
    assert salt != (await scram.find("somebody")).verifier.salt
    # After a restart, or one could tell who was made up.
    again = ScramPasswords(scram._directory, throttle, key_in(tmp_path))
    assert (await again.find("nobody")).verifier.salt == salt


@ensureDeferred
async def test_guesses_count_with_those_of_passwords(scram, throttle):
    passwords = Passwords(scram._directory, throttle)
    found = await scram.find("alice")
    for number in range(2):
        with pytest.raises(AuthenticationFailed):
            await scram.principal_of("alice", found, f"{number}", right=False, peer=PEER)
        with pytest.raises(AuthenticationFailed):
            await passwords.principal_of("alice", f"guess {number}", PEER, "smtp")
    with pytest.raises(AuthenticationFailed):
        await scram.principal_of("alice", found, "the fifth", right=False, peer=PEER)
    with pytest.raises(TooManyAttempts):
        await scram.principal_of("alice", found, "good", right=True, peer=PEER)


@ensureDeferred
async def test_a_directory_that_cannot(tmp_path, throttle):
    directory = GrowingDirectory(deferToThread, Clock().seconds)
    scram = ScramPasswords(directory, throttle, key_in(tmp_path))
    assert not scram.is_offered
    with pytest.raises(AuthenticationFailed):
        await scram.find("alice")


@ensureDeferred
async def test_a_directory_that_is_down(scram, monkeypatch):
    async def down(name):
        raise TemporaryFailure("down")

    found = await scram.find("alice")
    monkeypatch.setattr(scram._directory, "principal", down)
    for number in range(10):  # nothing is counted
        with pytest.raises(TemporaryFailure):
            await scram.principal_of("alice", found, f"{number}", right=True, peer=PEER)
