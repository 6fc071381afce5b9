"""The part tree of messages, well-formed and not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.mime import structure
from mailhive.mime.part import Part
from mailhive.mime.scan import MAX_DEPTH, MAX_HEADER_OCTETS, MAX_PARTS, header_block, scan
from mailhive.mime.transfer import apply_slices


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


def outline(part: Part, raw: bytes) -> object:
    """Types of multiparts with their parts, content of leaves."""
    if part.sub_parts is not None:
        return [part.type, *(outline(sub, raw) for sub in part.sub_parts)]
    return (part.type, apply_slices(raw, [part.slice]))


def check(root: Part, raw: bytes) -> None:
    """What holds of the tree of any message."""
    ids = [part.part_id for part in root.walk() if part.part_id is not None]
    assert len(set(ids)) == len(ids)
    for part in root.walk():
        assert 0 <= part.header_start <= part.body_start <= part.body_end <= len(raw)
        assert (part.sub_parts is not None) == part.type.startswith("multipart/")
        assert (part.part_id is None) == (part.sub_parts is not None)
        if part.sub_parts is None:
            assert part.size == len(apply_slices(raw, [part.slice]))
            continue
        last = part.body_start
        for sub in part.sub_parts:
            assert last <= sub.header_start
            assert sub.body_end <= part.body_end
            last = sub.body_end
    assert structure.load(structure.store(root), header_block(raw, root)) == root


def tree(raw: bytes) -> object:
    root = scan(raw)
    check(root, raw)
    return outline(root, raw)


def test_a_plain_message() -> None:
    raw = crlf("Subject: hello\n\nline one\nline two\n")
    root = scan(raw)
    check(root, raw)
    assert root.fields == [("Subject", " hello")]
    assert (root.type, root.charset, root.part_id) == ("text/plain", "us-ascii", "1")
    assert raw[root.body_start : root.body_end] == b"line one\r\nline two\r\n"


MIXED = """Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: multipart/alternative; boundary="outer-inner"

--outer-inner

plain
--outer-inner
Content-Type: text/html

<p>html</p>
--outer-inner--
epilogue of the inner one
--outer  \t
Content-Type: application/pdf
Content-Transfer-Encoding: BASE64

