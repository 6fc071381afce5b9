"""Fill an account by IMAP, many messages in one APPEND (RFC 3502)."""

import re
import socket

from corpus import Corpus, Message
from fill import FOLDERS, Progress

BATCH = 200
FLAGS = {"$seen": "\\Seen", "$flagged": "\\Flagged", "$answered": "\\Answered"}


class Client:
    """As much of IMAP as it takes to append, with LITERAL+ (RFC 7888)."""

    def __init__(self, address: str, user: str, password: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=600)
        self._input = self._socket.makefile("rb")
        self._input.readline()
        self.command(f'LOGIN "{user}" "{password}"'.encode())

    def command(self, line: bytes) -> list[bytes]:
        """The untagged lines of the response; OSError unless it is OK."""
        self._socket.sendall(b"a " + line + b"\r\n")
        untagged = []
        while not (answer := self._input.readline()).startswith(b"a "):
            if not answer:
                raise OSError("IMAP: the connection was closed")
            untagged.append(answer)
        if not answer.startswith(b"a OK"):
            raise OSError(f"IMAP: {line[:60]!r}: {answer!r}")
        return untagged

    def count(self, mailbox: str) -> int:
        [line] = self.command(f'STATUS "{mailbox}" (MESSAGES)'.encode())
        return int(line.rpartition(b"MESSAGES ")[2].rstrip(b")\r\n"))

    def append(self, mailbox: str, messages: list[Message]) -> None:
        items = [f'APPEND "{mailbox}"'.encode()]
        for message in messages:
            flags = " ".join(FLAGS[k] for k in message.keywords)
            date = message.received_at.strftime("%d-%b-%Y %H:%M:%S +0000")
            items.append(f' ({flags}) "{date}" {{{len(message.raw)}+}}\r\n'.encode() + message.raw)
        self.command(b"".join(items))

    def close(self) -> None:
        self.command(b"LOGOUT")
        self._socket.close()


def fill(address: str, user: str, password: str, corpus: Corpus, count: int) -> int:
    """Bring the account to the first `count` messages; returns how many were added.

    What is there already is taken for the beginning of the same corpus.
    """
    client = Client(address, user, password)
    listed = b"".join(client.command(b'LIST "" "*"')).decode()
    names = re.findall(r'^\* LIST \([^)]*\) \S+ "?([^"\r]*)', listed, re.MULTILINE)
    for folder in FOLDERS:
        if folder not in names:
            client.command(f'CREATE "{folder}"'.encode())
    start = sum(client.count(name) for name in ("INBOX", *FOLDERS))
    progress = Progress(f"{user} append", count, start)
    for first in range(start, count, BATCH):
        by_folder: dict[str, list[Message]] = {}
        for message in corpus.messages(first, min(first + BATCH, count)):
            by_folder.setdefault(message.folder or "INBOX", []).append(message)
        for folder, messages in by_folder.items():
            client.append(folder, messages)
        progress.add(min(BATCH, count - first))
    client.close()
    return max(0, count - start)
