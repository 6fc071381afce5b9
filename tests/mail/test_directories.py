"""Several directories as one: who is asked, and what names become."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import fail
from twisted.internet.threads import deferToThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IAppCredentials, IDirectory, IProvisioning, IRemovals
from mailhive.mail.directories import Directories, Routes
from mailhive.mail.membership import groups_of
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.directory import configured


def memory(*principals):
    from twisted.internet import reactor

    settings = MemorySettings(tuple(principals))
    assert list(settings.problems()) == []
    return MemoryDirectory(settings, deferToThread, reactor.seconds)


def person(name, *emails, member_of=(), kind="individual"):
    secret = f"{name}-secret" if kind == "individual" else None
    return PrincipalSettings(name, kind, secret=secret, email=emails, member_of=member_of)


class TestDirectories(DirectoryConformance):
    """With a second directory for a domain of its own, the first one is what it was."""

    @pytest.fixture
    def directory(self):
        first = memory(*(configured(p, PASSWORDS.get(p.name)) for p in PRINCIPALS))
        other = memory(person("alice", "alice@other.example"))
        routes = Routes({"first": first, "other": other}, "first", {"other.example": "other"})
        return Directories(routes)


@implementer(IDirectory)
class Down:
    """A directory that cannot answer, and counts who asks."""

    def __init__(self):
        self.asked = 0

    def _fail(self, *_):
        self.asked += 1
        return fail(TemporaryFailure("down"))

    authenticate = principal = recipients = is_local_domain = _fail


@pytest.fixture
def directories():
    main = memory(
        person("alice", "alice@main.example"),
        person("bob@partner.example"),
        person("carol@partners", "carol@main.example"),
    )
    partners = memory(
        person("alice", "alice@partner.example", "a@xn--bcher-kva.example", member_of=("staff",)),
        person("bob@partner.example", "bob@partner.example", member_of=("staff",)),
        person("dave@main.example", "dave@partner.example", "dave@main.example"),
        person("staff", "staff@partner.example", kind="group"),
    )
    domains = {"partner.example": "partners", "xn--bcher-kva.example": "partners"}
    return Directories(Routes({"main": main, "partners": partners}, "main", domains))


def test_provides_the_interfaces(directories):
    """Some of them only while one of the directories does."""
    for interface in (IDirectory, IRemovals):
        assert verifyObject(interface, directories)
    before = directories.routes
    more = {**before.directories, "more": Capable(tokens=())}
    for interface in (IAppCredentials, IProvisioning):
        assert not interface.providedBy(directories)
        directories.routes = Routes(more, before.default, before.domains)
        assert verifyObject(interface, directories)
        directories.routes = before


@pytest.mark.parametrize(
    ("login", "secret", "name"),
    [
        ("alice", "alice", "alice"),
        ("alice@main.example", "alice", "alice"),
        ("alice@partner.example", "alice", "alice@partners"),
        ("Alice@Partner.EXAMPLE", "alice", "alice@partners"),
        ("a@bücher.example", "alice", "alice@partners"),
        ("bob@partner.example", "bob@partner.example", "bob@partner.example"),
        ("dave@partner.example", "dave@main.example", "dave@main.example@partners"),
        ("dave@main.example", "dave@main.example", None),
        ("alice@partners", "alice", None),
        ("carol@partners", "carol@partners", None),
        ("staff@partner.example", "staff", None),
    ],
)
@ensureDeferred
async def test_logins(directories, login, secret, name):
    found = await directories.authenticate(login, f"{secret}-secret")
    assert (found and found.name) == name
    if name is not None:
        assert await directories.principal(name) == found
        assert await directories.authenticate(login, "wrong") is None


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("alice@main.example", ["alice"]),
        ("alice@partner.example", ["alice@partners"]),
        ("a@bücher.example", ["alice@partners"]),
        ("staff@partner.example", ["staff@partners"]),
        ("carol@main.example", []),  # whose name would be another's
        ("dave@main.example", []),
        ("nobody@partner.example", []),
        ("x@elsewhere.example", []),
    ],
)
@ensureDeferred
async def test_recipients(directories, address, names):
    assert [p.name for p in await directories.recipients(address)] == names


@ensureDeferred
async def test_names_are_each_one_s_own(directories):
    mine, theirs = (
        await directories.principal("alice"),
        await directories.principal("alice@partners"),
    )
    assert mine.emails == ("alice@main.example",)
    assert theirs.emails[0] == "alice@partner.example"
    assert theirs.member_of == ("staff@partners",)
    bob = await directories.principal("bob@partner.example")
    assert bob.emails == ("bob@partner.example",)
    assert await directories.principal("carol@partners") is None
    assert await directories.principal("bob@partner.example@partners") is None
    assert [g.name for g in await groups_of(directories, bob)] == ["staff@partners"]


@pytest.mark.parametrize(
    ("domain", "local"),
    [("main.example", True), ("PARTNER.example", True), ("bücher.example", True), ("x", False)],
)
@ensureDeferred
async def test_local_domains(directories, domain, local):
    assert await directories.is_local_domain(domain) is local


@ensureDeferred
async def test_one_that_is_down_disturbs_nobody_else(directories):
    down = Down()
    routes = directories.routes
    directories.routes = Routes({**routes.directories, "partners": down}, "main", routes.domains)
    assert (await directories.authenticate("alice", "alice-secret")).name == "alice"
    assert await directories.principal("alice")
    assert await directories.recipients("alice@main.example")
    assert await directories.recipients("x@elsewhere.example") == ()
    assert await directories.is_local_domain("partner.example")
    assert await directories.removals() == ()
    assert down.asked == 0
    for answer in (
        directories.authenticate("alice@partner.example", "alice-secret"),
        directories.principal("alice@partners"),
        directories.principal("bob@partner.example"),
        directories.recipients("x@partner.example"),
    ):
        with pytest.raises(TemporaryFailure):
            await answer
    directories.routes = Routes({**routes.directories, "main": down}, "main", routes.domains)
    assert await directories.authenticate("alice@partner.example", "alice-secret")
    assert await directories.recipients("alice@partner.example")


@implementer(IDirectory, IRemovals, IAppCredentials, IProvisioning)
class Capable(Down):
    """A directory that has all there is."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens = tokens
        self.forgotten = []

    async def app_password(self, login, password, service):
        return configured_principal(login.partition("@")[0])

    async def token(self, token_id, service):
        if self.tokens is None:
            raise TemporaryFailure("down")
        return configured_principal("alice") if token_id in self.tokens else None

    async def provision(self, name):
        return configured_principal(name)

    async def removals(self):
        return ("gone",)

    async def removed(self, name):
        self.forgotten.append(name)


