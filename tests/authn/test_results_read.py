"""What others say that they found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.authn.results import Result, authentication_results
from mailhive.authn.results_read import read_results


@pytest.mark.parametrize(
    ("body", "results"),
    [
        (b" x.example; none", []),
        (b" x.example 1; spf=pass", [Result("spf", "pass")]),
        (b"x.example", []),
        (b"", []),
        (
            (
                b" mx.google.com;\r\n dkim=pass header.i=@a.example header.s=s header.b=ab/c;\r\n"
                b" spf=pass (google.com: domain of a@b designates 192.0.2.1; as permitted) "
                b"smtp.mailfrom=a@b.example;\r\n"
                b" dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from=a.example"
            ),
            [
                Result(
                    "dkim",
                    "pass",
                    {"header.i": "@a.example", "header.s": "s", "header.b": "ab/c"},
                ),
                Result("spf", "pass", {"smtp.mailfrom": "a@b.example"}),
                Result("dmarc", "pass", {"header.from": "a.example"}),
            ],
        ),
        (
            b'x; DMARC / 1 = Fail reason = "so; (not) \\"so\\"" header . From = "a b"@x.example;',
            [Result("dmarc", "fail", {"header.from": '"a b"@x.example'}, 'so; (not) "so"')],
        ),
        (
            b"x; spf=pass smtp.mailfrom=prvs=12=a@x.example",
            [Result("spf", "pass", {"smtp.mailfrom": "prvs=12=a@x.example"})],
        ),
        (b"x; dmarc=fail (header.from=x; dmarc=pass)", [Result("dmarc", "fail")]),
        (b'x; dmarc=fail reason="; dmarc=pass"', [Result("dmarc", "fail", {}, "; dmarc=pass")]),
        (b"x; header.from=dmarc=pass; =; a; =b; c=", []),
        (b"x (; dmarc=pass", []),
    ],
)
def test_what_is_said(body, results):
    assert read_results(body) == results


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
_VALUES = st.text(max_size=30).map(
    lambda text: "".join(c if c.isprintable() else "?" for c in text)
)


@given(
    st.lists(
        st.builds(
            Result,
            _NAMES.filter(lambda name: name != "reason"),
            _NAMES,
            st.dictionaries(st.tuples(_NAMES, _NAMES).map(".".join), _VALUES, max_size=4),
            _VALUES,
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=40)
def test_what_we_write_is_read(results):
    written = authentication_results("mx.example", results)
    assert read_results(written.partition(b":")[2]) == results


@given(st.binary(max_size=200) | st.text(alphabet='ab=.;"\\() \r\n/', max_size=100).map(str.encode))
def test_any_octets(octets):
    for result in read_results(octets):
        assert result.method and result.result


@pytest.mark.parametrize(
    "part", [b"(", b"a=", b'"', b'a="', b"\\", b"a.", b"a", b" ", b"a=b ", b';a="\\"']
)
def test_long_bodies_are_read_in_no_time(part):
    read_results(b"x; " + part * 100_000)
