#!/usr/bin/env python3
"""A corpus of mail that looks real, the same for everybody who takes the same seed.

Message number `i` is a function of the seed and `i` alone, so that a corpus can
be made in any order, in parallel, and longer later.  There are conversations
with References, HTML alternatives, attachments and inline images, mailing
lists, ten languages in the charsets that they used to be sent in, and sizes
from under 1 KB to 500 KB.

As a program: write the messages as files, or count what is in them.

    corpus.py --count 1000 DIRECTORY
    corpus.py --count 1000 --stats
"""

import argparse
import base64
import collections
import html
import itertools
import pathlib
import quopri
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from vocabulary import (
    ATTACHMENTS,
    DOMAINS,
    ENGLISH,
    FIRST_NAMES,
    LANGUAGES,
    LAST_NAMES,
    PHRASE,
    RARE,
    TEN,
    Language,
)

START = datetime(2020, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(minutes=25)
CALENDAR = 110_000  # messages, somewhat over five years; the dates then begin again
MAX_CHAIN = 20  # References that a message carries
LISTS = ("devel", "announce", "users", "ops")


@dataclass(frozen=True)
class Message:
    """A message and what a mailbox would know of it."""

    index: int
    sender: str
    raw: bytes = field(repr=False)
    received_at: datetime
    keywords: tuple[str, ...]
    folder: str | None  # None: the inbox


class Corpus:
    """The messages of a seed; `corpus[i]` is the `i`-th, for any `i` from 0."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        rng = random.Random(f"{seed}/words")
        syllables = [
            c + v for c in "bcdfghjklmnprstvz" for v in ("a", "e", "i", "o", "u", "ar", "en")
        ]
        # The long tail that makes an index grow: thousands of words seldom used.
        tail = {"".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(20_000)}
        self._words = ENGLISH + sorted(tail)
        self._weights = list(
            itertools.accumulate(1 / (rank + 3) for rank in range(len(self._words)))
        )
        people = [(f, s) for f in FIRST_NAMES for s in LAST_NAMES]
        rng.shuffle(people)
        self._people = [
            (f"{f} {s}", f"{f}.{s}@{rng.choice(DOMAINS)}".lower()) for f, s in people[:200]
        ]

    def __getitem__(self, index: int) -> Message:
        rng = random.Random(f"{self.seed}/{index}")
        language = rng.choice(LANGUAGES) if rng.random() < 0.2 else None
        name, address = rng.choice(self._people)
        if language:
            name = language.name
        when = self._when(index)
        mailing_list = rng.choice(LISTS) if rng.random() < 0.15 else None
        lines = [
            f"From: {_phrase(name)} <{address}>",
            f"To: {self._recipients(rng, mailing_list)}",
        ]
        if rng.random() < 0.15:
            lines.append("Cc: " + self._recipients(rng, None, 1 + rng.randrange(6)))
        lines += [
            _folded("Subject", self._subject(index)),
            f"Date: {format_datetime(when - timedelta(seconds=rng.randrange(120)))}",
            f"Message-ID: {self._message_id(index)}",
        ]
        ancestors = self._ancestors(index)
        if ancestors:
            ids = [self._message_id(i) for i in ancestors]
            lines += [f"In-Reply-To: {ids[-1]}", "References: " + "\r\n ".join(ids)]
        if mailing_list:
            lines += _list_headers(mailing_list)
        lines += ["MIME-Version: 1.0", self._content(rng, index, language)]
        age = rng.random()
        keywords = ["$seen"] if age < 0.8 else []
        keywords += [k for k, p in (("$flagged", 0.03), ("$answered", 0.1)) if rng.random() < p]
        folder = mailing_list if mailing_list and rng.random() < 0.7 else None
        if folder is None and rng.random() < 0.2:
            folder = rng.choice(("archive", "projects"))
        raw = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        return Message(index, address, raw, when, tuple(keywords), folder)

    def messages(self, start: int, stop: int) -> Iterator[Message]:
        """The messages `start` to `stop`, without it."""
        return (self[i] for i in range(start, stop))

    # Conversations

    def _parent(self, index: int) -> int | None:
        rng = random.Random(f"{self.seed}/parent/{index}")
        back = rng.randint(1, 40)
        return index - back if rng.random() < 0.55 and back <= index else None

    def _ancestors(self, index: int) -> list[int]:
        chain: list[int] = []
        parent = self._parent(index)
        while parent is not None:
            chain.insert(0, parent)
            parent = self._parent(parent)
        return chain if len(chain) <= MAX_CHAIN else [chain[0], *chain[1 - MAX_CHAIN :]]

    def _subject(self, index: int) -> str:
        root = next(iter(self._ancestors(index)), index)
        rng = random.Random(f"{self.seed}/subject/{root}")
        words, separator = self._words, " "
        if rng.random() < 0.2:
            language = rng.choice(LANGUAGES)
            words, separator = language.words, language.separator
        text = separator.join(rng.choices(words[:150], k=rng.randint(2, 7)))
        text = text[:1].upper() + text[1:]
        return text if root == index else f"Re: {text}"

    def _message_id(self, index: int) -> str:
        return f"<{random.Random(f'{self.seed}/id/{index}').getrandbits(64):x}.{index}@example.com>"

    def _when(self, index: int) -> datetime:
        jitter = random.Random(f"{self.seed}/when/{index}").randrange(1200)
        return START + index % CALENDAR * INTERVAL + timedelta(seconds=jitter)

    def _recipients(self, rng: random.Random, mailing_list: str | None, count: int = 1) -> str:
        if mailing_list:
            return f"{mailing_list}@lists.example.org"
        people = rng.sample(self._people, count)
        return ",\r\n ".join(f"{_phrase(name)} <{address}>" for name, address in people)

    # Content

    def _text(self, rng: random.Random, index: int, language: Language | None) -> list[str]:
        """Paragraphs."""
        count = max(1, min(60, round(rng.lognormvariate(1.2, 0.8))))
        paragraphs = []
        for _ in range(count):
            length = rng.randint(8, 70)
            if language:
                words = rng.choices(language.words, k=length)
                paragraphs.append(language.separator.join(words))
            else:
                words = rng.choices(self._words, cum_weights=self._weights, k=length)
                paragraphs.append(" ".join(words).capitalize() + ".")
        if index < 1000 and index % 100 == 7:
            paragraphs.append(f"Nobody has seen the {TEN}.")
        if not language:
            marker = random.Random(f"{self.seed}/marker/{index}").random()
            if marker < 1 / 500:
                paragraphs.append(f"A case of {RARE}, one might say.")
            elif marker < 1 / 500 + 1 / 50:
                paragraphs.append(f"This is for the {PHRASE} on Thursday.")
        return paragraphs

    def _content(self, rng: random.Random, index: int, language: Language | None) -> str:
        """The MIME headers of the message and everything below them."""
        paragraphs = self._text(rng, index, language)
        kind = rng.random()
        boundary = f"=_{index:x}_{rng.getrandbits(48):x}"
        if kind < 0.42:
            return self._plain(rng, paragraphs, language)
        if kind < 0.48:
            return self._html(rng, paragraphs, language)
        alternative = _multipart(
            "alternative",
            boundary + "a",
            [self._plain(rng, paragraphs, language), self._html(rng, paragraphs, language)],
        )
        if kind < 0.82:
            return alternative
        if kind < 0.88:
            page = self._html(rng, paragraphs, language, image=f"{boundary}@example.com")
            return _multipart("related", boundary + "r", [page, _image(rng, boundary)])
        files = [_attachment(rng) for _ in range(1 + (rng.random() < 0.2))]
        return _multipart("mixed", boundary + "m", [alternative, *files])

    def _plain(self, rng: random.Random, paragraphs: list[str], language: Language | None) -> str:
        lines = [line for p in paragraphs for line in (*_wrapped(p), "")]
        if rng.random() < 0.3:
            lines += ["> " + line for line in lines[:6]]
        return _text_part("plain", "\r\n".join(lines) + "\r\n", language)

    def _html(
        self,
        rng: random.Random,
        paragraphs: list[str],
        language: Language | None,
        image: str | None = None,
    ) -> str:
        style = ' style="color:#333"' if rng.random() < 0.5 else ""
        body = "\r\n".join(f"<p{style}>{html.escape(p)}</p>" for p in paragraphs)
        if image:
            body += f'\r\n<img src="cid:{image}" alt="">'
        page = f"<html><head><title></title></head><body>\r\n{body}\r\n</body></html>\r\n"
        return _text_part("html", page, language)


def _text_part(subtype: str, text: str, language: Language | None) -> str:
    if language is None:
        return (
            f"Content-Type: text/{subtype}; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 7bit\r\n\r\n{text}"
        )
    charset = language.charset
    octets = text.encode(charset, "replace")
    if language.encoding == "base64":
        body = _base64(octets)
    elif language.encoding == "quoted-printable":
        body = quopri.encodestring(octets.replace(b"\r\n", b"\n")).decode().replace("\n", "\r\n")
    else:
        body = octets.decode("ascii", "surrogateescape")
    return (
        f"Content-Type: text/{subtype}; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {language.encoding}\r\n\r\n{body}"
    )


def _multipart(subtype: str, boundary: str, parts: list[str]) -> str:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'
    return f"{head}{body}--{boundary}--\r\n"


def _attachment(rng: random.Random) -> str:
    kind, name, magic = rng.choice(ATTACHMENTS)
    size = min(350_000, round(rng.lognormvariate(9.4, 1.1)))  # the median is 12 KB
    # RFC 2231: a file name of any script
    filename = (
        f'filename="{name}"'
        if name.isascii()
        else "filename*=utf-8''" + "".join(f"%{b:02X}" for b in name.encode())
    )
    return (
        f"Content-Type: {kind}\r\nContent-Disposition: attachment; {filename}\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(magic + rng.randbytes(size))}"
    )


def _image(rng: random.Random, boundary: str) -> str:
    octets = b"\x89PNG\r\n\x1a\n" + rng.randbytes(rng.randint(500, 6000))
    return (
        f"Content-Type: image/png\r\nContent-ID: <{boundary}@example.com>\r\n"
        'Content-Disposition: inline; filename="logo.png"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(octets)}"
    )


def _list_headers(name: str) -> list[str]:
    leave = f"<https://lists.example.org/{name}/leave>,\r\n <mailto:{name}-leave@lists.example.org>"
    return [
        f"List-Id: The {name} list <{name}.lists.example.org>",
        f"List-Post: <mailto:{name}@lists.example.org>",
        f"List-Unsubscribe: {leave}",
        "Precedence: list",
    ]


def _base64(octets: bytes) -> str:
    return base64.encodebytes(octets).decode().replace("\n", "\r\n")


def _wrapped(text: str, width: int = 72) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _phrase(name: str) -> str:
    return name if name.isascii() else " ".join(_encoded_words(name))


def _folded(name: str, text: str) -> str:
    if text.isascii():
        return f"{name}: " + "\r\n ".join(_wrapped(text, 70))
    return f"{name}: " + "\r\n ".join(_encoded_words(text))


def _encoded_words(text: str) -> list[str]:
    # RFC 2047 §2: at most 75 characters each, and no character is divided.
    chunks = (text[i : i + 14] for i in range(0, len(text), 14))
    return [f"=?utf-8?B?{base64.b64encode(chunk.encode()).decode()}?=" for chunk in chunks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", nargs="?", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--stats", action="store_true", help="count instead of writing")
    options = parser.parse_args()
    corpus = Corpus(options.seed)
    if options.stats:
        sizes = sorted(len(m.raw) for m in corpus.messages(0, options.count))
        folders = collections.Counter(m.folder for m in corpus.messages(0, options.count))
        print(f"{len(sizes)} messages, {sum(sizes):,} octets")
        for share in (0, 50, 90, 99, 100):
            print(f"  {share:3} % up to {sizes[max(0, share * len(sizes) // 100 - 1)]:,}")
        print("  folders:", {k or "inbox": v for k, v in folders.most_common()})
    elif options.directory:
        options.directory.mkdir(parents=True, exist_ok=True)
        for message in corpus.messages(0, options.count):
            (options.directory / f"{message.index:07}.eml").write_bytes(message.raw)
    else:
        parser.error("give a directory, or --stats")


if __name__ == "__main__":
    sys.exit(main())
