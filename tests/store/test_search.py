"""Text search: the same answers as reading every message."""

import random

import pytest
from pytest_twisted import ensureDeferred

from mailhive.errors import UnsupportedFilter
from mailhive.model.email import EmailQuery, FilterCondition, SearchText
from mailhive.testing.conformance.mailstore_model import text_matches
from mailhive.testing.conformance.mailstore_samples import file, inbox_of, new_email

# Words of many scripts; some fold to others, some are parts of others.
TEXT = """
    meeting Meeting MEETINGS café cafe CAFÉ naïve Straße STRASSE Ärger ärger Ørsted İstanbul
    ﬁnance finance ＦＵＬＬ full ½ x² O'Brien don't well-known bob@example.org example.org 3.14
    Ελλάδα ελλαδα σοφός ΣΟΦΟΣ Москва москва ёлка елка київ שלום שָׁלוֹם عربي عَرَبِي
    हिन्दी हिंदी தமிழ் ไทย ภาษาไทย ลาว ລາວ ខ្មែរ မြန်မာ
    東京 東京都 京都 日本語テスト テスト てすと カタカナ がくせい かくせい
    한국어 한국 中文 中 𠮷野家
    🎉 🎉party _under_score NEAR AND OR NOT * " ( ) : ^ - + {subject}:x body:x tab\tbed
"""
WORDS = TEXT.split()


def corpus(count):
    chance = random.Random(20)

    def text(words):
        return "".join(
            chance.choice(WORDS) + chance.choice([" ", " ", "\n", ", ", "", "-"])
            for _ in range(chance.randrange(words))
        )

    return [
        SearchText(text(3), text(3), text(2), text(2), text(6), text(30), text(2))
        for _ in range(count)
    ]


def searches():
    chance = random.Random(21)
    for _ in range(250):
        field = chance.choice(["text", "text", "body", "subject", "from", "to", "cc", "bcc"])
        words = chance.choices(WORDS, k=chance.choice([1, 1, 1, 2, 3]))
        mode = chance.randrange(5)
        if mode == 0:
            yield field, '"' + " ".join(w for w in words if '"' not in w) + '"'
        elif mode == 1:
            yield field, " ".join(words).swapcase()
        elif mode == 2:
            yield field, words[0][: max(1, len(words[0]) // 2)]
        else:
            yield field, " ".join(words)


def scan(field, text, search):
    fields = {
        "from": [search.sender],
        "to": [search.to],
        "cc": [search.cc],
        "bcc": [search.bcc],
        "subject": [search.subject],
        "body": [search.body],
    }
    everything = [one for texts in fields.values() for one in texts] + [search.attachments]
    return text_matches(text, fields.get(field, everything))


@ensureDeferred
async def test_search_gives_the_same_answers_as_a_plain_scan(store):
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    texts = corpus(120)
    emails = [new_email(n, search=search) for n, search in enumerate(texts)]
    ids = await store.write(account, file, [mailbox], *emails)
    hits = 0
    for field, text in searches():
        query = EmailQuery(FilterCondition(((field, text),)))
        found = await store.read(account, lambda r: r.query_emails(query).ids)  # noqa: B023
        expected = {e for e, search in zip(ids, texts, strict=True) if scan(field, text, search)}
        assert set(found) == expected, (field, text)
        hits += len(expected)
    assert hits > 500


@ensureDeferred
async def test_no_text_breaks_the_query(store):
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], new_email(search=SearchText(body="plain words")))
    plain = '* a* ^a NEAR(a body:plain {body}:x AND \\ \' \'\' " """ -- ; \x00 ( )'
    for text in [*plain.split(), plain, "x'; DROP TABLE fts --", "(" * 500, '"' * 999]:
        for field in ("text", "body"):
            query = EmailQuery(FilterCondition(((field, text),)))
            assert (await store.read(account, lambda r: r.query_emails(query))).ids == ()  # noqa: B023
    many = EmailQuery(FilterCondition((("text", " ".join(f"w{n}" for n in range(10_000))),)))
    with pytest.raises(UnsupportedFilter):
        await store.read(account, lambda r: r.query_emails(many))
