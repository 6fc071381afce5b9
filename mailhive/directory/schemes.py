"""Stored passwords: which schemes are known, and does this password fit?"""

import hmac
import re
from hashlib import blake2b

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY
from passlib.context import CryptContext

__all__ = [
    "credential_of",
    "hashed",
    "is_outdated",
    "is_plain_text",
    "matches",
    "password_problem",
    "scheme_of",
    "secret_problem",
]

# Strong ones first; the others are what accounts of other systems bring along.
_SCHEMES = {
    "argon2": "$argon2id$",
    "scrypt": "$scrypt$",
    "bcrypt": "$2b$",
    "bcrypt_sha256": "$bcrypt-sha256$",
    "pbkdf2_sha512": "$pbkdf2-sha512$",
    "pbkdf2_sha256": "$pbkdf2-sha256$",
    "pbkdf2_sha1": "$pbkdf2$",
    "sha512_crypt": "$6$",
    "sha256_crypt": "$5$",
    "sha1_crypt": "$sha1$",
    "md5_crypt": "$1$",
    "apr_md5_crypt": "$apr1$",
    "ldap_sha512_crypt": "{CRYPT}",
    "ldap_sha256_crypt": "{CRYPT}",
    "ldap_bcrypt": "{CRYPT}",
    "ldap_sha1_crypt": "{CRYPT}",
    "ldap_md5_crypt": "{CRYPT}",
    "ldap_pbkdf2_sha512": "{PBKDF2-SHA512}",
    "ldap_pbkdf2_sha256": "{PBKDF2-SHA256}",
    "ldap_pbkdf2_sha1": "{PBKDF2}",
    "ldap_salted_sha512": "{SSHA512}",
    "ldap_salted_sha256": "{SSHA256}",
    "ldap_salted_sha1": "{SSHA}",
    "ldap_sha1": "{SHA}",
    "ldap_salted_md5": "{SMD5}",
    "ldap_md5": "{MD5}",
}
_CONTEXT = CryptContext(schemes=list(_SCHEMES))
_SHA512_CRYPT = re.compile(r"\{SHA(256|512)-CRYPT\}", re.ASCII)  # Dovecot's name for $5$ and $6$
_LOOKS_HASHED = re.compile(r"\$[A-Za-z0-9-]+\$|\{[A-Za-z0-9.-]+\}", re.ASCII)
_PLAIN = "{PLAIN}"
_BCRYPT_OCTETS = 72  # all that bcrypt looks at; its library refuses more

#: How passwords are hashed here.
COST = RFC_9106_LOW_MEMORY
assert COST.type is Type.ID

#: Octets; longer passwords are wrong without being looked at.
LONGEST_PASSWORD = 1024


def _bare(secret: str) -> str:
    prefix = _SHA512_CRYPT.match(secret)
    return secret[prefix.end() :] if prefix else secret


def is_plain_text(secret: str) -> bool:
    """Is the secret the password itself?  `{PLAIN}` marks one that looks like a hash."""
    return secret.startswith(_PLAIN) or _LOOKS_HASHED.match(secret) is None


def scheme_of(secret: str) -> str | None:
    """The name of the scheme that a secret is hashed by; None for plain text or an unknown one."""
    return None if is_plain_text(secret) else _CONTEXT.identify(_bare(secret))


def credential_of(secret: str) -> str:
    """The name of a password as a credential: another one when the secret is another one."""
    octets = secret.encode("utf-8", "surrogatepass")
    return f"password:{blake2b(octets, digest_size=16, person=b'mailhive').hexdigest()}"


def secret_problem(secret: str) -> str | None:
    """What is wrong with a stored secret and what is allowed; None if nothing is.

    Repeats nothing of the secret.
    """
    if is_plain_text(secret):
        return None if secret.removeprefix(_PLAIN) else "is empty; allowed is a hash or a password"
    scheme = scheme_of(secret)
    if scheme is None:
        allowed = " ".join(dict.fromkeys([*_SCHEMES.values(), _PLAIN]))
        return f"is hashed by a scheme that is not known; allowed are those of {allowed}"
    try:
        complete = _has_digest(scheme, _bare(secret))
    except (ValueError, TypeError):
        complete = False
    return None if complete else f"is not a complete {scheme} hash; allowed is the whole of one"


def matches(secret: str, password: str) -> bool:
    """Is this the password?  Takes its time, on purpose; call it on a thread.

    False as well when the secret cannot be read.
    """
    octets = password.encode("utf-8", "surrogatepass")
    if len(octets) > LONGEST_PASSWORD:
        return False
    if is_plain_text(secret):
        stored = secret.removeprefix(_PLAIN).encode("utf-8", "surrogatepass")
        return hmac.compare_digest(stored, octets)
    scheme = scheme_of(secret)
    if scheme is None:
        return False
    if scheme in ("bcrypt", "ldap_bcrypt"):
        octets = octets[:_BCRYPT_OCTETS]
    try:
        return bool(_CONTEXT.handler(scheme).verify(octets, _bare(secret)))
    except (ValueError, TypeError):
        return False


def hashed(password: str) -> str:
    """A new hash, by argon2id (RFC 9106 §4).  Takes its time too."""
    return PasswordHasher.from_parameters(COST).hash(password.encode("utf-8", "surrogatepass"))


def is_outdated(secret: str) -> bool:
    """Is the secret hashed by another scheme, or at another cost, than `hashed` does?"""
    try:
        return extract_parameters(secret) != COST
    except InvalidHashError:
        return True


def password_problem(password: str) -> str | None:
    """Why this cannot become a password and what can; None if it can."""
    if not password:
        return "the password is empty; allowed is any other"
    try:
        too_long = len(password.encode()) > LONGEST_PASSWORD
    except UnicodeEncodeError:
        return "the password is not UTF-8; allowed is any text"
    if too_long:
        return f"the password is too long; allowed are {LONGEST_PASSWORD} octets"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in password):
        return "the password has control characters; allowed are all others"
    return None


def _has_digest(scheme: str, secret: str) -> bool:
    """Does a hash go on to its end?  Reads it, but computes none; ValueError if it cannot."""
    handler = _CONTEXT.handler(scheme)
    if scheme in ("ldap_sha1", "ldap_md5"):  # these look at themselves only when they verify
        return len(secret) == len(handler.hash(""))
    wrapped = getattr(handler, "wrapped", None)
    if wrapped is not None:
        secret = handler.orig_prefix + secret.removeprefix(handler.prefix)
        handler = wrapped
    return handler.from_string(secret).checksum is not None
