"""The process dies at any moment: what was acknowledged is there, and it all adds up."""

import subprocess
import sys
import time

from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

PROGRAM = """
import random, sys
from pathlib import Path
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from mailhive.model.email import NewEmail, SearchText
from mailhive.store.sqlite import SqliteMailStore, SqliteSettings
from mailhive.testing.conformance.mailstore_samples import new_email, refile

start = int(sys.argv[2])

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def deliver(writer, mailbox, number):
    refs = (f"{number}@x", f"{number - number % 3}@x")
    email = new_email(number, message_ids=refs, search=SearchText(body=f"text {number}"))
    return writer.add_email(email, [mailbox], [])[0]

def flag(writer, email):
    refile(writer, email, keywords=["$seen", "acknowledged"])

async def main(reactor):
    store = SqliteMailStore(SqliteSettings(), Path(sys.argv[1]), reactor)
    store.startService()
    account = await store.create_account("alice")
    def mailboxes(writer):
        return list(writer.records("Mailbox")) or [
            writer.create_record("Mailbox", {"role": role}) for role in ("inbox", "trash")]
    inbox, trash = await store.write(account, mailboxes)
    say("account", account)
    async def client(offset):
        number = start + offset
        while True:
            email = await store.write(account, deliver, inbox if number % 5 else trash, number)
            say("delivered", number)
            await store.write(account, flag, email)
            say("flagged", number)
            if number % 7 == 0:
                say("destroying", number)
                await store.write(account, lambda w: w.destroy_emails([email]))
                say("destroyed", number)
            number += 4
    for offset in range(4):
        Deferred.fromCoroutine(client(offset))
    await Deferred()

task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def run_and_kill(path, start, count, seconds):
    """Kill it after so many lines, and a moment; what it has said."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path, str(start)], stdout=subprocess.PIPE, text=True
    )
    first = [process.stdout.readline() for _ in range(count)]
    time.sleep(seconds)
    process.kill()
    rest = process.stdout.readlines()
    process.wait()
    # The last line may have been cut short.
    return [line.split() for line in first + rest if line[-1:] == "\n"]


@ensureDeferred
async def test_acknowledged_writes_survive_kill_9(tmp_path, open_store, check):
    said = {"delivered": set(), "flagged": set(), "destroying": set(), "destroyed": set()}
    for turn in range(5):
        # At first only the account is there for certain.
        moment = 1 + turn * 10_000, 1 + turn * 20, 0.05 + turn * 0.01
        lines = await deferToThread(run_and_kill, tmp_path, *moment)
        account = lines[0][1]
        for word, number in lines[1:]:
            said[word].add(f"blob{number}")
        check(account)
    assert said["delivered"]
    store = open_store()
    rows = await store.read(account, lambda r: r.emails(r.email_ids(10**6)).values())
    found = {row.blob_id: row for row in rows}
    assert said["delivered"] - said["destroying"] <= found.keys()
    assert not said["destroyed"] & found.keys()
    for blob in said["flagged"] & found.keys():
        assert set(found[blob].keywords) == {"$seen", "acknowledged"}
