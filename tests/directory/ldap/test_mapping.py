"""Entries as principals: other directories' habits, and what cannot be made sense of."""

import pytest

from mailhive.config.fields import FilePath
from mailhive.directory.ldap.mapping import Mapping
from mailhive.directory.ldap.settings import LdapAttributes, LdapSettings, LdapTypes
from mailhive.directory.ldap.tree import Entry
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal


def mapping(*, domains=("example.org",), login="bind", **attributes) -> Mapping:
    return Mapping(
        LdapSettings(
            url=("ldap://x",),
            base_dn=("dc=x",),
            domains=domains,
            login=login,
            attributes=LdapAttributes(**attributes),
            types=LdapTypes(list=("mailList",)),
        )
    )


def entry(dn="uid=a,dc=x", **attributes) -> Entry:
    values = {"objectClass": "person", **attributes}
    return Entry(
        dn,
        {
            name.lower(): [v.encode() if isinstance(v, str) else v for v in [value] * 1]
            if isinstance(value, str | bytes)
            else [v.encode() if isinstance(v, str) else v for v in value]
            for name, value in values.items()
        },
    )


def test_a_person():
    found = mapping(quota="q", description=("cn",)).mapped(
        entry(uid="Alice", mail=["a@example.org", "b@EXAMPLE.org"], cn="Alice A.", q="2000")
    )
    assert found.principal == Principal(
        "Alice",
        description="Alice A.",
        emails=("a@example.org", "b@EXAMPLE.org"),
        quota=2000,
    )
    assert found.owned == found.reached == {"a@example.org", "b@example.org"}


def test_proxy_addresses():
    """As Active Directory has them: the primary one after `SMTP:`, others that are no mail's."""
    made = mapping(name=("sAMAccountName",), email=("proxyAddresses",), domains=())
    found = made.mapped(
        entry(
            sAMAccountName="alice",
            proxyAddresses=["smtp:b@x.example", "X500:/o=x", "SMTP:a@x.example", "sip:a@x.example"],
        )
    )
    assert found.principal.emails == ("a@x.example", "b@x.example")


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (["top", "PERSON"], "individual"),
        (["groupOfNames"], "group"),
        (["groupOfNames", "maillist"], "list"),
        (["person", "group"], "group"),
    ],
)
def test_types(classes, kind):
    assert mapping().mapped(entry(objectClass=classes, uid="a", cn="a")).principal.type == kind


@pytest.mark.parametrize(
    "attributes",
    [
        {"objectClass": "device", "uid": "a"},
        {"cn": "a"},  # a person who is a contact only
        {"uid": "a b"},
        {"uid": "a:b"},
        {"uid": ""},
        {"uid": b"\xff"},
        {"objectClass": "groupOfNames", "uid": "a"},
    ],
)
def test_entries_that_are_no_principals(attributes):
    assert mapping().mapped(entry(**attributes)) is None


def test_addresses_elsewhere_do_not_count():
    addresses = ["a@elsewhere.example", "a@example.org", "no address", "@example.org", b"\xff"]
    found = mapping().mapped(entry(uid="a", mail=addresses))
    assert found.principal.emails == ("a@example.org", "@example.org")


def test_addresses_of_lists():
    made = mapping(email_list=("list",))
    found = made.mapped(
        entry(uid="a", mail="a@example.org", list=["l@example.org", "@example.org"])
    )
    assert found.principal.emails == ("a@example.org",)
    assert found.owned == {"a@example.org"}
    assert found.reached == {"a@example.org", "l@example.org"}


@pytest.mark.parametrize(
    ("text", "quota"), [("1000", 1000), ("2M", 2_000_000), ("0", None), (None, None)]
)
def test_quotas(text, quota):
    values = {} if text is None else {"q": text}
    assert mapping(quota="q").mapped(entry(uid="a", **values)).principal.quota == quota


@pytest.mark.parametrize(
    "attributes",
    [
        {"uid": ["a", "b"]},
        {"uid": "a", "q": "-1"},
        {"uid": "a", "q": "much"},
        {"uid": "a", "may": "execute"},
        {"uid": "a", "boxes": ""},
    ],
)
def test_what_cannot_be_decided(attributes):
    made = mapping(quota="q", members_may="may", mailboxes="boxes")
    with pytest.raises(TemporaryFailure, match="uid=a,dc=x"):
        made.mapped(entry(**attributes))


def test_passwords_are_asked_for_where_they_are_compared():
    values = {"uid": "a", "userPassword": ["{SSHA}x", "y"]}
    bound, compared = mapping(), mapping(login="compare")
    assert "userPassword" not in bound.wanted
    assert "userPassword" in compared.wanted
    assert bound.mapped(entry(uid="a")).principal.credentials is None
    assert len(compared.mapped(entry(**values)).principal.credentials) == 2
    assert compared.mapped(entry(uid="a")).principal.credentials == frozenset()
    group = entry(objectClass="groupOfNames", cn="g", userPassword="x")
    assert compared.mapped(group).secrets == ()


@pytest.mark.parametrize("name", ["Straße", "chloe\u0301", "ALICE"])
def test_names_are_looked_for_as_given_and_folded(name):
    text = str(mapping().called(name))
    assert text.count("uid=") == 2 and text.count("cn=") == 2


def test_addresses_are_looked_for_in_both_forms_of_the_domain():
    text = str(mapping().having(["a@xn--bcher-kva.example", "@example.org"]))
    assert "mail=a@xn--bcher-kva.example" in text
    assert "mail=a@b\\c3\\bccher.example" in text or "mail=a@bücher.example" in text
    assert "mail=@example.org" in text


def test_several_certificates_of_authorities(tmp_path):
    from twisted.internet import reactor

    from mailhive.directory.ldap.pool import servers_of
    from mailhive.directory.ldap.settings import LdapTls
    from mailhive.testing.certificates import make_certificate

    path = tmp_path / "ca.pem"
    path.write_bytes(b"".join(make_certificate(f"{n}.example").certificate for n in range(3)))
    tls = LdapTls(ca=FilePath(path))
    settings = LdapSettings(
        url=("ldap://a", "ldaps://b:1"), base_dn=("dc=x",), domains=("x.example",), tls=tls
    )
    assert list(tls.problems()) == []
    assert [str(server.url) for server in servers_of(settings, reactor)] == [
        "ldap://a:389",
        "ldaps://b:1",
    ]
