"""The internal directory: the contract, and changes that hold at once."""

import threading
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
import pytest_twisted
from argon2 import PasswordHasher
from passlib.hash import ldap_salted_sha1, sha512_crypt
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from mailhive.directory import internal, password, schemes
from mailhive.directory.editor import Editor, Refused
from mailhive.errors import NotFound, TemporaryFailure
from mailhive.interfaces.directory import IDirectoryEditor, IRemovals
from mailhive.model.principal import Principal
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import SchemaError
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture
def editor(tmp_path):
    editor = Editor(tmp_path / "directory.sqlite")
    yield editor
    editor.close()


@pytest.fixture
def cheap(monkeypatch):
    """Hashes that cost little, or these tests would take minutes."""
    cost = schemes.extract_parameters(CHEAP.hash(""))
    monkeypatch.setattr(schemes, "COST", cost)
    monkeypatch.setattr(password, "COST", cost)


@pytest_twisted.async_yield_fixture
async def directory(tmp_path, editor, cheap):
    context = SimpleNamespace(data_dir=tmp_path, offload=deferToThread, reactor=reactor)
    directory = internal.PROVIDER.build(internal.InternalSettings(), context)
    directory.open()
    yield directory
    await directory.close()


def fill(editor, principals=PRINCIPALS, passwords=PASSWORDS):
    for principal in principals:
        password = passwords.get(principal.name)
        secret = None if password is None else editor.hash_password(password)
        bare = Principal(**{f: getattr(principal, f) for f in ("name", "type", "description")})
        editor.add(bare, secret)
    for principal in principals:
        changed = editor.change(
            principal.name,
            emails=principal.emails,
            member_of=principal.member_of,
            quota=principal.quota,
            members_may=principal.members_may,
            mailboxes=principal.mailboxes,
        )
        assert changed == principal


class TestInternalDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self, directory, editor):
        fill(editor)
        return directory


def test_provides_the_interfaces(directory, editor):
    assert verifyObject(IRemovals, directory)
    assert verifyObject(IDirectoryEditor, editor)


@ensureDeferred
async def test_changes_hold_at_once(directory, editor):
    assert await directory.authenticate("eve", "first") is None
    assert await directory.recipients("eve@x.example") == ()
    eve = Principal("eve", emails=("eve@x.example",))
    editor.add(eve, editor.hash_password("first"))
    first = await directory.authenticate("eve", "first")
    assert first == eve
    assert (await directory.principal("eve")).credentials == {first.credential}
    assert await directory.recipients("eve@x.example") == (eve,)
    assert await directory.is_local_domain("x.example")

    editor.set_secret("Eve", editor.hash_password("second"))
    assert await directory.authenticate("eve", "first") is None
    assert await directory.authenticate("eve", "second") == eve
    assert first.credential not in (await directory.principal("eve")).credentials
    eve = editor.change("eve", emails=("e@y.example",), quota=5)
    assert await directory.recipients("eve@x.example") == ()
    assert await directory.recipients("e@y.example") == (eve,)
    assert await directory.authenticate("e@y.example", "second") == eve

    assert editor.remove("EVE") == eve
    assert await directory.authenticate("eve", "second") is None
    assert await directory.principal("eve") is None
    assert await directory.recipients("e@y.example") == ()
    assert not await directory.is_local_domain("y.example")
    assert await directory.removals() == ()


@ensureDeferred
async def test_without_a_password_nobody_logs_in(directory, editor):
    editor.add(Principal("eve"), editor.hash_password("first"))
    assert await directory.authenticate("eve", "first")
    editor.set_secret("eve", None)
    assert await directory.authenticate("eve", "first") is None
    assert editor.scheme("eve") is None


@pytest.mark.parametrize(
    "old",
    [
        sha512_crypt.using(rounds=1000).hash("pass word"),
        ldap_salted_sha1.hash("pass word"),
        PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("pass word"),
    ],
    ids=["sha512_crypt", "ssha", "argon2 at another cost"],
)
@ensureDeferred
async def test_login_renews_an_outdated_hash(directory, editor, tmp_path, old):
    editor.add(Principal("eve"), editor.checked_hash(old))

    def stored():
        connection = Connection(tmp_path / "directory.sqlite")
        secret = connection.value("SELECT secret FROM principal")
        connection.close()
        return secret

    assert await directory.authenticate("eve", "wrong") is None
    assert stored() == old
    before = (await directory.principal("eve")).credentials
    [credential] = before
    assert (await directory.authenticate("eve", "pass word")).credential == credential
    new = stored()
    assert not schemes.is_outdated(new)
    for _ in range(2):
        assert (await directory.authenticate("eve", "pass word")).credential == credential
        assert await directory.authenticate("eve", "wrong") is None
    assert stored() == new
    # What was opened by the password, such as push subscriptions, goes on: it is the same one.
    assert (await directory.principal("eve")).credentials == before

    editor.set_secret("eve", editor.hash_password("pass word"))  # set anew: another one
    assert credential not in (await directory.principal("eve")).credentials


@ensureDeferred
async def test_renewing_does_not_undo_a_new_password(directory, editor, monkeypatch):
    editor.add(Principal("eve"), sha512_crypt.hash("old"))
    new = editor.hash_password("new")
    begun, go_on = threading.Event(), threading.Event()

    def hashed(password):
        begun.set()
        go_on.wait(100)
        return CHEAP.hash(password)

    monkeypatch.setattr(internal, "hashed", hashed)
    login = directory.authenticate("eve", "old")
    await deferToThread(begun.wait, 100)
    editor.set_secret("eve", new)
    go_on.set()
    assert await login
    assert await directory.authenticate("eve", "old") is None
    assert await directory.authenticate("eve", "new")


