"""Nothing that lets somebody in is shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.edge.redact import is_secret, redact_json, redact_target

SECRET = "wonderland"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-User-Secret", "ticket",
     "verificationCode", "keys", "p256dh", "auth", "access_token", "password", "X-Api-Key", "url"],
)  # fmt: skip
def test_secret_names(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Type", "keywords", "hasKeyword", "X-User", "accountId", "methodCalls",
     "apiUrl"],
)  # fmt: skip
def test_other_names(name):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/jmap/ws", "/jmap/ws"),
        ("/jmap/ws?ticket=wonderland", "/jmap/ws?ticket=[redacted]"),
        ("/x?a=1&%74icket=wonderland&b=2", "/x?a=1&%74icket=[redacted]&b=2"),
        ("/x?types=*&ping=0", "/x?types=*&ping=0"),
    ],
)
def test_targets(target, shown):
    assert redact_target(target) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"ticket":"wonderland","lifetime":60}', '{"ticket": "[redacted]","lifetime":60}'),
        ('{"t\\u0069cket" : "wonderland"}', '{"t\\u0069cket" : "[redacted]"}'),
        ('{"keys":{"p256dh":"a","auth":["b"]},"c":1}', '{"keys": "[redacted]","c":1}'),
        ('{"verificationCode":null,"a":"b"}', '{"verificationCode": "[redacted]","a":"b"}'),
        ('{"a":{"token":12}}', '{"a":{"token": "[redacted]"}}'),
        ('{"password":"wonder\\"land","a":1}', '{"password": "[redacted]","a":1}'),
        ('{"a":"the ticket: wonderful"}', '{"a":"the ticket: wonderful"}'),
        ('["ticket","b"]', '["ticket","b"]'),
        ("hello", "hello"),
        ("", ""),
    ],
)
def test_json(text, shown):
    assert redact_json(text) == shown


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just(SECRET),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES, st.sampled_from(["ticket", "keys", "verificationCode"]), st.booleans(), st.data())
def test_no_secret_is_shown_wherever_it_stands_and_the_text_is_cut(value, name, spaced, data):
    separators = (" , ", " : ") if spaced else (",", ":")
    document = {"first": "shown", name: [value, SECRET], "last": {name: SECRET}}
    text = json.dumps([document], separators=separators)
    assert SECRET not in redact_json(text)
    assert '"shown"' in redact_json(text)
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert SECRET not in redact_json(cut)
    assert json.loads(redact_json(text))[0].keys() == document.keys()
