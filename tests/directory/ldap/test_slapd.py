"""The LDAP directory on OpenLDAP's slapd, by the example of etc/."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import gatherResults

from mailhive.directory.scram import derived, new_scram
from mailhive.errors import TemporaryFailure
from mailhive.testing.conformance.directory import PASSWORDS, DirectoryConformance

pytestmark = pytest.mark.system

TYPE = 'type = "ldap"\n'
MEMBER_OF = 'member-of = "memberOf"               # with the overlay of that name\n'
DOMAINS = 'domains = ["example.org", "example.net", "example.com", "bücher.example"]\n'
PRINCIPALS = 'principals = "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))"\n'
BY_DOMAIN = 'domain = "(|(mail=*@{domain})(mailhiveAddress=*@{domain}))"\n'
COMPARE = (
    (TYPE, TYPE + 'login = "compare"\n'),
    ("cn=mailhive,", "cn=checker,"),
)


class TestBinding(DirectoryConformance):
    """The example as it is."""

    @pytest.fixture
    def directory(self, new_directory):
        return new_directory()


class TestComparing(DirectoryConformance):
    """Passwords compared with what is stored; the other server first, which has ldaps."""

    @pytest.fixture
    def directory(self, new_directory, slapd):
        first, second = f'"ldap://localhost:{slapd.port}"', f'"ldaps://localhost:{slapd.tls_port}"'
        return new_directory(*COMPARE, (f"{first}, {second}", f"{second}, {first}"))


class TestSearching(DirectoryConformance):
    """Groups by their members, domains by a filter, entries one by one."""

    @pytest.fixture
    def directory(self, new_directory):
        return new_directory(
            (TYPE, TYPE + "page-size = 1\n"),
            (MEMBER_OF, ""),
            (DOMAINS, ""),
            (PRINCIPALS, PRINCIPALS + BY_DOMAIN),
        )


@ensureDeferred
async def test_binding_by_a_template(new_directory):
    template = "uid={name},ou=people,dc=example,dc=org"
    directory = new_directory((TYPE, TYPE + f'user-dn = "{template}"\n'))
    for name, password in PASSWORDS.items():
        assert (await directory.authenticate(name, password)).name == name
        assert await directory.authenticate(name, password[:-1]) is None
    elsewhere = new_directory((TYPE, TYPE + f'user-dn = "{template.replace("people", "x")}"\n'))
    assert await elsewhere.authenticate("bob", PASSWORDS["bob"]) is None


@pytest.mark.parametrize(
    "login",
    ["bob)(uid=*", "*)(objectClass=*", "bob,ou=people", " bob", "bob ", "b  ob", "\\62ob", "b*b"],
)
@ensureDeferred
async def test_a_login_is_nothing_but_a_value(new_directory, slapd, login):
    directory = new_directory()
    assert await directory.authenticate(login, PASSWORDS["bob"]) is None
    assert await directory.principal(login) is None
    assert await directory.recipients(f"{login}@example.net") == ()


@ensureDeferred
async def test_odd_names_are_found_and_bound(new_directory, slapd):
    """What filters and names of entries have to escape."""
    name = 'o"d,d+n;a<m>e=#\\(*)'
    escaped = "".join(f"\\{ord(c):02x}" for c in name)
    people = "ou=people,dc=example,dc=org"
    slapd.modify(
        f"dn: uid={escaped},{people}\nchangetype: add\nobjectClass: inetOrgPerson\n"
        f"uid: {name}\ncn: x\nsn: x\nuserPassword: odd-secret\n"
    )
    directory = new_directory((TYPE, TYPE + f'user-dn = "uid={{name}},{people}"\n'))
    assert (await directory.principal(name)).name == name
    assert (await directory.authenticate(name, "odd-secret")).name == name
    assert await directory.authenticate(name, "odd-secret ") is None


@pytest.mark.parametrize("how", [(), COMPARE], ids=["bind", "compare"])
@ensureDeferred
async def test_who_is_disabled(new_directory, slapd, how):
    directory = new_directory(*how)
    entry = "dn: uid=bob,ou=people,dc=example,dc=org\nchangetype: modify\n"
    slapd.modify(entry + "add: mailhiveEnabled\nmailhiveEnabled: FALSE\n")
    try:
        assert await directory.authenticate("bob", PASSWORDS["bob"]) is None
        assert (await directory.principal("bob")).enabled is False
        assert [p.name for p in await directory.recipients("bob@example.org")] == ["bob"]
    finally:
        slapd.modify(entry + "delete: mailhiveEnabled\n")
    assert (await directory.authenticate("bob", PASSWORDS["bob"])).enabled is True


@ensureDeferred
async def test_who_cannot_be_told_apart(new_directory, slapd):
    people = "ou=people,dc=example,dc=org"
    kinds = "changetype: add\nobjectClass: inetOrgPerson\ncn: x\nsn: x\n"
    slapd.modify(
        f"dn: uid=twin,{people}\n{kinds}mail: one@example.org\nuserPassword: twin-secret\n\n"
        f"dn: uid=twin,ou=services,dc=example,dc=org\n{kinds}mail: two@example.org\n\n"
        f"dn: uid=other,{people}\n{kinds}mail: one@example.org\n\n"
        f"dn: uid=many,{people}\n{kinds}uid: names\nmail: many@example.org\n"
    )
    directory = new_directory(('"ou=people,dc=example,dc=org"', '"dc=example,dc=org"'))
    for login in ("twin", "one@example.org", "many", "names"):
        with pytest.raises(TemporaryFailure):
            await directory.authenticate(login, "twin-secret")
    for asked in (directory.principal("twin"), directory.recipients("many@example.org")):
        with pytest.raises(TemporaryFailure):
            await asked
    # Where it does not matter, nobody is held up.
    reached = await directory.recipients("one@example.org")
    assert {principal.name for principal in reached} == {"twin", "other"}
    assert [p.name for p in await directory.recipients("two@example.org")] == ["twin"]
    slapd.modify(
        f"dn: uid=twin,ou=services,dc=example,dc=org\nchangetype: delete\n\n"
        f"dn: uid=many,{people}\nchangetype: delete\n\n"
        f"dn: uid=other,{people}\nchangetype: delete\n"
    )
    assert (await directory.authenticate("one@example.org", "twin-secret")).name == "twin"


@ensureDeferred
async def test_groups_that_name_logins(new_directory, slapd):
    """As `posixGroup` does, in `memberUid`."""
    slapd.modify(
        "dn: cn=crew,ou=groups,dc=example,dc=org\nchangetype: add\nobjectClass: posixGroup\n"
        "gidNumber: 1000\nmemberUid: bob\nmemberUid: alice\nmemberUid: nobody\n\n"
        "dn: cn=readers,ou=groups,dc=example,dc=org\nchangetype: add\nobjectClass: posixGroup\n"
        "objectClass: mailhiveList\nmail: readers@example.org\ngidNumber: 1001\nmemberUid: mute\n"
        "memberUid: crew\nmemberUid: readers\n"
    )
    directory = new_directory(
        (MEMBER_OF, 'member = ["member", "memberUid"]\n'),
        ("(objectClass=groupOfNames)", "(objectClass=groupOfNames)(objectClass=posixGroup)"),
        (TYPE, TYPE + 'types = { group = ["groupOfNames", "posixGroup"] }\n'),
    )
    bob = await directory.principal("bob")
    assert set(bob.member_of) == {"staff", "crew"}
    assert set((await directory.principal("mute")).member_of) == {"news", "readers"}
    reached = await directory.recipients("readers@example.org")
    assert {principal.name for principal in reached} == {"mute", "crew"}


@ensureDeferred
async def test_a_long_list_and_its_limit(new_directory, slapd):
    people = "ou=people,dc=example,dc=org"
    names = [f"reader{number}" for number in range(120)]
    slapd.modify(
        "".join(
            f"dn: uid={name},{people}\nchangetype: add\nobjectClass: inetOrgPerson\n"
            f"cn: x\nsn: x\nmail: {name}@example.org\n\n"
            for name in names
        )
        + "dn: cn=long,ou=groups,dc=example,dc=org\nchangetype: add\nobjectClass: groupOfNames\n"
        "objectClass: mailhiveList\nmail: long@example.org\n"
        + "".join(f"member: uid={name},{people}\n" for name in names)
    )
    for more in ("page-size = 7\n", "page-size = 0\n"):
        directory = new_directory((TYPE, TYPE + more))
        reached = await directory.recipients("long@example.org")
        assert sorted(principal.name for principal in reached) == sorted(names)
    for more in ("max-entries = 100\n", "max-answer = 2000\n"):
        directory = new_directory((TYPE, TYPE + more))
        with pytest.raises(TemporaryFailure):
            await directory.recipients("long@example.org")
        # That was an answer; the server works, and everybody else is served at once.
        assert (await directory.authenticate("bob", PASSWORDS["bob"])).name == "bob"


@ensureDeferred
async def test_parts_on_other_servers(new_directory, slapd):
    slapd.modify(
        "dn: ou=abroad,ou=people,dc=example,dc=org\nchangetype: add\nobjectClass: referral\n"
        "objectClass: extensibleObject\nou: abroad\nref: ldap://127.0.0.1:1/ou=abroad\n"
    )
    try:
        directory = new_directory()
        with pytest.raises(TemporaryFailure):
            await directory.principal("bob")
        directory = new_directory((TYPE, TYPE + 'referrals = "ignore"\n'))
        assert (await directory.principal("bob")).name == "bob"
    finally:
        # ManageDsaIT (RFC 3296), or the referral would be followed.
        slapd.modify(
            "dn: ou=abroad,ou=people,dc=example,dc=org\n"
            "control: 2.16.840.1.113730.3.4.2 true\nchangetype: delete\n"
        )


@ensureDeferred
async def test_values_that_make_no_sense(new_directory, slapd):
    entry = "dn: uid=mute,ou=people,dc=example,dc=org\nchangetype: modify\n"
    slapd.modify(entry + "replace: mailhiveMailboxes\nmailhiveMailboxes: some\n")
    try:
        directory = new_directory()
        with pytest.raises(TemporaryFailure):
            await directory.principal("mute")
        with pytest.raises(TemporaryFailure):
            await directory.recipients("mute@example.net")
        assert (await directory.principal("bob")).name == "bob"
    finally:
        slapd.modify(entry + "replace: mailhiveMailboxes\nmailhiveMailboxes: inbox\n")


@ensureDeferred
async def test_never_more_connections_than_allowed(new_directory, slapd, relay):
    directory = new_directory(
        (f"localhost:{slapd.port}", f"localhost:{relay.port}"),
        (TYPE, TYPE + "pool = { max-connections = 2 }\n"),
    )
    found = await gatherResults([directory.principal("bob") for _ in range(40)])
    assert {principal.name for principal in found} == {"bob"}
    assert relay.most == 2
    rights = [directory.authenticate("bob", PASSWORDS["bob"]) for _ in range(20)]
    wrongs = [directory.authenticate("bob", "wrong") for _ in range(20)]
    assert all(await gatherResults(rights)) and not any(await gatherResults(wrongs))
    assert relay.most == 4


@ensureDeferred
async def test_scram_beside_another_hash(new_directory, slapd):
    directory = new_directory((TYPE, TYPE + 'login = "compare"\nscram = true\n'), COMPARE[1])
    assert directory.offers_scram
    assert (await directory.scram("bob", bytes(32))).name is None
    entry = "dn: uid=bob,ou=people,dc=example,dc=org\nchangetype: modify\n"
    secret = new_scram("pencil", 5000)  # as RFC 5803 has it
    slapd.modify(entry + f"add: userPassword\nuserPassword: {secret}\n")
    try:
        found = await directory.scram("bob@example.org", bytes(32))
        assert found.name == "bob"
        assert found.verifier == derived("pencil", found.verifier.salt, 5000)
        for password in ("pencil", PASSWORDS["bob"]):
            assert (await directory.authenticate("bob", password)).name == "bob"
        known = await directory.authenticate("bob", "pencil")
        assert found.credential == known.credential
        assert (await directory.scram("nobody", bytes(32))).verifier.iterations == 5000
    finally:
        slapd.modify(entry + f"delete: userPassword\nuserPassword: {secret}\n")
