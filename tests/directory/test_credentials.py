"""App passwords, tokens, who is disabled and who is provisioned, in the internal directory."""

import random
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.auth.passwords import Passwords
from mailhive.auth.throttle import Throttle
from mailhive.auth.users import Users
from mailhive.directory import internal
from mailhive.directory.credentials import NOTED, digest_of, new_password
from mailhive.directory.editor import Editor
from mailhive.directory.tables import SCHEMA
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IAppCredentials, IProvisioning
from mailhive.model.credential import APP_PASSWORD, SERVICES, TOKEN
from mailhive.model.principal import Principal
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import Schema

NOW = 1_800_000_000
ALICE = Principal("Alice", emails=("alice@example.org", "a@example.org"))


@pytest.fixture
def editor(tmp_path):
    editor = Editor(tmp_path / "directory.sqlite")
    editor.add(ALICE)
    editor.add(Principal("bob"))
    editor.add(Principal("staff", "group", emails=("staff@example.org",)))
    yield editor
    editor.close()


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest_twisted.async_yield_fixture
async def directory(tmp_path, editor, clock):
    context = SimpleNamespace(data_dir=tmp_path, offload=deferToThread, reactor=clock)
    directory = internal.PROVIDER.build(internal.InternalSettings(), context)
    directory.open()
    yield directory
    await directory.close()


def test_provides_the_interfaces(directory):
    assert verifyObject(IAppCredentials, directory)
    assert verifyObject(IProvisioning, directory)


@ensureDeferred
async def test_app_passwords_let_in_and_are_gone_at_once(directory, editor):
    password = editor.add_app_password("alice", "phone", SERVICES)
    for login in ("Alice", "alice", "alice@example.org", "A@EXAMPLE.org"):
        assert await directory.app_password(login, password, "jmap") == ALICE
    for typed in (password.upper(), password.replace("-", " "), password.replace("-", "")):
        assert await directory.app_password("alice", typed, "jmap") == ALICE
    for login in ("bob", "nobody", "staff", "", "\ud800"):
        assert await directory.app_password(login, password, "jmap") is None
    assert await directory.authenticate("alice", password) is None  # it is no password
    editor.remove_credential(APP_PASSWORD, "alice", "phone")
    assert await directory.app_password("alice", password, "jmap") is None


@ensureDeferred
async def test_scopes(directory, editor):
    password = editor.add_app_password("alice", "printer", ("smtp",))
    token = editor.add_token("alice", "script", ("jmap", "imap"))
    for service in SERVICES:
        by_password = await directory.app_password("alice", password, service)
        assert (by_password == ALICE) == (service == "smtp")
        assert (await directory.token(token, service) == ALICE) == (service != "smtp")


@ensureDeferred
async def test_one_kind_is_not_the_other(directory, editor):
    password = editor.add_app_password("alice", "phone", SERVICES)
    token = editor.add_token("alice", "script", SERVICES)
    assert await directory.token(digest_of(password), "jmap") is None
    assert await directory.app_password("alice", token, "jmap") is None


@ensureDeferred
async def test_tokens_expire_and_are_gone_at_once(directory, editor, clock):
    token = editor.add_token("alice", "script", SERVICES, expires=NOW + 60)
    assert await directory.token(token, "jmap") == ALICE
    clock.advance(60)
    assert await directory.token(token, "jmap") is None
    other = editor.add_token("alice", "other", SERVICES)
    assert await directory.token(other, "jmap") == ALICE
    editor.remove_credential(TOKEN, "alice", "other")
    assert await directory.token(other, "jmap") is None
    assert await directory.token("invented", "jmap") is None


@ensureDeferred
async def test_who_looks_somebody_up_learns_which_tokens_hold(directory, editor):
    token = editor.add_token("alice", "script", SERVICES, expires=NOW + 60)
    editor.add_token("alice", "old", SERVICES, expires=1_000_000_000)
    entered = await directory.token(token, "jmap")
    assert (await directory.principal("alice")).credentials == {entered.credential}


@ensureDeferred
async def test_the_last_use_is_noted_from_time_to_time(directory, editor, clock, monkeypatch):
    noted = []

    def offload(function, *args):
        noted.append(Deferred())
        return deferToThread(function, *args).addBoth(tell, noted[-1])

    def tell(result, done):
        done.callback(None)
        return result

    monkeypatch.setattr(directory, "_offload", offload)
    password = editor.add_app_password("alice", "phone", SERVICES)
    [before] = editor.credentials(APP_PASSWORD)
    assert before.last_used is None
    for after, told in ((0, NOW), (NOTED - 1, NOW), (1, NOW + NOTED), (1, NOW + NOTED)):
        clock.advance(after)
        assert await directory.app_password("alice", password, "smtp") == ALICE
        await gatherResults(noted)
        [credential] = editor.credentials(APP_PASSWORD, "alice")
        assert credential.last_used == told


@ensureDeferred
async def test_a_directory_that_is_closed_cannot_tell(directory, editor):
    password = editor.add_app_password("alice", "phone", SERVICES)
    await directory.close()
    for asked in (
        directory.app_password("alice", password, "jmap"),
        directory.token("x", "jmap"),
        directory.provision("zoe"),
    ):
        with pytest.raises(TemporaryFailure):
            await asked
    directory.open()


