"""Messages that are built read back as they were meant."""

import email
import email.policy
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.mime.body import body_value
from mailhive.mime.build import BuildPart, FieldError, HeaderValue, build, encode_text
from mailhive.mime.headers import CONVENIENCE, parse_header_property
from mailhive.mime.transfer import apply_slices
from mailhive.mime.view import EmailView


def made(headers: list[HeaderValue], body: BuildPart | None = None) -> tuple[bytes, EmailView]:
    raw = build(headers, body or BuildPart("text/plain"), host="mail.example.org", now=880127706000)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"") or (body and body.type == "message/rfc822")
    return raw, EmailView.scanned(raw, "B")


def read_back(name: str, value: Any) -> Any:
    wanted = parse_header_property(name)
    _, view = made([(wanted, value)])
    # No value can make a field of its own: these are all that there are.
    names = {field.lower() for field, _ in view.root.fields}
    assert names <= {wanted.key, "date", "message-id", "mime-version", "content-type"}
    return view[name]


def test_what_is_added() -> None:
    raw, view = made([])
    assert view["sentAt"] == "1997-11-21T15:55:06Z"
    assert view["messageId"][0].endswith("@mail.example.org")
    assert view["header:MIME-Version:asText"] == "1.0"
    assert made([])[1]["messageId"] != view["messageId"]
    assert raw.endswith(b"\r\n\r\n")


def test_what_is_given_is_not_added_again() -> None:
    headers = [
        (CONVENIENCE["sentAt"], "2018-07-10T01:05:08-03:30"),
        (CONVENIENCE["messageId"], ["a@b"]),
    ]
    _, view = made(headers)
    assert view["header:Date:asDate:all"] == ["2018-07-10T01:05:08-03:30"]
    assert view["header:Message-ID:asMessageIds:all"] == [["a@b"]]
    assert [name for name, _ in view.root.fields][:2] == ["Date", "Message-ID"]


TEXTS = [
    "",
    "plain",
    "ä",
    "a" * 2000,
    "word " * 300 + "end",
    "  two  spaces  ",
    "=?utf-8?q?a?=",
    "Ünïcode " * 40 + "x",
    "a\tb",
    "日本語" * 50,
    "x =?a b ?= y",
    "e\u0301" * 30,
    "😀" * 40,
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str) -> None:
    assert read_back("header:Subject:asText", text) == unicodedata.normalize("NFC", text)


NASTY = "a\r\nBcc: victim@example.org\r\n\r\nbody\n\x00\x1b\x85\u2028x\ud800"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("Text", NASTY),
        ("Addresses", [{"name": NASTY, "email": NASTY}, {"name": None, "email": NASTY}]),
        ("GroupedAddresses", [{"name": NASTY, "addresses": [{"name": NASTY, "email": NASTY}]}]),
        ("MessageIds", [NASTY, "<>" + NASTY]),
        ("URLs", [NASTY]),
    ],
)
def test_no_value_leaves_its_field(form: str, value: Any) -> None:
    read_back(f"header:X-Test:as{form}", value)


@pytest.mark.parametrize(
    "value",
    [
        " a\r\nBcc: x",
        " a\nb",
        " a\rb",
        " a\r\n\r\n b",
        " a\r\n \r\nb",
        " a\r\n ",
        "\0",
        "\ud800",
        "x" * 999,
    ],
)
def test_raw_values_that_are_refused(value: str) -> None:
    with pytest.raises(FieldError, match="X-Test"):
        made([(parse_header_property("header:X-Test"), value)])


@pytest.mark.parametrize("value", [" a", "\ta", "", " a\r\n b\r\n\t c", " ä", "  =?utf-8?q?a?= "])
def test_raw_values(value: str) -> None:
    assert read_back("header:X-Test", value) == value


def test_names_of_several_words_are_quoted() -> None:
    wanted = parse_header_property("header:X-Test:asAddresses")
    message, _ = made(
        [(wanted, [{"name": "Joe B.", "email": "j@x"}, {"name": "Joe", "email": "k@x"}])]
    )
    assert b'X-Test: "Joe B." <j@x>, Joe <k@x>\r\n' in message


def test_raw_values_begin_with_a_space() -> None:
    assert read_back("header:X-Test", "a") == " a"


def test_raw_values_are_folded_where_they_must_be() -> None:
    value = " " + "word " * 400 + "end"
    assert read_back("header:X-Test", value).replace("\r\n", "") == value


ADDRESSES: list[dict[str, str | None]] = [
    {"name": "Joe Bloggs", "email": "joe@example.com"},
    {"name": None, "email": "jane@example.com"},
    {"name": 'O"Brien, \\ J. (x)', "email": "ob@example.com"},
    {"name": "Jörg Müller, ÄÖÜ " * 8 + "x", "email": "jörg@müller.example"},
    {"name": "=?utf-8?q?a?=", "email": "q@example.com"},
    {"name": None, "email": '"a b"@example.com'},
    {"name": "half finished", "email": "no at sign"},
    {"name": None, "email": "joe@[192.0.2.1]"},
]


def test_addresses() -> None:
    expected: list[dict[str, str | None]] = [{**a} for a in ADDRESSES]
    expected[6]["email"] = "noatsign"  # white space is not part of an addr-spec
    assert read_back("header:To:asAddresses", ADDRESSES) == expected
    assert read_back("header:To:asAddresses", []) == []


