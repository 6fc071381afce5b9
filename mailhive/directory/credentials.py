"""App passwords and tokens of an internal directory.

An app password is made here, of so many bits that a plain digest keeps it and an
index finds it; nobody guesses it, however fast it is looked up.
"""

import re
import secrets
from hashlib import sha256
from typing import Any

from attrs import evolve, frozen

from mailhive.directory.resolve import find_login
from mailhive.directory.tables import Tables, credential_name
from mailhive.model.addresses import canonical_name
from mailhive.model.credential import APP_PASSWORD, TOKEN, AppCredential
from mailhive.model.principal import Principal

__all__ = [
    "Used",
    "credentials_of",
    "digest_of",
    "new_password",
    "used_app_password",
    "used_token",
]

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that look like no other
_LENGTH = 24  # of them: 120 bits
_GROUP = 4
_FORM = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")
#: Seconds after which it is noted again that a credential was used.
NOTED = 600

_FIND = (
    "SELECT number, principal, services, expires, last_used FROM credential"
    " WHERE id = ? AND kind = ?"
)
_LIST = (
    "SELECT kind, name, label, services, created, expires, last_used"
    " FROM credential JOIN principal ON key = principal"
)


@frozen
class Used:
    """A credential that was found good: whose it is, and whether to note its use."""

    principal: Principal
    number: int
    is_to_be_noted: bool


def new_password() -> str:
    """An app password, in groups that are easy to copy."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def digest_of(password: str) -> str | None:
    """The id of an app password, however its groups were typed; None for what is none."""
    letters = password.replace("-", "").replace(" ", "").lower()
    return sha256(letters.encode()).hexdigest() if _FORM.fullmatch(letters) else None


def used_app_password(
    tables: Tables, login: str, digest: str, service: str, now: float
) -> Used | None:
    """Who logs in to a service by an app password."""
    entry = find_login(tables, login)
    used = _used(tables, APP_PASSWORD, digest, service, now)
    return used if used and entry and used.principal.name == entry.principal.name else None


def used_token(tables: Tables, token_id: str, service: str, now: float) -> Used | None:
    """For whom a token was made, if it is for the service and still good."""
    return _used(tables, TOKEN, token_id, service, now)


def credentials_of(tables: Tables, kind: str, name: str | None) -> tuple[AppCredential, ...]:
    """Those of a kind, of one principal or of all, by name and label."""
    sql, parameters = f"{_LIST} WHERE kind = ?", [kind]
    if name is not None:
        sql, parameters = f"{sql} AND principal = ?", [kind, canonical_name(name)]
    rows = tables.connection.all(f"{sql} ORDER BY principal, label", parameters)
    return tuple(_credential(*row) for row in rows)


def _credential(
    kind: str, name: str, label: str, services: str, created: int, *times: Any
) -> AppCredential:
    return AppCredential(kind, name, label, tuple(services.split()), created, *times)


def _used(tables: Tables, kind: str, identifier: str, service: str, now: float) -> Used | None:
    row = tables.connection.row(_FIND, (identifier, kind))
    if row is None:
        return None
    number, key, services, expires, last_used = row
    entry = tables.entry(key)
    if entry is None or not entry.principal.enabled or service not in services.split():
        return None
    if expires is not None and expires <= now:
        return None
    is_to_be_noted = last_used is None or now - last_used >= NOTED
    principal = evolve(entry.principal, credential=credential_name(kind, number))
    return Used(principal, number, is_to_be_noted)
