"""Every limit that can be configured, set to little: advertised, and with its own error."""

import http.client
import json
import smtplib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailhive.jmap.registry import Registry
from mailhive.testing.process import USERS, DaemonProcess, free_port

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"

METHODS = Registry.load().methods
TYPES = sorted({name.partition("/")[0] for name in METHODS if name.endswith("/get")})

SECOND_PORT = free_port()
EXTRA = """
[[directory.memory.principals]]
name = "carol"
secret = "secret"
email = "carol@example.org"
quota = 900
[jmap.limits]
request-size = 6000
calls = 2
concurrent-requests = 1
concurrent-uploads = 1
get = 3
set = 2
email-get-full = 1
[jmap.upload]
max-size = 3000
quota = 5000
[jmap.email]
max-size = 2000
max-size-attachments = 500
guess-charsets = false
decode-utf-7 = true
[server.listener.second]
bind = "127.0.0.1:{second}"
protocol = "jmap"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    extra = EXTRA.replace("{second}", str(SECOND_PORT))
    with DaemonProcess(tmp_path_factory.mktemp("daemon"), extra=extra) as server:
        server.users = USERS | {"carol": "secret"}
        yield server


@pytest.fixture(params=["alice"])
def user(daemon: DaemonProcess, jmap: Callable, request: pytest.FixtureRequest) -> Any:
    return jmap(daemon, request.param)


def message(size: int, number: int = 0) -> bytes:
    head = f"From: a@x.example\r\nSubject: {number}\r\n\r\n".encode()
    return head + b"x" * (size - len(head))


def answer(user: Any, name: str, **arguments: Any) -> Any:
    """The response to one call, or the error in its place."""
    using = list(user.session["capabilities"])
    body = {"using": using, "methodCalls": [[name, arguments, "0"]]}
    status, response = user.post(json.dumps(body).encode())
    assert status == 200, response
    return response["methodResponses"][0]


def inbox(user: Any) -> str:
    _, found, _ = answer(user, "Mailbox/query", accountId=user.account_id, filter={"role": "inbox"})
    return found["ids"][0]


def put(user: Any, size: int, number: int = 0) -> dict[str, Any]:
    """The response to an Email/import of a message of that size."""
    email = {"blobId": user.upload(message(size, number)), "mailboxIds": {inbox(user): True}}
    return answer(user, "Email/import", accountId=user.account_id, emails={"e": email})[1]


def test_advertised(user: Any) -> None:
    core = user.session["capabilities"][CORE]
    core.pop("collationAlgorithms")
    assert core == {
        "maxSizeUpload": 3000,
        "maxConcurrentUpload": 1,
        "maxSizeRequest": 6000,
        "maxConcurrentRequests": 1,
        "maxCallsInRequest": 2,
        "maxObjectsInGet": 3,
        "maxObjectsInSet": 2,
    }
    account = user.session["accounts"][user.account_id]["accountCapabilities"][MAIL]
    assert account["maxSizeAttachmentsPerEmail"] == 500


@pytest.mark.parametrize(
    ("calls", "filler", "limit"),
    [(2, "", None), (3, "", "maxCallsInRequest"), (1, "x" * 6000, "maxSizeRequest")],
)
def test_requests(user: Any, calls: int, filler: str, limit: str | None) -> None:
    call = ["Core/echo", {"filler": filler}, "0"]
    body = {"using": [CORE], "methodCalls": [call] * calls}
    status, problem = user.post(json.dumps(body).encode())
    assert status == (200 if limit is None else 400)
    if limit is not None:
        assert problem["type"] == "urn:ietf:params:jmap:error:limit"
        assert problem["limit"] == limit


def test_uploads(user: Any) -> None:
    user.upload(b"x" * 3000)
    url = user.session["uploadUrl"].replace("{accountId}", user.account_id)
    status, _, body = user.request("POST", url, b"x" * 3001, {"Content-Type": "text/plain"})
    assert (status, json.loads(body)["limit"]) == (413, "maxSizeUpload")


@pytest.mark.parametrize(
    ("path", "limit"),
    [("apiUrl", "maxConcurrentRequests"), ("uploadUrl", "maxConcurrentUpload")],
)
def test_at_the_same_time(daemon: DaemonProcess, user: Any, path: str, limit: str) -> None:
    """One that was begun and is not complete keeps the next one of that user away.

    On whatever listener; no other user's.
    """
    url = user.session[path].replace("{accountId}", user.account_id)
    target = url.removeprefix(daemon.base_url)
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {user.authorization}\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", daemon.http_port)) as slow:
        slow.sendall(head.encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")  # it is being read
        status, _, body = user.request("POST", url, b"{}", {"Content-Type": "application/json"})
        assert (status, json.loads(body)["limit"]) == (400, limit)
        second = http.client.HTTPConnection("127.0.0.1", SECOND_PORT, timeout=100)
        credentials = {"Authorization": user.authorization, "Content-Type": "application/json"}
        second.request("POST", target, b"{}", credentials)
        assert json.loads(second.getresponse().read())["limit"] == limit
        second.close()
        slow.sendall(b"{}")
        assert slow.recv(1000).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 201 "))
    status, _, body = user.request("POST", url, b"{}", {"Content-Type": "application/json"})
    assert json.loads(body).get("limit") is None


@pytest.mark.parametrize("user", ["bob"], indirect=True)
def test_upload_quota(user: Any) -> None:
    """The oldest go first; one that an Email refers to does not."""
    used = put(user, 1500)["created"]["e"]["blobId"]
    first, second, third = (user.upload(bytes([n]) * 2500) for n in range(3))
    url = user.session["downloadUrl"].replace("{type}", "text/plain")
    for blob_id, status in ((used, 200), (first, 404), (second, 200), (third, 200)):
        target = url.replace("{accountId}", user.account_id).replace("{blobId}", blob_id)
        assert user.request("GET", target.replace("{name}", "x"))[0] == status


@pytest.mark.parametrize("name", [f"{t}/get" for t in TYPES if t != "SearchSnippet"])
def test_objects_in_get(user: Any, name: str) -> None:
    ids = [f"x{n}" for n in range(4)]
    _, found, _ = answer(user, name, accountId=user.account_id, ids=ids[:3])
    assert sorted(found["notFound"]) == ids[:3]
    response, error, _ = answer(user, name, accountId=user.account_id, ids=ids)
    assert (response, error["type"]) == ("error", "requestTooLarge")


def test_all_objects_in_get(user: Any) -> None:
    response, error, _ = answer(user, "Mailbox/get", accountId=user.account_id, ids=None)
    assert (response, error["type"]) == ("error", "requestTooLarge")  # it has six


@pytest.mark.parametrize("name", [f"{t}/set" for t in TYPES if f"{t}/set" in METHODS])
def test_objects_in_set(user: Any, name: str) -> None:
    some = {"update": {"x": {}}, "destroy": ["y"]}
    _, result, _ = answer(user, name, accountId=user.account_id, **some)
    assert (result["notUpdated"].keys(), result["notDestroyed"].keys()) == ({"x"}, {"y"})
    response, error, _ = answer(user, name, accountId=user.account_id, create={"z": {}}, **some)
    assert (response, error["type"]) == ("error", "requestTooLarge")


def test_bodies_in_email_get(user: Any) -> None:
    ids = [put(user, 200, n)["created"]["e"]["id"] for n in range(2)]
    body = {"accountId": user.account_id, "properties": ["bodyValues"], "fetchTextBodyValues": True}
    _, found, _ = answer(user, "Email/get", ids=ids[:1], **body)
    assert found["list"][0]["bodyValues"]
    response, error, _ = answer(user, "Email/get", ids=ids, **body)
    assert (response, error["type"]) == ("error", "requestTooLarge")
    _, found, _ = answer(user, "Email/get", accountId=user.account_id, ids=ids)
    assert len(found["list"]) == 2  # no body is read for what is asked for by default


def test_how_much_is_made_of_charsets(user: Any) -> None:
    """RFC 8621 §9.1, in values of bodies and in previews."""
    head = "From: a@x.example\r\nContent-Type: text/plain"
    body = {"accountId": user.account_id, "fetchTextBodyValues": True}
    for charset, text, value in (
        ("", "grün", "gr\ufffd\ufffdn"),
        ("; charset=x-unknown", "grün", "gr\ufffd\ufffdn"),
        ("; charset=utf-8", "grün", "grün"),
        ("; charset=utf-7", "gr+APw-n", "grün"),
    ):
        blob_id = user.upload(f"{head}{charset}\r\n\r\n{text}".encode())
        email = {"blobId": blob_id, "mailboxIds": {inbox(user): True}}
        account = {"accountId": user.account_id}
        made = answer(user, "Email/import", **account, emails={"e": email})[1]["created"]["e"]
        (got,) = answer(user, "Email/get", ids=[made["id"]], **body)[1]["list"]
        parsed = answer(user, "Email/parse", blobIds=[blob_id], **body)[1]["parsed"][blob_id]
        for found in (got, parsed):
            (shown,) = found["bodyValues"].values()
            assert (shown["value"], found["preview"]) == (value, value)
            assert shown["isEncodingProblem"] == ("\ufffd" in value)


def test_size_of_a_message(daemon: DaemonProcess, user: Any) -> None:
    assert put(user, 2000)["created"]
    error = put(user, 2001)["notCreated"]["e"]
    assert (error["type"], error["maxSize"]) == ("tooLarge", 2000)
    part = {"partId": "1", "type": "text/plain"}
    draft = {
        "mailboxIds": {inbox(user): True},
        "bodyStructure": part,
        "bodyValues": {"1": {"value": "x" * 2000}},
    }
    _, result, _ = answer(user, "Email/set", accountId=user.account_id, create={"d": draft})
    error = result["notCreated"]["d"]
    assert (error["type"], error["maxSize"]) == ("tooLarge", 2000)
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "2000"
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            client.sendmail("a@x.example", "alice@example.org", message(2001))
        assert caught.value.smtp_code == 552


def test_attachments_of_a_message(user: Any) -> None:
    def create(size: int) -> dict[str, Any]:
        attached = {"blobId": user.upload(b"x" * size, "image/png"), "type": "image/png"}
        draft = {"mailboxIds": {inbox(user): True}, "attachments": [attached] * 2}
        return answer(user, "Email/set", accountId=user.account_id, create={"d": draft})[1]

    assert create(250)["created"]["d"]
    error = create(251)["notCreated"]["d"]
    assert (error["type"], error["maxSize"]) == ("tooLarge", 500)


@pytest.mark.parametrize("user", ["carol"], indirect=True)
def test_quota_of_an_account(daemon: DaemonProcess, user: Any) -> None:
    assert put(user, 400)["created"]
    assert put(user, 501, 1)["notCreated"]["e"]["type"] == "overQuota"
    part = {"partId": "1", "type": "text/plain"}
    draft = {
        "mailboxIds": {inbox(user): True},
        "bodyStructure": part,
        "bodyValues": {"1": {"value": "x" * 501}},
    }
    _, result, _ = answer(user, "Email/set", accountId=user.account_id, create={"d": draft})
    assert result["notCreated"]["d"]["type"] == "overQuota"
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port) as client:
        # The size is told with MAIL, so it is refused before the message is sent.
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            client.sendmail("a@x.example", "carol@example.org", message(501))
        assert caught.value.recipients["carol@example.org"][0] == 452
    assert put(user, 500, 2)["created"]