def test_groups() -> None:
    groups = [
        {"name": None, "addresses": ADDRESSES[:2]},
        {"name": "Fröhliche Leute: alle", "addresses": ADDRESSES[2:4]},
        {"name": "none", "addresses": []},
        {"name": None, "addresses": ADDRESSES[:1]},
    ]
    assert read_back("header:To:asGroupedAddresses", groups) == groups


def test_the_other_forms() -> None:
    ids = [f"{i}.abc@example.com" for i in range(60)]
    assert read_back("header:References:asMessageIds", ids) == ids
    urls = ["mailto:x@example.com?subject=a,b", "https://example.com/?a=(b)&c=%20"]
    assert read_back("header:List-Unsubscribe:asURLs", urls) == urls
    assert read_back("header:X:asText:all", ["a", "b"]) == ["a", "b"]
    assert read_back("header:Date:asDate", "2020-02-29T23:59:59Z") == "2020-02-29T23:59:59Z"


@given(st.text(max_size=120))
@settings(max_examples=150, deadline=None)
def test_any_text_reads_back(text: str) -> None:
    found = read_back("header:Subject:asText", text)
    assert read_back("header:Subject:asText", found) == found


NAMES = st.none() | st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40
)


@given(st.lists(st.builds(lambda n: {"name": n, "email": "a.b@example.com"}, NAMES), max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_name_reads_back(addresses: list[dict[str, str | None]]) -> None:
    for address in addresses:
        name = address["name"]
        address["name"] = (unicodedata.normalize("NFC", name).strip() or None) if name else None
    assert read_back("header:To:asAddresses", addresses) == addresses


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "text", ["", "a", "a\nb\n", "ä\n", "x" * 3000, "日本\n" * 50, "a \n.\n--\n\nFrom x\n"]
)
def test_text_parts(text: str, line_end: str) -> None:
    part = BuildPart("text/plain", encode_text(text.replace("\n", line_end)), charset="utf-8")
    for body in (part, BuildPart("multipart/mixed", parts=(part, part))):
        raw, view = made([], body)
        for leaf in view.root.walk():
            if leaf.is_text:
                found = body_value(leaf, raw)
                assert (found.value, found.is_encoding_problem) == (text, False)


@given(
    st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    st.sampled_from(["text/plain", "text/html", "application/pdf", "image/png"]),
)
@settings(max_examples=150, deadline=None)
def test_any_content_reads_back(content: bytes, media_type: str) -> None:
    leaf = BuildPart(media_type, content)
    for body in (leaf, BuildPart("multipart/mixed", parts=(leaf, leaf))):
        raw, view = made([], body)
        contents = [apply_slices(raw, [p.slice]) for p in view.root.walk() if not p.is_multipart]
        assert set(contents) == {content}
        assert (
            email.message_from_bytes(raw, policy=email.policy.default).get_content_type()
            == body.type
        )


@pytest.mark.parametrize(
    "content", [b"Subject: x\r\n\r\nb", b"Subject: \xc3\xa4\r\n\r\n", b"a\n\0" + b"x" * 1200]
)
def test_attached_messages_are_not_encoded(content: bytes) -> None:
    # Built by hand: lines of an attached message are not ours to break.
    raw = build([], BuildPart("message/rfc822", content), host="h", now=0)
    root = EmailView.scanned(raw, "B").root
    assert (root.type, root.encoding) == ("message/rfc822", "n")
    assert apply_slices(raw, [root.slice]) == content


@pytest.mark.parametrize(
    "name", ["a.txt", 'my "own" \\ file.txt', "ä.txt", "日本語" * 30, "x" * 200, "a;b=c", "'%*"]
)
@pytest.mark.parametrize("disposition", [None, "attachment"])
def test_what_a_part_says_of_itself(name: str, disposition: str | None) -> None:
    part = BuildPart(
        "text/csv", b"x", charset="utf-8", name=name, disposition=disposition, cid="a@b",
        language=["de", "en-GB"], location="http://example.com/a",
        headers=[(parse_header_property("header:X-Part:asText"), "ü")],
    )  # fmt: skip
    _, view = made([], part)
    root = view.root
    assert (root.type, root.charset, root.name) == ("text/csv", "utf-8", name)
    assert (root.disposition, root.cid, root.language) == (disposition, "a@b", ["de", "en-GB"])
    assert root.location == "http://example.com/a"
    assert view["header:X-Part:asText"] == "ü"


@pytest.mark.parametrize(
    "body",
    [
        BuildPart("text"),
        BuildPart("text/plain\r\nX: y"),
        BuildPart("text/plain", disposition="in line"),
        BuildPart("multipart/mixed", parts=()),
        BuildPart(
            "multipart/mixed",
            parts=(BuildPart("text/plain"),),
            headers=[(parse_header_property("header:Content-Type"), " multipart/mixed")],
        ),
    ],
)
def test_parts_that_are_refused(body: BuildPart) -> None:
    with pytest.raises(FieldError):
        made([], body)


def test_a_boundary_is_in_no_part() -> None:
    taken = iter(["one", "two", "three"])
    part = BuildPart("text/plain", b"--=_one\r\n--=_two--")
    raw = build(
        [], BuildPart("multipart/mixed", parts=(part,)), host="h", now=0, unique=lambda: next(taken)
    )
    # "one" went to the Message-ID.
    assert b'boundary="=_three"' in raw
