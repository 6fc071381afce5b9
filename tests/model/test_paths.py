"""Paths, good and bad."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.paths import PathError, is_domain, parse_path

GOOD = [
    ("<>", ""),
    ("<a@b>", "a@b"),
    ("<a.b+c=d!#$%&'*/?^_`{|}~-@b.example>", "a.b+c=d!#$%&'*/?^_`{|}~-@b.example"),
    ("<Postmaster>", "Postmaster"),
    ('<"a"@b>', "a@b"),
    ('<"a.b"@b>', "a.b@b"),
    ('<"a..b"@b>', '"a..b"@b'),
    ('<"a@c"@b>', '"a@c"@b'),
    ('<"\\a"@b>', "a@b"),
    ('<"a\\"b\\\\"@b>', '"a\\"b\\\\"@b'),
    ('<" "@b>', '" "@b'),
    ("<@r1.example,@r2.example:a@b>", "a@b"),
    ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
    ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
    ("<a@[x-tag:content]>", "a@[x-tag:content]"),
    ("<\u00e4@\u00f6.example>", "\u00e4@\u00f6.example"),
    ("<\U0001f4e7@example>", "\U0001f4e7@example"),
]

BAD = [
    "", "a@b", "<", "<a", "<a@", "<a@>", "<@b>", "<a@b", "<.a@b>", "<a.@b>", "<a..b@b>",
    "<a b@c>", "<a@b c>", "<a@-b>", "<a@b->", "<a@b..c>", "<a@.b>", "<a@b.>", '<""@b>', '<"a@b>',
    '<"a"b@c>', '<"\\"@b>', "<a@[>", "<a@[]>", "<a@[1.2.3]>", "<a@[1.2.3.256]>", "<a@[IPv6:x]>",
    "<a@[IPv6:1::2%eth0]>", "<@r:>", "<@r,:a@b>", "<a@b@c>", "<a,b@c>", "<a@b/c>", "<\x85@b>",
    "<a\u2028b@c>", "<a@" + "x" * 256 + ">", "< a@b>", "<a@b >", "<a@\ud800>",
]  # fmt: skip


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_path(text, address):
    assert parse_path(text + " REST") == (address, " REST")


@pytest.mark.parametrize("text", BAD)
def test_no_path(text):
    with pytest.raises(PathError):
        parse_path(text)


@given(st.text(max_size=30))
def test_a_quoted_local_part_is_read_as_it_is_written(local):
    quoted = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        address, rest = parse_path(f"<{quoted}@b>")
    except PathError:
        return
    assert rest == ""
    # The form an address is kept in is one that reads as itself.
    assert parse_path(f"<{address}>") == (address, "")


@given(st.text(alphabet='<>@"\\.:,[]a1-_ \u00e4', max_size=30))
def test_noise_is_a_path_or_none(text):
    try:
        address, rest = parse_path(text)
    except PathError:
        return
    assert text.endswith(rest)
    assert parse_path(f"<{address}>") == (address, "")


@pytest.mark.parametrize("name", ["a", "a.example", "a_b.example", "[192.0.2.1]", "[IPv6:::1]"])
def test_domain(name):
    assert is_domain(name)


@pytest.mark.parametrize("name", ["", "a b", "a..b", "\u00e4.example", "[192.0.2.1", "[x]", "a;b"])
def test_no_domain(name):
    assert not is_domain(name)
