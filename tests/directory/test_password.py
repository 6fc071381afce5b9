"""Which hashes are understood, and how checks are shared, remembered and bounded."""

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailhive.directory.password import Decoys, PasswordVerifier, decoy
from mailhive.directory.schemes import (
    _CONTEXT,
    _SCHEMES,
    is_marked,
    is_plain_text,
    matches,
    scheme_of,
    secret_problem,
)
from mailhive.errors import TemporaryFailure

PASSWORD = "pässword"

# Made by other programs: the argon2 reference, crypt_blowfish, `openssl passwd`, slappasswd.
_SHA512 = (
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"
    "FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
)
_SHA256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
FOREIGN = [
    (
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "password",
    ),
    ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    (_SHA512, "Hello world!"),
    (_SHA256, "Hello world!"),
    ("{SHA512-CRYPT}" + _SHA512, "Hello world!"),
    ("{SHA256-CRYPT}" + _SHA256, "Hello world!"),
    ("{CRYPT}" + _SHA512, "Hello world!"),
    ("$1$saltstr$QM9HTGmcCulEKt42JFhZ/.", "Hello world!"),
    ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password"),
    ("{MD5}X03MO1qnZdYdgyfeuILPmQ==", "password"),
    ("{LDAP-MD5}X03MO1qnZdYdgyfeuILPmQ==", "password"),
    ("{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99", "password"),
    ("{sha.hex}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", "password"),
    ("{SHA1}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password"),
    ("{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "password"),
    (
        (
            "{SHA512.HEX}b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb9"
            "80b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86"
        ),
        "password",
    ),
    ("{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    ("{MD5-CRYPT}$1$saltstr$QM9HTGmcCulEKt42JFhZ/.", "Hello world!"),
    ("{MD5}$1$saltstr$QM9HTGmcCulEKt42JFhZ/.", "Hello world!"),
    (
        (
            "{ARGON2ID}$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
            "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        ),
        "password",
    ),
    # RFC 6070 §2, as Dovecot writes it
    ("{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "password"),
    ("$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", "test12345"),
]


@pytest.mark.parametrize(("secret", "password"), FOREIGN)
def test_hashes_of_other_programs(secret, password):
    assert secret_problem(secret) is None
    assert matches(secret, password)
    assert not matches(secret, password + "x")


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_every_scheme(scheme):
    handler = _CONTEXT.handler(scheme)
    if "rounds" in handler.setting_kwds:
        handler = handler.using(rounds=max(handler.min_rounds, 4))
    secret = handler.hash(PASSWORD)
    if scheme.startswith("hex_"):
        secret = f"{{{scheme[4:].upper()}.HEX}}{secret}"
    assert scheme_of(secret) == scheme
    assert not is_plain_text(secret)
    assert secret_problem(secret) is None
    assert matches(secret, PASSWORD)
    assert not matches(secret, PASSWORD.upper())
    assert not matches(secret, "")
    for cut in (secret[: len(secret) // 2], secret[:-30] if len(secret) > 40 else secret[:-3]):
        if not is_plain_text(cut) and scheme != "argon2":  # whose hashes may have any length
            assert secret_problem(cut) is not None
            assert not matches(cut, PASSWORD)


def test_plain_text():
    for secret in ("open", "$6", "{", "{PLAIN}open", "{PLAIN}$6$x", "pa$$word$6$"):
        assert is_plain_text(secret)
        assert secret_problem(secret) is None
    assert matches("open", "open")
    assert matches("{PLAIN}$6$x", "$6$x")
    assert not matches("{PLAIN}open", "{PLAIN}open")
    assert not matches("open", "opened")


@pytest.mark.parametrize("encoding", ["", ".b64", ".B64", ".hex", ".HEX"])
@pytest.mark.parametrize("name", ["SSHA", "ssha256", "SSHA512", "SMD5"])
def test_salted_digests_in_the_encodings_of_dovecot(name, encoding):
    function = {"SSHA": "sha1", "SMD5": "md5"}.get(name, name.lower().removeprefix("s"))
    octets = hashlib.new(function, PASSWORD.encode() + b"salt").digest() + b"salt"
    text = octets.hex() if encoding.lower() == ".hex" else b64encode(octets).decode()
    secret = f"{{{name}{encoding}}}{text}"
    assert secret_problem(secret) is None
    assert is_marked(secret)
    assert matches(secret, PASSWORD)
    assert not matches(secret, PASSWORD + "x")
    assert not matches(secret[:-6], PASSWORD)


@pytest.mark.parametrize("mark", ["{PLAIN}", "{CLEARTEXT}", "{clear}"])
def test_marked_plain_text(mark):
    assert is_marked(f"{mark}open")
    assert matches(f"{mark}open", "open")
    assert not matches(f"{mark}open", f"{mark}open")
    assert secret_problem(mark) is not None


@pytest.mark.parametrize(
    "secret",
    ["", "open", "!", "*", "x", "$y$j9T$a$b", "{UNKNOWN}x", "5" * 64, "{SHA256}5"],
)
def test_what_says_nothing_of_its_scheme_is_not_marked(secret):
    assert not is_marked(secret)


def test_bcrypt_looks_at_72_octets():
    secret = _CONTEXT.handler("bcrypt").using(rounds=4).hash(b"x" * 72)
    assert matches(secret, "x" * 100)
    assert not matches(secret, "x" * 71)
    assert not matches(secret, "x\0")


@given(st.text(), st.text())
def test_any_text_is_a_password_or_a_problem(secret, password):
    assert secret_problem(secret) is None or secret == "" or not is_plain_text(secret)
    if is_plain_text(secret):
        stored = secret.removeprefix("{PLAIN}")
        assert matches(secret, password) == (stored == password)
    else:
        assert not matches(secret, password)


@pytest.mark.parametrize("secret", ["$unknown$hunter2", "{SSHA}hunter2", "$6$hunter2"])
def test_a_problem_repeats_nothing_of_the_secret(secret):
    assert "hunter2" not in secret_problem(secret)


def test_decoys_follow_what_is_seen():
    decoys = Decoys()
    assert scheme_of(decoys.secret()) == "argon2"
    assert not matches(decoys.secret(), "")
    for secret in ("{PLAIN}open", _SHA256, _SHA512, _SHA512):
        decoys.saw(secret)
    assert decoys.secret() == _SHA512


def test_the_decoy_is_of_the_usual_scheme():
    assert decoy([]) is None
    assert decoy(["open", "secret"]) is None
    some = ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$5$a$b", "open", "$5$c$d", "open", "open"]
    assert decoy(some) == "$5$a$b"


SECRET = _CONTEXT.handler("ldap_salted_sha256").hash(PASSWORD)


class Pool:
    """Threads whose work is done when the test says so."""

    def __init__(self):
        self.waiting = []
        self.done = 0

    def offload(self, function, *arguments):
        deferred = Deferred()
        self.waiting.append((deferred, function, arguments))
        return deferred

    def work(self):
        while self.waiting:
            deferred, function, arguments = self.waiting.pop(0)
            self.done += 1
            deferred.callback(function(*arguments))


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def verifier(pool, clock):
    return PasswordVerifier(pool.offload, clock.seconds, remember=60, remembered=3)


def outcome(deferred):
    """What a Deferred has fired with, or None if it has not fired."""
    results = []

    def note(result):
        results.append(result)
        return None if isinstance(result, Failure) else result

    deferred.addBoth(note)
    return results[0] if results else None


def test_checks_on_a_thread(verifier, pool):
    right = verifier.verify("a", PASSWORD, SECRET)
    assert outcome(right) is None
    pool.work()
    assert outcome(right) is True
    wrong = verifier.verify("a", "wrong", SECRET)
    pool.work()
    assert outcome(wrong) is False


def test_a_right_password_is_remembered_for_a_while(verifier, pool, clock):
    verifier.verify("a", PASSWORD, SECRET)
    pool.work()
    clock.advance(59)
    assert outcome(verifier.verify("a", PASSWORD, SECRET)) is True
    assert pool.done == 1
    # For this login, password and stored secret only.
    other_secret = _CONTEXT.handler("ldap_salted_sha256").hash("another")
    for arguments in [
        ("b", PASSWORD, SECRET),
        ("a", "wrong", SECRET),
        ("a", PASSWORD, other_secret),
        ("ap", PASSWORD[1:], SECRET),
    ]:
        assert outcome(verifier.verify(*arguments)) is None
    pool.work()
    clock.advance(61)
    assert outcome(verifier.verify("a", PASSWORD, SECRET)) is None


def test_a_wrong_password_is_not_remembered(verifier, pool):
    for _ in range(2):
        wrong = verifier.verify("a", "wrong", SECRET)
        pool.work()
        assert outcome(wrong) is False
    assert pool.done == 2


def test_a_change_of_the_secret_is_noticed_at_once(verifier, pool):
    verifier.verify("a", PASSWORD, SECRET)
    pool.work()
    changed = verifier.verify("a", PASSWORD, _CONTEXT.handler("ldap_salted_sha256").hash("new"))
    pool.work()
    assert outcome(changed) is False


def test_memory_is_bounded(verifier, pool):
    for login in "abcd":
        verifier.verify(login, PASSWORD, SECRET)
        pool.work()
    assert len(verifier._right) == 3
    assert outcome(verifier.verify("a", PASSWORD, SECRET)) is None
    assert outcome(verifier.verify("d", PASSWORD, SECRET)) is True


def test_equal_checks_share_one_run(verifier, pool):
    same = [verifier.verify("a", PASSWORD, SECRET) for _ in range(50)]
    wrong = [verifier.verify("a", "wrong", SECRET) for _ in range(50)]
    pool.work()
    assert [outcome(d) for d in same] == [True] * 50
    assert [outcome(d) for d in wrong] == [False] * 50
    assert pool.done == 2


def test_only_so_many_run_and_wait(verifier, pool):
    checks = [verifier.verify(f"login{i}", "wrong", SECRET) for i in range(400)]
    running = len(pool.waiting)
    assert running <= 64
    refused = [outcome(check) for check in checks[running + 200 :]]
    assert all(failure.check(TemporaryFailure) for failure in refused)
    pool.work()
    assert [outcome(check) for check in checks[: running + 200]] == [False] * (running + 200)


def test_nobody_takes_as_long_and_is_never_remembered(verifier, pool):
    for _ in range(3):  # not even with the right password of the decoy
        nobody = verifier.verify_nobody("nobody", PASSWORD, SECRET)
        assert outcome(nobody) is None
        pool.work()
        assert outcome(nobody) is False
    assert pool.done == 3
    assert outcome(verifier.verify_nobody("nobody", PASSWORD, None)) is False


def test_a_failing_thread_fails_all_that_share(verifier, pool):
    checks = [verifier.verify("a", PASSWORD, SECRET) for _ in range(3)]
    deferred, *_ = pool.waiting.pop()
    deferred.errback(TemporaryFailure("stopping"))
    assert all(outcome(check).check(TemporaryFailure) for check in checks)
    again = verifier.verify("a", PASSWORD, SECRET)
    pool.work()
    assert outcome(again) is True


def test_the_password_is_not_kept(verifier, pool):
    import gc

    canary = "canary-" + PASSWORD[::-1]
    verifier.verify("a", canary, _CONTEXT.handler("ldap_salted_sha256").hash(canary))
    pool.work()
    assert len(verifier._right) == 1
    gc.collect()
    held = [verifier.__dict__, verifier._right, verifier._running]
    assert canary not in repr(held)
