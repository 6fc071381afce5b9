"""Header fields as filters change them."""

from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.milter.changes import HeaderFields

VALUES = st.binary(max_size=80)
NAMES = st.sampled_from([b"To", b"X-Spam", b"to"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "insert", "change"]), st.integers(0, 5), NAMES, VALUES),
    max_size=8,
)
HEADER = b"Subject: x\r\nTo: a,\r\n\tb\r\nno field\r\nTo: c\r\n"


@given(st.binary())
def test_a_header_stays_as_it_is(header: bytes) -> None:
    assert HeaderFields(header).to_bytes() == header


def test_pairs() -> None:
    pairs = [(b"Subject", b" x"), (b"To", b" a,\r\n\tb"), (b"To", b" c")]
    assert list(HeaderFields(HEADER).pairs()) == pairs


@given(CHANGES)
def test_no_change_ends_the_header(changes: list[tuple[str, int, bytes, bytes]]) -> None:
    fields = HeaderFields(HEADER)
    for kind, index, name, value in changes:
        if kind == "add":
            fields.add(name, value)
        elif kind == "insert":
            fields.insert(index, name, value)
        else:
            fields.change(index, name, value)
    after = fields.to_bytes()
    assert after.count(b"\r") == after.count(b"\n") == after.count(b"\r\n")
    assert after == b"" or after.endswith(b"\r\n")
    lines = after.split(b"\r\n")[:-1]
    assert all(line.strip(b" \t") for line in lines)
    assert HeaderFields(after).to_bytes() == after
    names = {name for name, _ in HeaderFields(after).pairs()}
    assert names <= {b"Subject", b"To", b"X-Spam", b"to"}
