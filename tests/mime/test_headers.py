"""Header values in the forms of RFC 8621 §4.1.2, and the names of header properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.mime.address import MAX_ADDRESSES
from mailhive.mime.fields import Headers
from mailhive.mime.headers import (
    as_addresses,
    as_date,
    as_grouped_addresses,
    as_message_ids,
    as_text,
    as_urls,
    header_value,
    parse_form,
    parse_header_property,
    received_at,
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" hello", "hello"),
        ("  \r\n hello\r\n  world ", "hello  world "),
        ("\thello", "\thello"),
        (" =?UTF-8?Q?John_Sm=C3=AEth?=", "John Smîth"),
        (" =?utf-8?B?w6Q=?= x =?iso-8859-1?q?=E4?=", "ä x ä"),
        (" =?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (" =?utf-8?q?a?= \t =?iso-8859-1?q?b?= c", "ab c"),
        (" =?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "€"),
        (" =?utf-8*en?q?a?=", "a"),
        (" x=?utf-8?q?a?=", "x=?utf-8?q?a?="),
        (" =?utf-8?q?a?=x", "=?utf-8?q?a?=x"),
        (" =?utf-8?q?a?==?utf-8?q?b?=", "=?utf-8?q?a?==?utf-8?q?b?="),
        (" =?utf-8?q?a b?=", "=?utf-8?q?a b?="),
        (" =?x-none?q?a?=", "=?x-none?q?a?="),
        (" =?utf-8?x?a?=", "=?utf-8?x?a?="),
        (" =?utf-8?q?a=00=0D=0Ab?=", "ab"),
        (" =?utf-8?q?=FF?=", "\ufffd"),
        (" =?utf-8?b?w6Q?=", "ä"),
        (" =?utf-8?q??= x", " x"),
        (" e\u0301", "é"),
        (" =?utf-8?q?e=CC=81?=", "é"),
        ("", ""),
    ],
)
def test_text(raw: str, text: str) -> None:
    assert as_text(raw) == text


def a(name: str | None, email: str) -> dict[str, str | None]:
    return {"name": name, "email": email}


# RFC 8621 §4.1.2.3 and §4.1.2.4
EXAMPLE = (
    '  "  James Smythe" <james@example.com>, Friends:\r\n'
    "   jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n"
    "   <john@example.com>;"
)
JAMES, JANE, JOHN = (
    a("James Smythe", "james@example.com"),
    a(None, "jane@example.com"),
    a("John Smîth", "john@example.com"),
)


def test_the_examples_of_addresses() -> None:
    assert as_addresses(EXAMPLE) == [JAMES, JANE, JOHN]
    assert as_grouped_addresses(EXAMPLE) == [
        {"name": None, "addresses": [JAMES]},
        {"name": "Friends", "addresses": [JANE, JOHN]},
    ]


@pytest.mark.parametrize(
    ("raw", "addresses"),
    [
        ("", []),
        (" ,, ;", []),
        ("<>", []),
        ("joe@example.com", [a(None, "joe@example.com")]),
        ("joe@example.com (Joe \\(J\\) (the) B)", [a("Joe (J) (the) B", "joe@example.com")]),
        ("Joe <joe@x> (c)", [a("Joe", "joe@x")]),
        ("<joe@x> (Joe)", [a("Joe", "joe@x")]),
        ("(before) joe@x", [a("before", "joe@x")]),
        ('"Joe \\"Q\\" B" <joe@x>', [a('Joe "Q" B', "joe@x")]),
        ('"Joe\r\n B" <joe@x>', [a("Joe B", "joe@x")]),
        ("Joe Q. B <joe@x>", [a("Joe Q. B", "joe@x")]),
        (
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            [a("Pete", "pete@silly.test")],
        ),
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            [a("Mary Smith", "mary@example.net"), a(None, "jdoe@test.example")],
        ),
        ("Joe < joe @ x >", [a("Joe", "joe@x")]),
        ('"joe b"@x', [a(None, '"joe b"@x')]),
        ('Joe <"joe, b>"@x>', [a("Joe", '"joe, b>"@x')]),
        ("joe@[192.0.2.1]", [a(None, "joe@[192.0.2.1]")]),
        ("Joe <joe@[IPv6:2001:db8::1]>", [a("Joe", "joe@[IPv6:2001:db8::1]")]),
        ("Joe Bloggs joe@x", [a("Joe Bloggs", "joe@x")]),
        ("Joe Bloggs", [a(None, "Joe Bloggs")]),
        ('"Joe, Bloggs"', [a(None, "Joe, Bloggs")]),
        ("a@x; b@y", [a(None, "a@x"), a(None, "b@y")]),
        ("Joe <joe@x, Jane <jane@y>", [a("Joe", "joe@x"), a("Jane", "jane@y")]),
        ('"Joe <joe@x>, b@y', [a('"Joe', "joe@x"), a(None, "b@y")]),
        ("Joe (oops <joe@x>", [a("Joe (oops", "joe@x")]),
        ("jörg@müller.example", [a(None, "jörg@müller.example")]),
        ("Jörg Müller <j@x>", [a("Jörg Müller", "j@x")]),
        ("=?utf-8?q?J=C3=B6rg?= =?utf-8?b?w4Q=?= <j@x>", [a("JörgÄ", "j@x")]),
        ("=?utf-8?q?J=C3=B6rg?=<j@x>", [a("Jörg", "j@x")]),
        ("=?utf-8?q?M,_J?= <j@x>", [a("M, J", "j@x")]),
        ('"=?utf-8?q?a?=" <j@x>', [a("=?utf-8?q?a?=", "j@x")]),
        ('=?utf-8?q?a?= "b c" d <j@x>', [a("a b c d", "j@x")]),
        ("j@x (=?utf-8?q?=C3=A4?=)", [a("ä", "j@x")]),
        ('"" <j@x>', [a(None, "j@x")]),
        ("undisclosed-recipients:;", []),
    ],
)
def test_addresses(raw: str, addresses: list[dict[str, str | None]]) -> None:
    assert as_addresses(raw) == addresses


@pytest.mark.parametrize(
    ("raw", "groups"),
    [
        ("undisclosed-recipients:;", [("undisclosed-recipients", [])]),
        ("a@x, b@x", [(None, ["a@x", "b@x"])]),
        ("a@x, G: b@x; c@x", [(None, ["a@x"]), ("G", ["b@x"]), (None, ["c@x"])]),
        ('"A: \\"b\\"": b@x', [('A: "b"', ["b@x"])]),
        ("A: b@x, =?utf-8?q?=C3=A4?=: c@x;", [("A", ["b@x", "c@x"])]),
        ("A:; B:b@x;", [("A", []), ("B", ["b@x"])]),
        ("A (c): b@x;", [("A", ["b@x"])]),
    ],
)
def test_groups(raw: str, groups: list[tuple[str | None, list[str]]]) -> None:
    found = as_grouped_addresses(raw)
    assert [(g["name"], [m["email"] for m in g["addresses"]]) for g in found] == groups


@given(
    st.text(alphabet="ab1é. '-\"(),@_\t", max_size=12), st.sampled_from(["<a.b+c@d-e.f>", "<é@b>"])
)
def test_one_mailbox_is_read_as_a_list_of_it(name: str, address: str) -> None:
    raw = f" {name}{address}"
    assert as_grouped_addresses(raw) == as_grouped_addresses(raw + ",")


def test_of_addresses_without_end_some_are_read() -> None:
    assert len(as_addresses("a," * MAX_ADDRESSES * 2)) == MAX_ADDRESSES
    assert len(as_addresses("<a@b>, " * MAX_ADDRESSES)) == MAX_ADDRESSES
    assert len(as_grouped_addresses("a:;" * MAX_ADDRESSES * 2)) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("raw", "ids"),
    [
        (" <a@b>", ["a@b"]),
        (" <a@b>\r\n\t<c@d> (x <no@no>) <e@f>", ["a@b", "c@d", "e@f"]),
        (" Your message of today <a@b>", ["a@b"]),
        (' "quoted <no@no>" <a@b>', ["a@b"]),
        (" <a\r\n @b>", ["a@b"]),
        (" <a(b)@c>", ["a(b)@c"]),
        (" a@b ", ["a@b"]),
        (" a b", None),
        (" <>", None),
        ("", None),
        (" <a@b", None),
    ],
)
def test_message_ids(raw: str, ids: list[str] | None) -> None:
    assert as_message_ids(raw) == ids


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        (" Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"),
        (" Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
        (
            (
                " Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
                "               -0330 (Newfoundland Time)"
            ),
            "1969-02-13T23:32:00-03:30",
        ),
        (" 21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"),
        (" Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"),
        (" 1 Jan 49 00:00 EST", "2049-01-01T00:00:00-05:00"),
        (" 1 Jan 50 00:00:00 Z", "1950-01-01T00:00:00Z"),
        (" 1 Jan 102 00:00:00 A", "2002-01-01T00:00:00Z"),
        (" 1 Jan 2020 00:00:00 PDT", "2020-01-01T00:00:00-07:00"),
        (" 1 Jan 2020 00:00:00", "2020-01-01T00:00:00Z"),
        (" 31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"),
        (" 30 Feb 2020 00:00:00 +0000", None),
        (" 1 Jan 2020 25:00:00 +0000", None),
        (" 1 Jan 2020 00:00:00 +9900", None),
        (" 1 Jan 0001 00:00:00 +0100", None),
        (" yesterday", None),
        ("", None),
    ],
)
def test_dates(raw: str, date: str | None) -> None:
    assert as_date(raw) == date


@pytest.mark.parametrize(
    ("raw", "urls"),
    [
        (
            " <mailto:list@host.com?subject=help> (List Instructions)",
            ["mailto:list@host.com?subject=help"],
        ),
        (" (Use this) <http://a/>,\r\n <http://b/\r\n c>", ["http://a/", "http://b/c"]),
        (" (a <b> c) <http://a/>", ["http://a/"]),
        (" NO (posting not allowed on this list)", None),
        (" http://a/", None),
        (" text <http://a/>", None),
        (" <>", None),
        ("", None),
    ],
)
def test_urls(raw: str, urls: list[str] | None) -> None:
    assert as_urls(raw) == urls


HEADERS = Headers([("Subject", " a"), ("X-A", " 1"), ("SUBJECT", " b"), ("To", " x@y, z@y")])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header:subject", " b"),
        ("header:Subject:all", [" a", " b"]),
        ("header:Subject:asText:all", ["a", "b"]),
        ("header:None:asText", None),
        ("header:None:asDate:all", []),
        ("header:X-A:asMessageIds", None),
        ("header:X-A:asRaw", " 1"),
        ("header:To:asAddresses:all", [[a(None, "x@y"), a(None, "z@y")]]),
    ],
)
def test_header_properties(name: str, value: object) -> None:
    assert header_value(HEADERS, parse_header_property(name)) == value


@pytest.mark.parametrize(
    "name",
    [
        "header:From:asDate",
        "header:from:asText",
        "header:Subject:asAddresses",
        "header:Date:asURLs",
        "header:Received:asText",
        "header:Return-Path:asAddresses",
        "header:List-Post:asText",
        "header:References:asText",
        "header:To:asaddresses",
        "header:To:asNonsense",
        "header:To:all:asAddresses",
        "header:",
        "header::all",
        "header:a b",
        "header:ä",
        "header:To:all:",
        "subject",
        "Header:To",
    ],
)
def test_header_properties_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        parse_header_property(name)


@pytest.mark.parametrize(
    "name",
    [
        "header:Subject:asText",
        "header:Comments:asText",
        "header:List-Id:asText",
        "header:Resent-From:asGroupedAddresses",
        "header:Resent-Message-ID:asMessageIds",
        "header:Resent-Date:asDate:all",
        "header:List-Archive:asURLs",
        "header:X-Any:asURLs",
    ],
)
def test_header_properties_that_are_allowed(name: str) -> None:
    assert parse_header_property(name).name == name


def test_when_a_message_was_received() -> None:
    raw = b"Received: from x by y; Fri, 21 Nov 1997 09:55:06 -0600\r\nReceived: z; x\r\n\r\n"
    assert received_at(raw) == 880127706000
    assert received_at(b"Received: from x by y\r\n\r\n") is None
    assert received_at(b"Subject: x\r\n\r\nReceived: ; Fri, 21 Nov 1997 09:55:06 -0600\r\n") is None


HOSTILE = [
    "(" * 200_000,
    '"' * 200_001,
    "<" * 200_000,
    '\\"' * 100_000,
    '<"' * 100_000,
    "a@b," * 60_000,
    "(\\" * 100_000,
    "=?" * 100_000,
    "=?utf-8?q?a?= " * 18_000,
    ":" * 200_000,
    "a:" * 100_000,
    " " * 200_000,
    "[" * 200_000,
    ";" * 200_000,
    "<a," * 80_000,
    "()" * 100_000,
    "@" * 200_000,
    '"a" ' * 60_000,
    ". " * 100_000,
    '<(">' * 60_000,
]


@pytest.mark.parametrize("form", ["Text", "Addresses", "MessageIds", "Date", "URLs"])
@pytest.mark.parametrize("index", range(len(HOSTILE)))
@pytest.mark.timeout(100)
def test_hostile_values_end(form: str, index: int) -> None:
    parse_form(HOSTILE[index], form)


@given(st.text(alphabet='ab@<>(),;:"\\ \t=?utf-8qäé.[]\r\n\0', max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_value_raises(raw: str) -> None:
    for form in ("Raw", "Text", "Addresses", "GroupedAddresses", "MessageIds", "Date", "URLs"):
        parse_form(raw, form)
    members = [m for group in as_grouped_addresses(raw) for m in group["addresses"]]
    assert members == as_addresses(raw)