@ensureDeferred
async def test_who_is_disabled_is_let_in_by_nothing(directory, editor, clock):
    editor.set_secret("alice", "{PLAIN}secret")
    password = editor.add_app_password("alice", "phone", SERVICES)
    token = editor.add_token("alice", "script", SERVICES)
    users = Users(directory, provisioning=True)
    assert (await users.named("alice")).credentials
    editor.change("alice", enabled=False)
    assert await directory.authenticate("alice", "secret") is None
    assert await directory.app_password("alice", password, "jmap") is None
    assert await directory.token(token, "jmap") is None
    with pytest.raises(AuthenticationFailed):
        await users.named("alice")
    assert (await directory.principal("alice")).credentials == frozenset()
    assert [p.name for p in await directory.recipients("alice@example.org")] == ["Alice"]
    editor.change("alice", enabled=True)
    assert await directory.authenticate("alice", "secret") == ALICE
    assert await directory.token(token, "jmap") == ALICE


@ensureDeferred
async def test_each_credential_has_a_name_of_its_own(directory, editor):
    editor.set_secret("alice", "{PLAIN}secret")
    made = [editor.add_app_password("alice", label, SERVICES) for label in ("one", "two")]
    token = editor.add_token("alice", "one", SERVICES)
    names = [
        (await directory.authenticate("alice", "secret")).credential,
        *[(await directory.app_password("alice", one, "jmap")).credential for one in made],
        (await directory.token(token, "jmap")).credential,
    ]
    assert (await directory.principal("alice")).credentials == frozenset(names)
    assert len(set(names)) == 4
    editor.remove_credential(APP_PASSWORD, "alice", "two")
    again = editor.add_app_password("alice", "two", SERVICES)
    assert (await directory.app_password("alice", again, "jmap")).credential not in names


@ensureDeferred
async def test_passwords_of_both_kinds(directory, editor, clock):
    editor.set_secret("alice", "{PLAIN}secret")
    phone = editor.add_app_password("alice", "phone", ("jmap",))
    printer = editor.add_app_password("alice", "printer", ("smtp",))
    passwords = Passwords(directory, Throttle(clock.seconds))
    for right in ("secret", phone):
        assert await passwords.principal_of("alice", right, "192.0.2.1", "jmap") == ALICE
    with pytest.raises(AuthenticationFailed, match="login or password is wrong"):
        await passwords.principal_of("alice", printer, "192.0.2.1", "jmap")
    assert await passwords.principal_of("alice", printer, "192.0.2.1", "smtp") == ALICE


@ensureDeferred
async def test_provisioning(directory, editor):
    users = Users(directory, provisioning=True)
    assert await users.named("zoe") == Principal("zoe")
    zoe = Principal("zoe@example.org", emails=("zoe@example.org",))
    assert await users.named("zoe@example.org") == zoe
    assert await gatherResults([directory.provision("Zoe@Example.org")] * 2) == [zoe, zoe]
    assert await users.named("a@example.org") == ALICE
    # Mail to others of that domain must not become ours to deliver.
    assert await users.named("zoe@elsewhere.example") == Principal("zoe@elsewhere.example")
    assert not await directory.is_local_domain("elsewhere.example")
    for name in ("staff", "staff@example.org", "no name", "", "x:y", "\ud800"):
        with pytest.raises(NoAccount):
            await users.named(name)
    assert await directory.authenticate("zoe", "") is None


@ensureDeferred
async def test_without_provisioning_nobody_is_made(directory, editor):
    with pytest.raises(NoAccount):
        await Users(directory, provisioning=False).named("zoe")
    assert await directory.principal("zoe") is None


@ensureDeferred
async def test_who_was_removed_with_mail_is_not_made_before_it_is_gone(directory, editor):
    editor.remove("bob", delete_mail=True)
    with pytest.raises(NoAccount):
        await Users(directory, provisioning=True).named("bob")
    await directory.removed("bob")
    assert await Users(directory, provisioning=True).named("bob") == Principal("bob")


@given(st.integers())
def test_app_passwords_are_as_they_are_typed(seed):
    password = new_password()
    chosen = random.Random(seed)
    typed = "".join(
        chosen.choice(("", "-", " ")) if c == "-" else chosen.choice((c, c.upper()))
        for c in password
    )
    assert digest_of(typed) == digest_of(password) is not None


@given(st.text())
def test_few_texts_are_app_passwords(text):
    assert digest_of(text) is None


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = tmp_path / "directory.sqlite"
    connection = Connection(path)
    Schema(SCHEMA.name, SCHEMA.application_id, SCHEMA.migrations[:1]).apply(connection)
    connection.execute(
        "INSERT INTO principal VALUES ('alice', 'Alice', 'individual', '', '{PLAIN}x', 5,"
        " 'write', 'inbox')"
    )
    connection.close()
    editor = Editor(path)
    assert editor.principals() == (Principal("Alice", quota=5, mailboxes="inbox"),)
    assert editor.credentials(APP_PASSWORD) == ()
    editor.close()
    assert path.with_name("directory.sqlite.v1.backup").exists()


def test_changes_of_several_processes_are_all_made(editor, tmp_path):
    """Each has a connection of its own, as a process would."""

    def work(number):
        own = Editor(tmp_path / "directory.sqlite")
        try:
            own.change("bob", emails=lambda old: (*old.emails, f"b{number}@example.org"))
            return own.add_token("bob", f"token {number}", SERVICES)
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(work, range(16)))
    assert len(set(tokens)) == len(editor.credentials(TOKEN, "bob")) == 16
    emails = set(editor.principal("bob").emails)
    assert emails == {f"b{number}@example.org" for number in range(16)}
