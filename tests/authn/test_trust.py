"""Whom to believe of those who sealed."""

import pytest

from mailhive.authn.arc import Handler
from mailhive.authn.trust import voucher

PASS = b"x; dmarc=pass header.from=Author.example; spf=fail"
FAIL = b"x; dmarc=fail header.from=author.example"
OTHER = b"x; dmarc=pass header.from=other.example"


@pytest.mark.parametrize(
    ("chain", "trusted", "who"),
    [
        ([], {"a"}, None),
        ([("a", PASS)], set(), None),
        ([("a", PASS)], {"a"}, "a"),
        ([("sub.a", PASS)], {"a"}, None),
        ([("a", FAIL)], {"a"}, None),
        ([("a", OTHER)], {"a"}, None),
        ([("a", b"x; dmarc=pass")], {"a"}, None),
        ([("a", FAIL), ("b", PASS)], {"a", "b"}, "b"),
        ([("a", FAIL), ("b", PASS)], {"b"}, None),
        ([("a", FAIL), ("b", PASS)], {"a"}, None),
        ([("a", FAIL), ("b", FAIL), ("c", PASS)], {"a", "c"}, None),
    ],
)
def test_vouchers(chain, trusted, who):
    handlers = [Handler(domain, "s", results) for domain, results in chain]
    assert voucher(handlers, "author.example", trusted) == who
