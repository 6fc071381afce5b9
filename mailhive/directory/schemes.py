"""Stored passwords: which schemes are known, and does this password fit?

A hash begins with what says its scheme: `$6$` as crypt has it, or `{SSHA512}` as
LDAP (RFC 2307 §5.3) and Dovecot have it, in any case.  Dovecot's names for the
hashes of crypt, its PBKDF2 and its `.HEX` and `.B64` are understood.
"""

import hmac
import re
from base64 import b64decode, b64encode
from binascii import unhexlify
from hashlib import blake2b

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY
from passlib.context import CryptContext

from mailhive.directory.scram import MARK, derived, read_scram
from mailhive.model.scram import ScramVerifier

__all__ = [
    "credential_of",
    "for_scram",
    "hashed",
    "is_marked",
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
    "phpass": "$P$",
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
    "hex_sha512": "{SHA512}",
    "hex_sha256": "{SHA256}",
    "ldap_sha1": "{SHA}",
    "ldap_salted_md5": "{SMD5}",
    "ldap_md5": "{MD5}",
}
_CONTEXT = CryptContext(schemes=list(_SCHEMES))
_MARK = re.compile(r"\{([A-Z0-9-]+)(?:\.(HEX|B64|BASE64))?\}", re.ASCII | re.IGNORECASE)
_LOOKS_HASHED = re.compile(r"\$[A-Za-z0-9-]+\$|\{[A-Za-z0-9.-]+\}|SCRAM-SHA-256\s*\$", re.ASCII)
#: The name of what logins by SCRAM, and by password, can be checked with.
_SCRAM = "scram-sha-256"
_PLAIN = re.compile(r"\{(PLAIN|CLEAR|CLEARTEXT)\}", re.ASCII | re.IGNORECASE)
#: Marks before a hash that says by itself what it is.
_BEFORE_CRYPT = frozenset(
    {"ARGON2", "ARGON2I", "ARGON2ID", "BLF-CRYPT", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT"}
)
#: Marks before a digest, with the one that the library knows, and the octets of the digest.
_DIGESTS = {
    "SSHA512": ("{SSHA512}", 64),
    "SSHA256": ("{SSHA256}", 32),
    "SSHA": ("{SSHA}", 20),
    "SHA512": ("", 64),
    "SHA256": ("", 32),
    "SHA1": ("{SHA}", 20),
    "SHA": ("{SHA}", 20),
    "SMD5": ("{SMD5}", 16),
    "LDAP-MD5": ("{MD5}", 16),
    "PLAIN-MD5": ("{MD5}", 16),
    "MD5": ("{MD5}", 16),
}
_PBKDF2 = re.compile(r"\$1\$([^$]+)\$(\d{1,9})\$([0-9a-f]{40})", re.ASCII | re.IGNORECASE)
_PHPASS_LENGTH = 34
_BCRYPT_OCTETS = 72  # all that bcrypt looks at; its library refuses more

#: How passwords are hashed here.
COST = RFC_9106_LOW_MEMORY
assert COST.type is Type.ID

#: Octets; longer passwords are wrong without being looked at.
LONGEST_PASSWORD = 1024


def is_plain_text(secret: str) -> bool:
    """Is the secret the password itself?  `{PLAIN}` marks one that looks like a hash."""
    return _PLAIN.match(secret) is not None or _LOOKS_HASHED.match(secret) is None


def for_scram(secret: str) -> ScramVerifier | str | None:
    """What logins by SCRAM can be checked with: a verifier, or the password itself, if any."""
    return _plain(secret) if is_plain_text(secret) else read_scram(secret)


def is_marked(secret: str) -> bool:
    """Does the secret say what it is: a hash that is known, or plain text by `{PLAIN}`?"""
    return _PLAIN.match(secret) is not None or scheme_of(secret) is not None


def scheme_of(secret: str) -> str | None:
    """The name of the scheme that a secret is hashed by; None for plain text or an unknown one."""
    if is_plain_text(secret):
        return None
    if read_scram(secret) is not None:
        return _SCRAM
    bare = _bare(secret)
    for scheme in ("hex_sha512", "hex_sha256"):  # any such text would be taken for one
        if _CONTEXT.handler(scheme).identify(bare):
            return scheme if _MARK.match(secret) else None
    found: str | None = _CONTEXT.identify(bare)
    return found


def credential_of(secret: str) -> str:
    """The name of a password as a credential: another one when the secret is another one."""
    octets = secret.encode("utf-8", "surrogatepass")
    return f"password:{blake2b(octets, digest_size=16, person=b'mailhive').hexdigest()}"


def _bare(secret: str) -> str:
    """A hash as the library knows it; as it is if it cannot be understood."""
    mark = _MARK.match(secret)
    if mark is None:
        return secret
    name, encoding, rest = mark[1].upper(), (mark[2] or "").upper(), secret[mark.end() :]
    if name in _BEFORE_CRYPT or (name == "MD5" and rest.startswith("$1$")):
        return rest
    if name in _DIGESTS:
        return _digest(name, encoding, rest) or secret
    if name == "PBKDF2" and (dovecot := _PBKDF2.fullmatch(rest)):
        salt, rounds, digest = dovecot.groups()
        return f"$pbkdf2${rounds}${_ab64(salt.encode())}${_ab64(unhexlify(digest))}"
    return f"{{{name}}}{rest}"


def _digest(name: str, encoding: str, text: str) -> str | None:
    """A digest, with its salt behind it, in the encoding that the library knows."""
    mark, size = _DIGESTS[name]
    try:
        if encoding == "HEX" or (name == "PLAIN-MD5" and not encoding):
            octets = unhexlify(text)
        else:
            octets = b64decode(text, validate=True)
    except ValueError:
        return None
    if mark:
        return mark + b64encode(octets).decode()
    return octets.hex() if len(octets) == size else None


def _plain(secret: str) -> str:
    mark = _PLAIN.match(secret)
    return secret[mark.end() :] if mark else secret


def _ab64(octets: bytes) -> str:
    return b64encode(octets).decode().rstrip("=").replace("+", ".")


def secret_problem(secret: str) -> str | None:
    """What is wrong with a stored secret and what is allowed; None if nothing is.

    Repeats nothing of the secret.
    """
    if is_plain_text(secret):
        return None if _plain(secret) else "is empty; allowed is a hash or a password"
    scheme = scheme_of(secret)
    if scheme is None:
        allowed = " ".join(dict.fromkeys([*_SCHEMES.values(), MARK, "{PLAIN}"]))
        return f"is hashed by a scheme that is not known; allowed are those of {allowed}"
    if scheme == _SCRAM:
        return None
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
        stored = _plain(secret).encode("utf-8", "surrogatepass")
        return hmac.compare_digest(stored, octets)
    scheme = scheme_of(secret)
    if scheme is None:
        return False
    if scheme == _SCRAM:
        return _is_scram_of(secret, password)
    if scheme in ("bcrypt", "ldap_bcrypt"):
        octets = octets[:_BCRYPT_OCTETS]
    try:
        return bool(_CONTEXT.handler(scheme).verify(octets, _bare(secret)))
    except (ValueError, TypeError):
        return False


def _is_scram_of(secret: str, password: str) -> bool:
    stored = read_scram(secret)
    assert stored is not None
    try:
        given = derived(password, stored.salt, stored.iterations)
    except ValueError:
        return False
    return hmac.compare_digest(given.stored_key, stored.stored_key)


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
    if scheme in ("hex_sha512", "hex_sha256"):
        return True
    if scheme == "phpass":
        return len(secret) == _PHPASS_LENGTH
    if scheme in ("ldap_sha1", "ldap_md5"):  # these look at themselves only when they verify
        return len(secret) == len(handler.hash(""))
    wrapped = getattr(handler, "wrapped", None)
    if wrapped is not None:
        secret = handler.orig_prefix + secret.removeprefix(handler.prefix)
        handler = wrapped
    return handler.from_string(secret).checksum is not None
