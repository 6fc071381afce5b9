"""Real sockets: our own client, smtplib and swaks."""

import shutil
import smtplib
import socket
import ssl as stdlib_ssl
import subprocess

import pytest
import pytest_twisted
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mailhive.smtp import replies
from mailhive.testing.smtp_client import SmtpClient

MESSAGE = b"Subject: \xc3\xa4\r\n\r\n.dot\r\n..two\r\n" + b"x" * 3000 + b"\r\n"


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("chunk_size", [None, 1, 100, 100_000])
@pytest_twisted.ensureDeferred
async def test_send(new_server, pipelining, chunk_size):
    message = MESSAGE[:60] + b"\r\n" if chunk_size == 1 else MESSAGE
    server = await new_server()
    client = await server.client()
    await client.hello()
    sent = await client.send(
        "a@c.example",
        ["b@mx.example", "no@mx.example", "c@mx.example"],
        message,
        pipelining=pipelining,
        chunk_size=chunk_size,
    )
    assert [reply.code for reply in sent[:4]] == [250, 250, 550, 250]
    assert str(sent[-1]) == str(replies.MESSAGE_ACCEPTED)
    assert (await client.quit()).code == 221
    (stored,) = server.stored
    assert stored.endswith(b"+0000\r\n" + message)
    (delivered,) = server.services.delivery.delivered
    assert delivered.envelope.recipients == ("b@mx.example", "c@mx.example")


@pytest_twisted.ensureDeferred
async def test_smtputf8(new_server):
    server = await new_server()
    client = await server.client()
    await client.hello()
    assert "SMTPUTF8" in client.extensions
    sent = await client.send(
        "\u00fc@c.example", ["\u00e4@mx.example"], MESSAGE, parameters="SMTPUTF8 BODY=8BITMIME"
    )
    assert sent[-1].code == 250
    await client.quit()
    (stored,) = server.stored
    assert stored.startswith("Return-Path: <\u00fc@c.example>\r\n".encode())
    assert b" with UTF8SMTP id " in stored
    assert "for <\u00e4@mx.example>;".encode() in stored


@pytest_twisted.ensureDeferred
async def test_starttls(new_server):
    server = await new_server(tls="starttls")
    client = await server.client()
    await client.hello()
    assert "STARTTLS" in client.extensions
    assert (await client.start_tls(ssl.CertificateOptions())).code == 220
    assert (await client.command("MAIL FROM:<>")).code == 503
    await client.hello()
    assert "STARTTLS" not in client.extensions
    for chunk_size in (None, 1000):
        sent = await client.send(
            "a@c.example", ["b@mx.example"], MESSAGE, pipelining=True, chunk_size=chunk_size
        )
        assert sent[-1].code == 250
    await client.quit()
    assert all(b" with ESMTPS id " in stored for stored in server.stored)


@pytest.mark.parametrize("injected", [b"RSET\r\n", b"EHLO x\r\nMAIL FROM:<>\r\n", b"Q"])
@pytest_twisted.ensureDeferred
async def test_plaintext_behind_starttls_ends_the_connection(new_server, injected):
    server = await new_server(tls="starttls")
    client = await server.client()
    await client.hello()
    answer = await client.script(b"STARTTLS\r\n" + injected)
    assert [str(reply) for reply in answer] == [str(replies.PIPELINED_STARTTLS)]


@pytest_twisted.ensureDeferred
async def test_a_script_in_one_packet(new_server):
    server = await new_server()
    client = await server.client()
    answer = await client.script(
        b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@mx.example>\r\nBDAT 2 LAST\r\n\r\n"
        b"QUIT\r\n"
    )
    assert [reply.code for reply in answer] == [250, 250, 250, 354, 250, 250, 250, 250, 221]
    assert len(server.stored) == 2


@pytest_twisted.ensureDeferred
async def test_a_half_closed_peer_gets_its_replies(new_server):
    server = await new_server()
    script = (
        b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n.\r\n"
    )

    def talk() -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=100) as peer:
            peer.sendall(script)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    answer = await deferToThread(talk)
    assert answer.endswith(replies.MESSAGE_ACCEPTED.to_bytes())
    assert len(server.stored) == 1


