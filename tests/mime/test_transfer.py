"""Transfer encodings, and the slices that blob ids name."""

import base64
import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.errors import BlobNotFound
from mailhive.mime.transfer import apply_slices, decode, decoded_size, encoding_of, is_malformed
from mailhive.model.blobid import BlobSlice


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("n", True)),
        (" 7BIT", ("n", True)),
        ("Base64 ", ("b", True)),
        ("quoted-printable", ("q", True)),
        ("x-uuencode", ("n", False)),
    ],
)
def test_names(value: str | None, expected: tuple[str, bool]) -> None:
    assert encoding_of(value) == expected


@pytest.mark.parametrize(
    ("data", "decoded", "malformed"),
    [
        (b"QUJD\r\nREVG\r\n", b"ABCDEF", False),
        (b"QUI=", b"AB", False),
        (b"QQ==", b"A", False),
        (b"QUI", b"AB", True),
        (b"QQ", b"A", True),
        (b"QUJDR", b"ABC", True),
        (b"Q*U-J\xff D", b"ABC", True),
        (b"QQ==\r\nfooter", b"A", True),
        (b"", b"", False),
        (b"====", b"", True),
    ],
)
def test_base64(data: bytes, decoded: bytes, malformed: bool) -> None:
    assert decode(data, "b") == decoded
    assert is_malformed(data, "b") is malformed


@pytest.mark.parametrize(
    ("data", "decoded", "malformed"),
    [
        (b"a=20b=\r\nc=3D", b"a bc=", False),
        (b"a=\nb", b"ab", False),
        (b"a= \t\r\nb  \r\nc", b"ab\r\nc", False),
        (b"=e4=", b"\xe4", False),
        (b"100=%", b"100=%", True),
        (b"", b"", False),
    ],
)
def test_quoted_printable(data: bytes, decoded: bytes, malformed: bool) -> None:
    assert decode(data, "q") == decoded
    assert is_malformed(data, "q") is malformed


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    encoded = base64.encodebytes(data)
    assert decode(encoded, "b") == data
    assert not is_malformed(encoded, "b")
    # As text it would change line ends: istext is for those of one kind.
    assert decode(binascii.b2a_qp(data, quotetabs=True, istext=False), "q") == data


@given(
    st.lists(st.sampled_from([b"QUJD", b"=", b"Q", b"\r\n", b"=3D", b" ", b"\xff"])).map(b"".join)
)
@settings(max_examples=150, deadline=None)
def test_the_size_is_known_without_decoding(data: bytes) -> None:
    for encoding in "bqn":
        assert decoded_size(b"xx" + data + b"QQ", 2, 2 + len(data), encoding) == len(
            decode(data, encoding)
        )


def test_slices_nest() -> None:
    inner = b"Subject: x\r\n\r\n=41=42"
    message = b"head\r\n" + base64.b64encode(inner) + b"\r\ntail"
    outer = BlobSlice(6, len(base64.b64encode(inner)), "b")
    assert apply_slices(message, []) == message
    assert apply_slices(message, [outer]) == inner
    assert apply_slices(message, [outer, BlobSlice(14, 6, "q")]) == b"AB"
    with pytest.raises(BlobNotFound):
        apply_slices(message, [outer, BlobSlice(14, 60, "q")])
    with pytest.raises(BlobNotFound):
        apply_slices(message, [BlobSlice(10**14, 0, "n")])


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "data", [b" " * 500_000, b"= " * 250_000, b"=" * 500_000, b" \r" * 250_000]
)
def test_hostile_content_ends(data: bytes) -> None:
    for encoding in "bq":
        decode(data, encoding)
        is_malformed(data, encoding)
