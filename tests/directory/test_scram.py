"""Logins by SCRAM: what each directory keeps for them, and what it makes up."""

import sqlite3
from base64 import b64encode
from types import SimpleNamespace

import pytest
import pytest_twisted
from argon2 import PasswordHasher
from pytest_twisted import ensureDeferred
from scramp import ScramMechanism
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from mailhive.config.fields import FilePath
from mailhive.directory import internal, password, schemes
from mailhive.directory.database import provider as sql
from mailhive.directory.database.settings import QuerySettings, SqlSettings
from mailhive.directory.editor import Editor
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.directory.schemes import matches, scheme_of, secret_problem
from mailhive.directory.scram import derived, new_scram, read_scram
from mailhive.interfaces.directory import IScramLogins
from mailhive.mail.directories import Directories, Routes
from mailhive.model.principal import Principal

SALT = bytes(range(32))
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def stored(form: str, secret: str = "pencil", iterations: int = 4096) -> str:
    """A secret made by another implementation."""
    made = ScramMechanism("SCRAM-SHA-256").make_auth_info(secret, iterations, salt=b"s" * 16)
    salt, stored_key, server_key = (b64encode(octets).decode() for octets in made[:3])
    return form.format(i=iterations, salt=salt, stored=stored_key, server=server_key)


RFC_5803 = "SCRAM-SHA-256${i}:{salt}${stored}:{server}"
DOVECOT = "{{SCRAM-SHA-256}}{i},{salt},{stored},{server}"
MARKED = "{{scram-sha-256}}" + RFC_5803


@pytest.mark.parametrize(
    "form", [RFC_5803, DOVECOT, MARKED, "SCRAM-SHA-256 $ {i}:{salt} $ {stored}:{server}"]
)
def test_forms(form):
    secret = stored(form)
    assert read_scram(secret) == derived("pencil", b"s" * 16, 4096)
    assert scheme_of(secret) == "scram-sha-256" and secret_problem(secret) is None
    assert matches(secret, "pencil") and not matches(secret, "pencils")
    assert not matches(secret, "\ufffe")


@pytest.mark.parametrize(
    "secret",
    [
        "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
        "{SCRAM-SHA-256}",
        stored(RFC_5803).replace("4096", "4095"),
        stored(DOVECOT).replace(",", ":"),
        stored(RFC_5803)[:-1],
    ],
)
def test_what_is_none(secret):
    assert read_scram(secret) is None
    assert secret_problem(secret) is not None and not matches(secret, "pencil")


def test_made_here():
    secret = new_scram("pencil", 5000)
    assert matches(secret, "pencil") and secret != new_scram("pencil", 5000)
    assert matches(new_scram("\u2168", 4096), "IX")  # RFC 4013 §3


# Directories


def memory(**secrets: str) -> MemoryDirectory:
    people = (
        PrincipalSettings(name=name, secret=secret, email=(f"{name}@example.org",))
        for name, secret in secrets.items()
    )
    return MemoryDirectory(MemorySettings(tuple(people)), deferToThread, reactor.seconds)


@pytest_twisted.async_yield_fixture
async def kept(tmp_path, monkeypatch):
    """An internal directory that keeps verifiers, and its editor."""
    cost = schemes.extract_parameters(CHEAP.hash(""))
    monkeypatch.setattr(schemes, "COST", cost)
    monkeypatch.setattr(password, "COST", cost)
    context = SimpleNamespace(data_dir=tmp_path, offload=deferToThread, reactor=reactor)
    settings = internal.InternalSettings(scram_iterations=5000)
    editor = internal.PROVIDER.edit(settings, tmp_path)
    editor.add(Principal("alice", emails=("alice@example.org",)), editor.hash_password("pencil"))
    directory = internal.PROVIDER.build(settings, context)
    directory.open()
    yield directory, editor
    editor.close()
    await directory.close()


@pytest_twisted.async_yield_fixture
async def database(tmp_path):
    """An SQL directory."""
    path = tmp_path / "users.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (name TEXT, secret TEXT, email TEXT)")
        rows = [("alice", stored(DOVECOT), "alice@example.org"), ("bob", "pencil", None)]
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    query = QuerySettings(
        name="SELECT * FROM users WHERE name = :name",
        recipients="SELECT name FROM users WHERE email = :address",
        domains="SELECT 1 WHERE :domain = 'example.org'",
    )
    settings = SqlSettings(driver="sqlite", path=FilePath(path), query=query, scram=True)
    context = SimpleNamespace(name="users", offload=deferToThread, reactor=reactor)
    directory = sql.build(settings, context)
    directory.open()
    yield directory
    directory.close()


@pytest.fixture(params=["plain", "scram", "internal", "sql", "routed"])
def directory(request):
    if request.param == "internal":
        return request.getfixturevalue("kept")[0]
    if request.param == "sql":
        return request.getfixturevalue("database")
    if request.param == "plain":
        return memory(alice="pencil", bob="{PLAIN}other")
    people = memory(alice=stored(RFC_5803), carol=stored(DOVECOT, "x"))
    if request.param == "scram":
        return people
    return Directories(Routes({"people": people}, "people"))