def configured_principal(name):
    from mailhive.model.principal import Principal

    return Principal(name)


@ensureDeferred
async def test_what_only_some_can_do():
    def make(main, partners):
        return Directories(
            Routes({"main": main, "partners": partners}, "main", {"partner.example": "partners"})
        )

    both = make(Capable({"t1"}), Capable({"t2"}))
    assert (await both.token("t1", "jmap")).name == "alice"
    assert (await both.token("t2", "jmap")).name == "alice@partners"
    assert await both.token("t3", "jmap") is None
    assert (await both.app_password("alice@partner.example", "x", "jmap")).name == "alice@partners"
    assert (await both.provision("eve")).name == "eve"
    assert (await both.provision("eve@partner.example")).name == "eve@partner.example"
    assert await both.removals() == ("gone", "gone@partners")
    await both.removed("gone@partners")
    assert both.routes.directories["partners"].forgotten == ["gone"]
    assert both.routes.directories["main"].forgotten == []

    broken = make(Capable(None), Capable({"t2"}))
    assert (await broken.token("t2", "jmap")).name == "alice@partners"
    with pytest.raises(TemporaryFailure):
        await broken.token("t1", "jmap")

    plain = make(memory(), Capable({"t2"}))
    assert await plain.app_password("alice", "x", "jmap") is None
    assert await plain.provision("eve") is None
    assert await plain.removals() == ("gone@partners",)
