"""The mail of somebody who was removed: deleted while the daemon runs, and never by mistake."""

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from mailhive.directory.editor import Editor
from mailhive.directory.internal import InternalDirectory
from mailhive.errors import NotFound
from mailhive.mail.removal import INTERVAL, MailRemoval
from mailhive.model.principal import Principal


@pytest.fixture
def editor(tmp_path):
    editor = Editor(tmp_path / "directory.sqlite")
    yield editor
    editor.close()


@pytest_twisted.async_yield_fixture
async def directory(tmp_path, editor):
    directory = InternalDirectory(tmp_path / "directory.sqlite", deferToThread, Clock().seconds)
    directory.open()
    yield directory
    await directory.close()


@ensureDeferred
async def test_what_is_asked_for_is_deleted_and_no_more(stores, directory, editor):
    removal = MailRemoval(directory, stores.mail_store, Clock())
    accounts = {}
    for name in ("eve", "bob", "carol"):
        principal = Principal(name)
        editor.add(principal)
        accounts[name] = await stores.accounts.ensure(principal)
    editor.remove("eve", delete_mail=True)
    editor.remove("bob")
    await removal.look()
    assert await stores.mail_store.accounts() == {n: accounts[n] for n in ("bob", "carol")}
    with pytest.raises(NotFound):
        await stores.mail_store.read(accounts["eve"], len)
    assert await directory.removals() == ("eve",)  # until it was seen to be gone
    await removal.look()
    assert await directory.removals() == ()
    editor.add(Principal("eve"))
    await removal.look()
    again = await stores.accounts.ensure(Principal("eve"))
    assert again != accounts["eve"]
    await removal.look()
    assert await stores.mail_store.account("eve") == again


@ensureDeferred
async def test_an_account_that_came_back_meanwhile(stores, directory, editor):
    """As a delivery makes it that had looked its recipient up before."""
    removal = MailRemoval(directory, stores.mail_store, Clock())
    eve = Principal("eve")
    editor.add(eve)
    editor.remove("eve", delete_mail=True)
    for _ in range(2):
        await stores.accounts.ensure(eve)
        await removal.look()
        assert await stores.mail_store.account("eve") is None
    await removal.look()
    assert await directory.removals() == ()


@ensureDeferred
async def test_as_a_service(stores, directory, editor):
    """It looks at the start, and again and again; what fails is tried again."""
    clock, looks = Clock(), []

    class Watched:
        def removals(self):
            looks.append(Deferred())
            return looks[-1]

    service = MailRemoval(Watched(), stores.mail_store, clock)
    service.startService()
    assert len(looks) == 1
    clock.advance(INTERVAL)
    assert len(looks) == 1  # one at a time
    looks[0].errback(NotFound("not now"))
    clock.advance(INTERVAL)
    assert len(looks) == 2
    stopped = service.stopService()
    assert not stopped.called
    looks[1].callback(())
    await stopped
    clock.advance(10 * INTERVAL)
    assert len(looks) == 2


@pytest.mark.parametrize(
    ("mailboxes", "roles"),
    [
        ("default", {"inbox", "drafts", "sent", "archive", "junk", "trash"}),
        ("inbox", {"inbox"}),
    ],
)
@ensureDeferred
async def test_what_a_new_account_has(stores, mailboxes, roles):
    user = await stores.user(Principal("eve", mailboxes=mailboxes))
    found = await user.call("Mailbox/get", ids=None, properties=["role"])
    assert {mailbox["role"] for mailbox in found["list"]} == roles
