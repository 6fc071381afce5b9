"""What is sent to subscribers, and how it is encrypted and signed."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.model.webpush import PushKeys, PushSubscription
from mailhive.push.message import MAX_SIZE, encrypted, state_change, verification
from mailhive.push.vapid import KeyFileError, load_signer
from mailhive.testing.web_push import Subscriber, check_vapid


def octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(octets(text), "big"), ec.SECP256R1())


# RFC 8291 §5 and Appendix A
TEXT = b"When I grow up, I want to be a watermelon"
RECEIVER = Subscriber(
    private_key("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), octets("BTBZMqHH6r4Tts7J_aSIgg")
)
SENDER = private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
SALT = octets("DGv6ra1nlYgDCS1FRnbzlw")
ENCRYPTED = octets(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def keys_of(subscriber: Subscriber) -> PushKeys:
    return PushKeys(subscriber.point, subscriber.auth)


def subscription(keys: PushKeys | None = None, code: str = "secret") -> PushSubscription:
    return PushSubscription(
        id="P1",
        device="phone",
        url="https://push.example/1",
        keys=keys,
        code=code,
        is_verified=True,
        expires=1_000_000,
        types=None,
    )


def test_the_example_of_the_rfc() -> None:
    assert encrypted(TEXT, keys_of(RECEIVER), salt=SALT, private_key=SENDER) == ENCRYPTED
    assert RECEIVER.decrypt(ENCRYPTED) == TEXT


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=MAX_SIZE))
def test_what_is_encrypted_can_be_read_by_its_receiver_alone(text: bytes) -> None:
    coded = encrypted(text, keys_of(RECEIVER))
    assert len(coded) <= 4096
    assert RECEIVER.decrypt(coded) == text
    assert encrypted(text, keys_of(RECEIVER)) != coded
    with pytest.raises(Exception):  # noqa: B017 - whatever does not fit
        Subscriber().decrypt(coded)


def test_a_verification() -> None:
    message = verification(subscription(), 400_000)
    assert json.loads(message.body) == {
        "@type": "PushVerification",
        "pushSubscriptionId": "P1",
        "verificationCode": "secret",
    }
    assert message.headers["Content-Type"] == "application/json"
    assert message.headers["TTL"] == "600"
    assert "Content-Encoding" not in message.headers
    assert message.told == frozenset()


def test_headers_of_a_state_change() -> None:
    mail = state_change(subscription(), {"a": {"Email": "3", "EmailDelivery": "2"}}, 0)
    flag = state_change(subscription(), {"a": {"Email": "4"}}, 0)
    assert mail.headers["Urgency"] == "normal"
    assert flag.headers["Urgency"] == "low"
    assert mail.headers["TTL"] == "1000"
    assert json.loads(flag.body) == {"@type": "StateChange", "changed": {"a": {"Email": "4"}}}
    # A message may take the place only of one that said nothing which it does not say.
    later = state_change(subscription(), {"a": {"Email": "5"}}, 0)
    elsewhere = state_change(subscription(), {"b": {"Email": "5"}}, 0)
    somebody = state_change(subscription(code="another"), {"a": {"Email": "5"}}, 0)
    topics = [m.headers["Topic"] for m in (flag, mail, elsewhere, somebody)]
    assert later.headers["Topic"] == flag.headers["Topic"]
    assert len(set(topics)) == 4
    assert all(len(topic) == 32 for topic in topics)  # RFC 8030 §5.4: at most
    assert "Email" not in "".join(topics)


def test_what_is_too_large_is_sent_in_parts() -> None:
    types = ("Email", "EmailDelivery", "Mailbox", "Thread")
    changed = {f"account{n:020}": {name: str(10**15 + n) for name in types} for n in range(200)}
    left, told = dict(changed), {}
    while left:
        message = state_change(subscription(keys_of(RECEIVER)), left, 0)
        part = json.loads(RECEIVER.decrypt(message.body))["changed"]
        assert part.keys() == message.told
        told |= part
        for account_id in message.told:
            del left[account_id]
    assert told == changed


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    signer = load_signer(path, "mailto:postmaster@example.org")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signer(path, "").public_key == signer.public_key
    assert len(octets(signer.public_key)) == 65

    header = signer.authorization("https://push.example:8443/secret?x=1", 1_000_000)
    claims = check_vapid(header, signer.public_key)
    assert claims["aud"] == "https://push.example:8443"
    assert claims["sub"] == "mailto:postmaster@example.org"
    assert 0 < claims["exp"] - 1_000_000 <= 86_400  # RFC 8292 §2
    assert signer.authorization("https://push.example:8443/other", 1_000_100) == header
    assert signer.authorization("https://push.example:8443/other", 1_010_000) != header
    usual = check_vapid(signer.authorization("https://[2001:DB8::1]:443/", 0), signer.public_key)
    assert usual["aud"] == "https://[2001:db8::1]"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vapid.pem"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"vapid\.pem is not a private key"):
        load_signer(path, "")