@pytest_twisted.ensureDeferred
async def test_a_peer_that_reads_nothing_is_not_read_for_ever(new_server):
    server = await new_server()

    def talk() -> int:
        """Octets the server took of an endless stream of commands."""
        taken = 0
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                while taken < 200_000_000:
                    taken += peer.send(b"NOOP\r\n" * 10_000)
            except TimeoutError:
                pass
        return taken

    assert await deferToThread(talk) < 200_000_000


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest_twisted.ensureDeferred
async def test_a_handshake_that_never_comes_has_an_end(new_server, tls):
    server = await new_server(tls=tls, command_timeout=2.0)

    def talk() -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", server.port), timeout=100) as peer:
            if tls == "starttls":
                peer.sendall(b"EHLO c.example\r\nSTARTTLS\r\n")
            try:
                while data := peer.recv(65536):
                    answer += data
            except ConnectionResetError:
                pass
        return answer

    answer = await deferToThread(talk)
    assert answer.count(b"220 ") == (2 if tls == "starttls" else 0)


@pytest_twisted.ensureDeferred
async def test_a_connection_too_many_gets_no_handshake(new_server):
    server = await new_server(tls="implicit", max_connections=1)

    def talk() -> bytes:
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, timeout=100),
            socket.create_connection(address, timeout=100) as second,
        ):
            try:
                return second.recv(100)
            except ConnectionResetError:
                return b""

    assert await deferToThread(talk) == b""


@pytest_twisted.ensureDeferred
async def test_drain_of_open_connections(new_server):
    server = await new_server(tls="starttls")
    idle, busy, encrypted = [await server.client() for _ in range(3)]
    for client in (idle, busy, encrypted):
        await client.hello()
    await encrypted.start_tls(ssl.CertificateOptions())
    await encrypted.hello()
    busy.write(b"MAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nSubject: x\r\n")
    assert [(await busy.reply()).code for _ in range(3)] == [250, 250, 354]
    drained = server.factory.drain()
    assert (await idle.reply()).code == 421
    assert (await encrypted.reply()).code == 421
    busy.write(b"\r\n.\r\n")
    assert [(await busy.reply()).code for _ in range(2)] == [250, 421]
    await drained
    assert len(server.stored) == 1


# Other people's clients


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest_twisted.ensureDeferred
async def test_smtplib(new_server, tls):
    server = await new_server(tls=tls)

    def send() -> dict[str, tuple[int, bytes]]:
        context = stdlib_ssl.create_default_context(cafile=server.certificate)
        if tls == "implicit":
            smtp = smtplib.SMTP_SSL("localhost", server.port, timeout=100, context=context)
        else:
            smtp = smtplib.SMTP("localhost", server.port, timeout=100)
        with smtp:
            if tls == "starttls":
                smtp.starttls(context=context)
            return smtp.sendmail(
                "a@c.example", ["b@mx.example", "no@mx.example"], MESSAGE, ["BODY=8BITMIME"]
            )

    refused = await deferToThread(send)
    assert refused == {"no@mx.example": (550, b"5.1.1 No such recipient here")}
    (stored,) = server.stored
    assert stored.endswith(MESSAGE)
    assert (b" with ESMTPS id " if tls != "none" else b" with ESMTP id ") in stored


@pytest_twisted.ensureDeferred
async def test_smtplib_learns_the_size_limit(new_server):
    server = await new_server(max_message_size=1000)

    def send() -> int:
        with smtplib.SMTP("localhost", server.port, timeout=100) as smtp:
            try:
                smtp.sendmail("a@c.example", "b@mx.example", MESSAGE)
            except smtplib.SMTPSenderRefused as error:
                return error.smtp_code
        return 0

    assert await deferToThread(send) == 552


@pytest.mark.system
@pytest.mark.parametrize("options", [[], ["--pipeline"], ["--tls"]])
@pytest_twisted.ensureDeferred
async def test_swaks(new_server, options):
    server = await new_server(tls="starttls")
    swaks = shutil.which("swaks")
    assert swaks, "swaks is not installed; apt-get install swaks"
    command = [swaks, "--server", f"127.0.0.1:{server.port}", "--from", "a@c.example"]
    command += ["--to", "b@mx.example,c@mx.example", "--helo", "c.example"]
    command += ["--body", "line\n.dot", *options]
    done = await deferToThread(subprocess.run, command, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    (stored,) = server.stored
    assert b"\r\nline\r\n.dot\r\n" in stored


@pytest_twisted.ensureDeferred
async def test_a_client_learns_that_the_connection_ended(new_server):
    server = await new_server()
    client: SmtpClient = await server.client()
    waiting: Deferred = client.reply()
    client.transport.loseConnection()
    with pytest.raises(ConnectionError):
        await waiting
