"""Filters and names with places for values: a value never becomes anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansldap import FilterAnd, FilterEquality, FilterSubstrings, LDAPFilter

from mailhive.directory.ldap.templates import DnTemplate, FilterTemplate, any_of, equals

VALUES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
NASTY = st.sampled_from(["*", ")(uid=*", "\\", "\\2a", "\0name\0", "{name}", "\0", "(", ")"])


@given(st.one_of(VALUES, NASTY))
def test_a_value_stays_one(value):
    template = FilterTemplate(r"(&(objectClass=person)(uid={name})(!(cn=\7bname\7d)))", "name")
    filled = template.fill(name=value)
    assert isinstance(filled, FilterAnd) and len(filled.filters) == 3
    assert filled.filters[1] == FilterEquality("uid", value.encode())
    assert filled.filters[2].filter == FilterEquality("cn", b"{name}")
    # What is sent is the same as that text, escaped by the library's own rules.
    assert LDAPFilter.from_string(str(filled)) == filled


@given(st.one_of(VALUES, NASTY))
def test_a_value_inside_of_a_pattern(value):
    filled = FilterTemplate("(|(mail=*@{domain})(x=a*{domain}b*c))", "domain").fill(domain=value)
    octets = value.encode()
    first, second = filled.filters
    assert first == FilterSubstrings("mail", None, [], b"@" + octets)
    assert second == FilterSubstrings("x", b"a", [octets + b"b"], b"c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        "uid={name})",
        "(uid={name}",
        "(uid={name})(cn=x)",
        "({name}=x)",
        "(uid={login})",
        "(uid={})",
        "(uid=\\zz)",
        "(uid=\0)",
        "(uid=\\00name\\00)",
        "(!" * 5_000 + "(uid=x)" + ")" * 5_000,
        "(!" * 900 + "(uid=x)" + ")" * 900,
        "(uid=" + "x" * 20_000 + ")",
    ],
)
def test_texts_that_are_no_filter(text):
    with pytest.raises(ValueError, match="allowed"):
        FilterTemplate(text, "name")


def test_several_filters():
    one, other = equals("uid", "ü"), equals("cn", "*")
    assert any_of([one]) is one
    assert any_of([one, other]).filters == [one, other]
    assert one == FilterEquality("uid", "ü".encode())


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("bob", "bob"),
        ("chloé", "chloé"),
        ("a,b", "a\\2cb"),
        (" a b ", "\\20a b\\20"),
        (" ", "\\20"),
        ("#a#", "\\23a#"),
        ('+"\\<>;=', "\\2b\\22\\5c\\3c\\3e\\3b\\3d"),
        ("a\0", "a\\00"),
    ],
)
def test_values_in_names(value, escaped):
    # RFC 4514 §2.4
    filled = DnTemplate("uid={name},dc=x", "name").fill(name=value)
    assert filled == f"uid={escaped},dc=x"


@pytest.mark.parametrize("text", ["", "uid={login},dc=x"])
def test_texts_that_are_no_name(text):
    with pytest.raises(ValueError, match="allowed"):
        DnTemplate(text, "name")