@ensureDeferred
async def test_whoever_exists(directory):
    assert verifyObject(IScramLogins, directory) and directory.offers_scram
    for login in ("alice", "Alice@Example.ORG"):
        found = await directory.scram(login, SALT)
        verifier = found.verifier
        assert derived("pencil", verifier.salt, verifier.iterations) == verifier
        assert found.name == "alice"
        authenticated = await directory.authenticate(login, "pencil")
        assert found.credential == authenticated.credential
        assert found.credential in (await directory.principal("alice")).credentials


@ensureDeferred
async def test_nobody_looks_like_somebody(directory):
    somebody = await directory.scram("alice", SALT)
    found = await directory.scram("nobody", SALT)
    assert found.name is None
    assert found.verifier.iterations == somebody.verifier.iterations
    assert found.verifier.salt == SALT[: len(somebody.verifier.salt)]
    again = await directory.scram("nobody", SALT)
    assert again.verifier.salt == found.verifier.salt
    assert again.verifier.stored_key != found.verifier.stored_key


@pytest.mark.parametrize("secret", ["{SSHA}" + b64encode(bytes(24)).decode(), "{PLAIN}\x07"])
@ensureDeferred
async def test_who_cannot_log_in_so(secret):
    directory = memory(alice=stored(RFC_5803), bob=secret)
    assert (await directory.scram("bob", SALT)).name is None


def test_not_offered_unless_it_works_for_everybody():
    assert not memory().offers_scram
    assert not memory(alice="pencil", bob=CHEAP.hash("x")).offers_scram
    assert memory(alice="pencil", bob=stored(RFC_5803)).offers_scram


@ensureDeferred
async def test_an_unmarked_password_in_a_database(database):
    assert (await database.scram("bob", SALT)).name is None


@ensureDeferred
async def test_several_directories():
    others = memory(alice=CHEAP.hash("x"))
    routes = Routes(
        {"people": memory(alice="pencil"), "others": others}, "others", {"example.org": "people"}
    )
    directories = Directories(routes)
    assert directories.offers_scram
    found = await directories.scram("alice@example.org", SALT)
    assert found.name == "alice@people"
    assert (await directories.principal("alice@people")).name == "alice@people"
    assert (await directories.scram("alice", SALT)).name is None
    directories.routes = Routes({"others": others}, "others")
    assert not directories.offers_scram


# What the internal directory keeps


@ensureDeferred
async def test_a_verifier_comes_with_the_next_login(kept, tmp_path):
    directory, editor = kept
    before = Editor(tmp_path / "directory.sqlite")  # whose settings say nothing of SCRAM
    before.set_secret("alice", before.hash_password("old pencil"))
    before.close()
    assert (await directory.scram("alice", SALT)).name is None
    known = await directory.authenticate("alice", "old pencil")
    found = await directory.scram("alice", SALT)
    assert derived("old pencil", found.verifier.salt, 5000) == found.verifier
    assert (await directory.authenticate("alice", "old pencil")).credential == known.credential
    editor.set_secret("alice", None)
    assert (await directory.scram("alice", SALT)).name is None


@ensureDeferred
async def test_a_verifier_goes_with_the_setting(kept, tmp_path):
    directory, _ = kept
    context = SimpleNamespace(data_dir=tmp_path, offload=deferToThread, reactor=reactor)
    off = internal.PROVIDER.build(internal.InternalSettings(), context)
    off.open()
    assert not off.offers_scram and (await off.scram("alice", SALT)).name is None
    assert await off.authenticate("alice", "pencil")
    assert (await directory.scram("alice", SALT)).name is None
    await off.close()


@ensureDeferred
async def test_passwords_that_cannot_be_prepared(kept):
    directory, editor = kept
    editor.set_secret("alice", editor.hash_password("\U0001fae0"))  # later than Unicode 3.2
    assert (await directory.scram("alice", SALT)).name is None
    assert await directory.authenticate("alice", "\U0001fae0")


@ensureDeferred
async def test_a_verifier_that_another_program_made(kept):
    directory, editor = kept
    editor.set_secret("alice", editor.checked_hash(stored(RFC_5803)))
    assert editor.scheme("alice") == "scram-sha-256"
    found = await directory.scram("alice", SALT)
    assert found.verifier == derived("pencil", b"s" * 16, 4096) and found.name == "alice"
    assert await directory.authenticate("alice", "pencil")
    assert editor.scheme("alice") == "argon2"


@ensureDeferred
async def test_who_is_disabled(kept):
    directory, editor = kept
    editor.change("alice", enabled=False)
    assert (await directory.scram("alice", SALT)).name is None


@pytest.mark.parametrize("value", [-1, 1, 4095, 10_000_001])
def test_bad_iterations(value):
    with pytest.raises(ValueError, match="allowed are 0 and 4096"):
        internal.InternalSettings(scram_iterations=value)