UERG
--outer--
epilogue
"""
MIXED_TREE = [
    "multipart/mixed",
    ["multipart/alternative", ("text/plain", b"plain"), ("text/html", b"<p>html</p>")],
    ("application/pdf", b"PDF"),
]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
def test_every_line_end(line_end: str) -> None:
    assert tree(MIXED.replace("\n", line_end).encode()) == MIXED_TREE


def test_part_ids_number_the_leaves() -> None:
    root = scan(crlf(MIXED))
    assert [part.part_id for part in root.walk()] == [None, None, "1", "2", "3"]


def test_no_closing_boundary() -> None:
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n")
    assert tree(raw) == ["multipart/mixed", ("text/plain", b"one"), ("text/plain", b"two\r\n")]


def test_an_outer_boundary_ends_an_open_inner_multipart() -> None:
    raw = crlf(
        "Content-Type: multipart/mixed; boundary=a\n\n--a\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\ntwo\n--a--\n"
    )
    assert tree(raw) == [
        "multipart/mixed",
        ["multipart/mixed", ("text/plain", b"one")],
        ("text/plain", b"two"),
    ]


def test_lines_that_only_begin_like_a_boundary_are_content() -> None:
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bx\n--b-\n--b--x\n--b--\n")
    assert tree(raw) == ["multipart/mixed", ("text/plain", b"--bx\r\n--b-\r\n--b--x")]


@pytest.mark.parametrize("boundary", ["b--", "b", ""])
def test_an_inner_boundary_may_extend_the_outer_one(boundary: str) -> None:
    inner = boundary or "b"
    raw = crlf(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
        f'Content-Type: multipart/digest; boundary="{inner}"\n\n--{inner}\n\nSubject: x\n\n'
        f"--{inner}--\n--b\n\nlast\n--b--\n"
    )
    assert tree(raw) == [
        "multipart/mixed",
        ["multipart/digest", ("message/rfc822", b"Subject: x\r\n")],
        ("text/plain", b"last"),
    ]


@pytest.mark.parametrize(
    "header", ["multipart/mixed", 'multipart/mixed; boundary=""', "multipart/mixed; boundary=none"]
)
def test_a_multipart_without_its_boundary_is_text(header: str) -> None:
    raw = crlf(f"Content-Type: {header}\n\nwords\n")
    assert tree(raw) == ("text/plain", b"words\r\n")


def test_an_attached_message_is_a_leaf() -> None:
    inner = crlf("Content-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--\n")
    raw = crlf("Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\n")
    assert tree(raw + inner + b"\r\n--o--\r\n") == ["multipart/mixed", ("message/rfc822", inner)]


def test_parts_without_header_body_or_blank_line() -> None:
    raw = crlf(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\n\n\n--b\n"
        "Content-Type: text/html\n--b\nno header here\n--b--\n"
    )
    assert tree(raw) == [
        "multipart/mixed",
        ("text/plain", b""),
        ("text/plain", b""),
        ("text/plain", b""),
        ("text/html", b""),
        ("text/plain", b"no header here"),
    ]


@pytest.mark.parametrize(
    ("raw", "fields", "body"),
    [
        (b"", [], b""),
        (b"\r\nbody", [], b"body"),
        (b"no header\r\n\r\nSubject: x\r\n", [], b"no header\r\n\r\nSubject: x\r\n"),
        (b"Subject: x", [("Subject", " x")], b""),
        (b"Subject: x\r\n", [("Subject", " x")], b""),
        (b"A: 1\r\nnot a field\r\nB : 2\r\n\r\nb", [("A", " 1"), ("B", " 2")], b"b"),
        (b"From joe Mon Jan  1\nA: 1\n\nb", [("A", " 1")], b"b"),
        (b"A: 1\r\n \r\n 2\r\n\r\nb", [("A", " 1\r\n \r\n 2")], b"b"),
        (b"A: \xff\0\xc3\xa4\r\n\r\n", [("A", " \ufffdä")], b""),
        (b"A:1\r\n:2\r\n B\r\n\r\n", [("A", "1")], b""),
    ],
)
def test_header_blocks(raw: bytes, fields: list[tuple[str, str]], body: bytes) -> None:
    root = scan(raw)
    check(root, raw)
    assert root.fields == fields
    assert raw[root.body_start : root.body_end] == body


def leaf(header: str) -> Part:
    return scan(crlf(header + "\n\n"))


@pytest.mark.parametrize(
    ("header", "media_type", "charset"),
    [
        ("X: y", "text/plain", "us-ascii"),
        ("Content-Type: TEXT/HTML; Charset=UTF-8", "text/html", "UTF-8"),
        ("Content-Type: text/html", "text/html", "us-ascii"),
        ("Content-Type: image/png", "image/png", None),
        ("Content-Type: application/json; charset=utf-8", "application/json", "utf-8"),
        ("Content-Type: text/plain; charset=us-ascii (Plain; text)", "text/plain", "us-ascii"),
        ("Content-Type: (odd) text (very) / plain (x); charset=a", "text/plain", "a"),
        ("Content-Type: text", "text/plain", "us-ascii"),
        ("Content-Type:", "text/plain", "us-ascii"),
        ("content-type: text/a\nContent-Type: text/b", "text/a", "us-ascii"),
    ],
)
def test_type_and_charset(header: str, media_type: str, charset: str | None) -> None:
    part = leaf(header)
    assert (part.type, part.charset) == (media_type, charset)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Content-Disposition: attachment; filename=a.txt", "a.txt"),
        ('Content-Disposition: attachment; filename="a \\"b\\".txt"', 'a "b".txt'),
        ("Content-Disposition: attachment; filename=my report (1).pdf", "my report (1).pdf"),
        ("Content-Disposition: attachment; filename*=utf-8'en'%e2%82%ac%20rates", "€ rates"),
        ("Content-Disposition: attachment; filename=x; filename*=iso-8859-1''%a3", "£"),
        (
            (
                "Content-Disposition: attachment; filename*1*=%82%ac;\n filename*0*=utf-8''%e2;"
                "\n filename*2=.pdf"
            ),
            "€.pdf",
        ),
        (
            'Content-Disposition: attachment; filename="=?utf-8?q?=C3=A4?=.txt"',
            "=?utf-8?q?=C3=A4?=.txt",
        ),
        ('Content-Disposition: attachment; filename="=?utf-8?q?=C3=A4?=b"', "=?utf-8?q?=C3=A4?=b"),
        ('Content-Type: text/plain; name="=?utf-8?q?=C3=A4?="', "ä"),
        ('Content-Type: text/plain; name="=?utf-8?q?a?==?utf-8?q?b?="', "ab"),
        ("Content-Type: text/plain; name=a\nContent-Disposition: inline; filename=b", "b"),
        ('Content-Disposition: attachment; filename="ä.txt"', "ä.txt"),
        ('Content-Disposition: attachment; filename="open', "open"),
        ('Content-Disposition: attachment; filename=""', None),
        ("Content-Disposition: attachment", None),
    ],
)
def test_names(header: str, name: str | None) -> None:
    assert leaf(header).name == name


def test_what_else_a_header_says() -> None:
    part = leaf(
        "Content-ID: (c) <foo@bar> \nContent-Language: en, de-AT (austrian)\n"
        "Content-Location: http://example.com/\n a(b).png\nContent-Disposition: INLINE (x)\n"
        "Content-Transfer-Encoding: x-unknown"
    )
    assert part.cid == "foo@bar"
    assert part.language == ["en", "de-AT"]
    assert part.location == "http://example.com/a(b).png"
    assert part.disposition == "inline"
    assert (part.encoding, part.unknown_encoding) == ("n", True)


def test_a_thousand_parts_and_more() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (MAX_PARTS + 50)
    root = scan(raw)
    check(root, raw)
    assert root.sub_parts is not None
    assert len(root.sub_parts) == MAX_PARTS
    rest = root.sub_parts[-1]
    assert rest.type == "application/octet-stream"
    assert rest.body_end == len(raw)


def test_a_thousand_levels() -> None:
    raw = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(1000)
    )
    root = scan(raw)
    check(root, raw)
    parts = list(root.walk())
    assert len(parts) == MAX_DEPTH + 1
    assert parts[-1].type == "application/octet-stream"
    assert parts[-1].body_end == len(raw)


def test_headers_beyond_the_limit_are_not_read() -> None:
    raw = b"".join(b"X-%d: %s\n" % (i, b"y" * 1000) for i in range(600)) + b"\nbody"
    root = scan(raw)
    check(root, raw)
    assert raw[root.body_start :] == b"body"
    assert len(header_block(raw, root)) <= MAX_HEADER_OCTETS
    assert 200 < len(root.fields) < 600


def test_parts_have_headers_whatever_that_of_the_message_takes() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n" + b"X: y\n" * MAX_HEADER_OCTETS
    part = b"--b\nContent-Type: text/html; name=" + b"n" * 1000 + b"\n\nx\n"
    root = scan(head + b"\n" + part * 600)
    assert root.sub_parts is not None and len(root.sub_parts) == 600
    types = [sub.type for sub in root.sub_parts]
    assert types[:200] == ["text/html"] * 200 and types[-200:] == ["text/plain"] * 200


BITS = [
    b"--a",
    b"--b",
    b"--a--",
    b"--b--",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"--",
    b"=",
    b"x",
    b"Content-Type: multipart/mixed; boundary=a",
    b"Content-Type: multipart/digest; boundary=b",
    b'Content-Type: multipart/alternative; boundary="a--"',
    b"Content-Type: text/html",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Disposition: attachment; filename*0*=x''%",
    b"QUJD",
    b"=3D",
    b" ",
    b"\0",
    b"\xff",
    b"Content-Type: message/rfc822",
    b": ",
]


@given(st.lists(st.sampled_from(BITS), max_size=60).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_any_arrangement_of_mime_scans(raw: bytes) -> None:
    tree(raw)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_octets_scan(raw: bytes) -> None:
    tree(raw)