@ensureDeferred
async def test_a_file_in_use_is_waited_for_on_a_thread(directory, editor, monkeypatch):
    """SQLite locks readers out for moments; nobody is unknown because of that."""

    def locked_out(*_):
        raise apsw.BusyError("database is locked")

    editor.add(Principal("eve", emails=("eve@x.example",)))
    real = directory._inline
    for value in (real.value, locked_out):
        inline = SimpleNamespace(transaction=locked_out, value=value, close=real.close)
        monkeypatch.setattr(directory, "_inline", inline)
        assert await directory.principal("eve") == Principal("eve", emails=("eve@x.example",))
        assert await directory.recipients("nobody@x.example") == ()


@ensureDeferred
async def test_what_was_found_stands_until_something_changes(directory, editor):
    editor.add(Principal("eve"))
    assert await directory.principal("adam") is None
    for member_of in ((), ("staff",), ()):
        if member_of:
            editor.add(Principal("staff", "group"))
        editor.change("eve", member_of=member_of)
        for _ in range(3):
            assert (await directory.principal("eve")).member_of == member_of
    editor.add(Principal("adam"))
    assert await directory.principal("adam") == Principal("adam")
    await directory.provision("seth")  # by another connection of the same process
    assert await directory.principal("seth") == Principal("seth")


@ensureDeferred
async def test_not_open(tmp_path):
    directory = internal.InternalDirectory(
        tmp_path / "directory.sqlite", deferToThread, reactor.seconds
    )
    for answer in (directory.principal("eve"), directory.authenticate("eve", "x")):
        with pytest.raises(TemporaryFailure):
            await answer


def test_another_file_is_not_taken(tmp_path):
    path = tmp_path / "directory.sqlite"
    other = Connection(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(SchemaError, match="is not a internal database"):
        Editor(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(TemporaryFailure, match=r"cannot use .*directory\.sqlite"):
        Editor(path)


def test_the_file_is_its_owner_s(editor, tmp_path):
    for path in Path(tmp_path).iterdir():
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("principal", "secret", "message"),
    [
        (Principal("A b"), None, '"A b" is no name'),
        (Principal(""), None, "is no name"),
        (Principal("a:b"), None, "is no name"),
        (Principal("ALICE"), None, 'there is "alice" already'),
        (Principal("x", "group"), "hash", "a group has no password"),
        (Principal("x", emails=("x",)), None, '"x" is no address'),
        (Principal("x", emails=("Alice@X.example",)), None, 'an address of "alice" already'),
        (Principal("x", emails=("x@y.example", "X@y.example")), None, 'of "x" already'),
        (Principal("x", emails=("bob@x.example",)), None, "is the name of another"),
        (Principal("alice@x.example"), None, 'is an address of "alice"'),
        (Principal("x", member_of=("staff", "nobody")), None, 'no group or list "nobody"'),
        (Principal("x", member_of=("Alice",)), None, '"alice" is an individual'),
    ],
)
def test_what_cannot_be_added_is_told_and_nothing_changed(editor, principal, secret, message):
    editor.add(Principal("alice", emails=("alice@x.example", "@x.example")))
    editor.add(Principal("bob@x.example"))
    editor.add(Principal("staff", "group"))
    before = editor.principals()
    with pytest.raises(Refused, match=message):
        editor.add(principal, secret)
    assert editor.principals() == before


def test_a_login_may_be_its_own_address(editor):
    alice = Principal("a@x.example", emails=("a@x.example",))
    editor.add(alice)
    assert editor.principals() == (alice,)


def test_groups_and_their_members(editor):
    editor.add(Principal("staff", "group"))
    editor.add(Principal("eve", member_of=("STAFF", "staff")))
    assert editor.principal("eve").member_of == ("staff",)
    assert editor.members("Staff") == ("eve",)
    editor.remove("staff")
    assert editor.principal("eve").member_of == ()


@pytest.mark.parametrize("password", ["", "x" * 1025, "\ud800", "two\nlines", "\x7f"])
def test_passwords_that_cannot_be(editor, password):
    with pytest.raises(Refused, match="allowed"):
        editor.hash_password(password)


@pytest.mark.parametrize("secret", ["plain", "{PLAIN}x", "$argon2id$v=19$m=65536", "$y$j9T$a$b"])
def test_hashes_that_cannot_be(editor, secret):
    with pytest.raises(Refused):
        editor.checked_hash(secret)


@pytest.mark.parametrize("method", ["principal", "scheme", "members", "remove", "change"])
def test_nobody_of_that_name(editor, method):
    with pytest.raises(NotFound, match='there is no "nobody"'):
        getattr(editor, method)("nobody")


@ensureDeferred
async def test_mail_to_be_deleted_keeps_the_name(directory, editor):
    editor.add(Principal("eve"))
    editor.remove("eve", delete_mail=True)
    assert await directory.removals() == ("eve",)
    with pytest.raises(Refused, match='mail of the former "eve" is still to be deleted'):
        editor.add(Principal("Eve"))
    await directory.removed("eve")
    assert await directory.removals() == ()
    editor.add(Principal("Eve"))


@ensureDeferred
async def test_hashes_of_our_own(editor):
    secret = editor.hash_password("pässword")
    assert secret.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert schemes.matches(secret, "pässword")
    assert not schemes.is_outdated(secret)
