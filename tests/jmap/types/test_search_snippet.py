"""SearchSnippet/get (RFC 8621 §5.1)."""

import base64
from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser


def message(subject: str, body: str, media_type: str = "text/plain") -> bytes:
    return (
        f"From: needle@example.org\r\nSubject: {subject}\r\n"
        f"Content-Type: {media_type}; charset=utf-8\r\n\r\n{body}\r\n"
    ).encode()


async def snippet(server: LocalUser, email_id: str, wanted: Any) -> tuple[str, str]:
    if isinstance(wanted, str):
        wanted = {"text": wanted}
    result = await server.call("SearchSnippet/get", filter=wanted, emailIds=[email_id])
    [found] = result["list"]
    assert found.pop("emailId") == email_id
    return found["subject"], found["preview"]


@pytest.mark.parametrize(
    ("filter", "subject", "preview"),
    [
        ({"text": "fox"}, "A <mark>fox</mark> &amp; I", "the quick <mark>fox</mark> runs"),
        ({"subject": "fox"}, "A <mark>fox</mark> &amp; I", None),
        ({"body": "fox"}, None, "the quick <mark>fox</mark> runs"),
        ({"text": '"quick fox"'}, None, "the <mark>quick fox</mark> runs"),
        ({"text": "FOX absent"}, "A <mark>fox</mark> &amp; I", "the quick <mark>fox</mark> runs"),
        ({"text": "fo"}, None, None),
        ({"from": "fox"}, None, None),
        ({"hasAttachment": True}, None, None),
        ({"text": "..."}, None, None),
        ({"text": ""}, None, None),
        ({}, None, None),
        (None, None, None),
        ({"operator": "NOT", "conditions": [{"text": "fox"}]}, None, None),
        (
            {
                "operator": "OR",
                "conditions": [
                    {"subject": "I", "minSize": 1},
                    {"operator": "NOT", "conditions": [{"body": "the"}]},
                    {
                        "operator": "AND",
                        "conditions": [
                            {
                                "operator": "NOT",
                                "conditions": [
                                    {"operator": "NOT", "conditions": [{"body": "runs"}]}
                                ],
                            }
                        ],
                    },
                ],
            },
            "A fox &amp; <mark>I</mark>",
            "the quick fox <mark>runs</mark>",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_the_filter_looks_for_is_marked(
    server: LocalUser, filter: Any, subject: str | None, preview: str | None
) -> None:
    email_id = await server.add(message("A fox & I", "the quick\r\n fox runs"))
    assert await snippet(server, email_id, filter) == (subject, preview)


@pytest.mark.parametrize(
    ("text", "search", "marked"),
    [
        ("Treffen im CAFÉ Ärger", "cafe ärger", ["CAFÉ", "Ärger"]),
        ("私は東京都に住む", "東京", ["東京"]),
        ("한국어 메일", "한국", ["한국"]),
        ("ภาษาไทย", "ไทย", ["ไทย"]),
        ("Привет, МИР", "мир", ["МИР"]),
        ("write to bob@example.org!", "bob@example.org", ["bob@example.org"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_found_is_marked(
    server: LocalUser, text: str, search: str, marked: list[str]
) -> None:
    email_id = await server.add(message(text, text))
    assert (await server.call("Email/query", filter={"body": search}))["ids"] == [email_id]
    subject, preview = await snippet(server, email_id, search)
    expected = text
    for word in marked:
        expected = expected.replace(word, f"<mark>{word}</mark>")
    assert subject == preview == expected


@pytest_twisted.ensureDeferred
async def test_texts_of_every_kind(server: LocalUser) -> None:
    html = "<style>needle</style><p>the <b>need</b>le &lt;b&gt;</p><script>needle</script>"
    email_id = await server.add(message("s", html, "text/html"))
    assert await snippet(server, email_id, "needle") == (None, "the <mark>needle</mark> &lt;b&gt;")
    inner = message("about the needle", "inner")
    outer = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"encoded words")
    ) + b"--b\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n--b--\r\n" % inner
    email_id = await server.add(outer)
    assert await snippet(server, email_id, "encoded") == (
        None,
        "<mark>encoded</mark> words about the needle needle@example.org inner",
    )
    assert "<mark>needle</mark>" in (await snippet(server, email_id, {"body": "needle"}))[1]


@pytest_twisted.ensureDeferred
async def test_many_and_large_messages(server: LocalUser) -> None:
    filling = "so it goes on and on\r\n" * 20_000
    ids = [
        await server.add(message(f"no. {n}", f"{filling} a needle {n} {filling}"))
        for n in range(12)
    ]
    short = await server.add(message("short", "needle"))
    result = await server.call(
        "SearchSnippet/get",
        filter={"body": "needle"},
        emailIds=[*ids, "nope", short, "E9999", short],
    )
    assert [found["emailId"] for found in result["list"]] == [*ids, short]
    assert result["notFound"] == ["nope", "E9999"]
    assert result["accountId"] == server.account_id
    for n, found in enumerate(result["list"][:12]):
        assert f"a <mark>needle</mark> {n} so it goes" in found["preview"]
        assert len(found["preview"].encode()) <= 255
    result = await server.call("SearchSnippet/get", filter={"body": "needle"}, emailIds=[short])
    assert result["notFound"] is None


@pytest_twisted.ensureDeferred
async def test_snippets_that_are_refused(stores: LocalStores) -> None:
    server = await stores.user(Principal("alice"), Limits(email_get_full=2))
    for arguments, error in [
        ({"filter": {"text": "x"}}, "invalidArguments"),
        ({"filter": {"text": "x"}, "emailIds": None}, "invalidArguments"),
        ({"filter": {"text": 1}, "emailIds": []}, "invalidArguments"),
        ({"filter": "x", "emailIds": []}, "invalidArguments"),
        ({"filter": {"nope": "x"}, "emailIds": []}, "unsupportedFilter"),
        ({"emailIds": [], "x": 1}, "invalidArguments"),
        ({"emailIds": ["a", "b", "c"]}, "requestTooLarge"),
        (
            {"filter": {"text": " ".join(f"w{n}" for n in range(300))}, "emailIds": []},
            "unsupportedFilter",
        ),
    ]:
        result = await server.call("SearchSnippet/get", **arguments)
        assert result["error"]["type"] == error, arguments
