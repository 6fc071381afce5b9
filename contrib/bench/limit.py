"""The limit of a row: its last exchange, repeated with the bare server."""

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

from http1 import Connection
from rows import Row
from table import Result
from usage import cpu

HERE = pathlib.Path(__file__).resolve().parent


class Limit:
    """The bare server of `bare.py`, which is told what to answer."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self.connection = Connection(f"http://127.0.0.1:{port}")

    def teach(self, request: bytes, answer: bytes, durable: bool) -> bytes:
        """Let it give `answer` from now on; the octets of the request to send."""
        path = "/durable" if durable else "/"
        kind = "application/json" if request[:1] == b"{" else "application/octet-stream"
        self.connection.exchange(_octets("PUT", path, answer, kind))
        return _octets("POST", "/", request, kind) if request else _octets("GET", "/", b"", kind)

    def measure(self, exchange: tuple[bytes, bytes], row: Row, rounds: int) -> Result:
        """What the same exchange takes with the bare server."""
        result = Result(row)
        octets = self.teach(*exchange, row.durable)
        for _ in range(rounds + 1):
            before = cpu(self.pid)
            self.connection.exchange(octets)
            result.cpu.append((cpu(self.pid) - before) * 1000)
            result.add(self.connection.seconds)
        return result


def _octets(method: str, path: str, body: bytes, kind: str) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bare\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def bare(directory: pathlib.Path, port: int, before: tuple[str, ...] = ()) -> Iterator[Limit]:
    """The bare server while it runs."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [*before, sys.executable, str(HERE / "bare.py"), str(port), str(directory)]
    process = subprocess.Popen(command)
    try:
        limit = Limit(port, process.pid)
        for _ in range(600):
            try:
                limit.teach(b"{}", b"{}", durable=False)
                break
            except OSError:
                time.sleep(0.1)
        yield limit
    finally:
        process.terminate()
        process.wait(30)
