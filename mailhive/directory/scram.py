"""Stored secrets of SCRAM-SHA-256: reading, making and feigning them.

They are written as RFC 5803 and PostgreSQL have it,
`SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`; the mark `{SCRAM-SHA-256}` may
stand before that, or before Dovecot's `ITERATIONS,SALT,STOREDKEY,SERVERKEY`.
"""

import os
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from passlib.utils import saslprep
from twisted.internet.defer import Deferred

from mailhive.model.scram import DIGEST_SIZE, ScramKeys, ScramLogin, ScramVerifier

__all__ = [
    "MARK",
    "SALT_SIZE",
    "ScramSecrets",
    "derived",
    "is_possible",
    "new_scram",
    "read_scram",
]

MARK = "{SCRAM-SHA-256}"
#: Octets of the salts that are made here.
SALT_SIZE = 16
#: For passwords that are stored as they are: RFC 7677 §4 asks for no fewer.
_FEWEST = 4_096
_MOST = 10_000_000

_B64 = "([A-Za-z0-9+/]+={0,2})"
_WRITTEN = re.compile(rf"([0-9]{{4,8}}) ?([:,]) ?{_B64} ?([$,]) ?{_B64} ?([:,]) ?{_B64}", re.ASCII)
_FORMS = (":$:", ",,,")


def read_scram(secret: str) -> ScramVerifier | None:
    """The verifier that a stored secret is, if it is one."""
    text = secret
    if text[: len(MARK)].upper() == MARK:
        text = text[len(MARK) :]
    elif not text.startswith("SCRAM-SHA-256"):
        return None
    text = text.removeprefix("SCRAM-SHA-256").strip(" ").removeprefix("$").strip(" ")
    match = _WRITTEN.fullmatch(text)
    if match is None or match[2] + match[4] + match[6] not in _FORMS:
        return None
    iterations = int(match[1])
    try:
        salt, stored, server = (b64decode(match[n], validate=True) for n in (3, 5, 7))
    except ValueError:
        return None
    if not _FEWEST <= iterations <= _MOST or {len(stored), len(server)} != {DIGEST_SIZE}:
        return None
    return ScramVerifier(salt, iterations, stored, server)


def derived(password: str, salt: bytes, iterations: int) -> ScramVerifier:
    """The verifier of a password (RFC 5802 §3).  Takes its time; call it on a thread.

    ValueError for what SASLprep (RFC 4013) does not let be a password.
    """
    keys = ScramKeys.of(saslprep(password), salt, iterations)
    return ScramVerifier(salt, iterations, keys.stored_key, keys.server_key)


def is_possible(password: str) -> bool:
    """Can there be a verifier of it?"""
    try:
        return bool(saslprep(password))
    except ValueError:
        return False


def new_scram(password: str, iterations: int) -> str:
    """A new secret, as it is stored.  Takes its time; ValueError as for `derived`."""
    made = derived(password, os.urandom(SALT_SIZE), iterations)
    salt, stored, server = (
        b64encode(octets).decode() for octets in (made.salt, made.stored_key, made.server_key)
    )
    return f"SCRAM-SHA-256${iterations}:{salt}${stored}:{server}"


class ScramSecrets:
    """From stored secrets to verifiers, with the same work for logins that do not exist.

    `run(function, *arguments)` does what takes time.  Those that do not exist look like
    most of those that were seen, or, before that, like one of `iterations`.
    """

    def __init__(self, run: Callable[..., Deferred[Any]], iterations: int = _FEWEST) -> None:
        self._run = run
        self._usual = (iterations, SALT_SIZE)
        self._seen: Counter[tuple[int, int] | None] = Counter()  # None: plain text

    def expect(self, secrets: Iterable[ScramVerifier | None]) -> None:
        """Take for what is usual what these are; None is plain text."""
        self._seen = Counter(map(_shape, secrets))

    async def login(
        self,
        name: str,
        secret: ScramVerifier | str | None,
        credential: str,
        salt: bytes,
    ) -> ScramLogin:
        """By a verifier or a password in plain text; as `nobody` if it is neither."""
        if isinstance(secret, ScramVerifier):
            self._seen[_shape(secret)] += 1
            return ScramLogin(secret, name, credential)
        if secret is not None:
            self._seen[None] += 1
            with suppress(ValueError):
                made = await self._run(derived, secret, salt[:SALT_SIZE], _FEWEST)
                return ScramLogin(made, name, credential)
        return await self.nobody(salt)

    async def nobody(self, salt: bytes) -> ScramLogin:
        """For a login that does not exist."""
        usual = self._seen.most_common(1)
        shape = usual[0][0] if usual else self._usual
        if shape is None:
            nothing = await self._run(derived, os.urandom(8).hex(), salt[:SALT_SIZE], _FEWEST)
            return ScramLogin(nothing)
        iterations, size = shape
        keys = os.urandom(DIGEST_SIZE), os.urandom(DIGEST_SIZE)
        return ScramLogin(ScramVerifier(salt[:size], iterations, *keys))


def _shape(verifier: ScramVerifier | None) -> tuple[int, int] | None:
    return None if verifier is None else (verifier.iterations, len(verifier.salt))
