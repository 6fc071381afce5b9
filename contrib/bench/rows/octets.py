"""Blobs: up, down, and made into messages."""

import random
from typing import Any

from fill import import_arguments
from jmap import Failed, check_set

from rows.site import Measurements, Site, row

LARGE = 20_000_000


@row("download a message", indexed=True)
def download(site: Site) -> Measurements:
    """Of 10 KB, or as near as the newest 500 of the inbox come."""
    emails = site.account.call("Email/get", ids=site.inbox_ids(500), properties=["blobId", "size"])[
        "list"
    ]
    email = min(emails, key=lambda e: abs(e["size"] - 10_000))
    while True:
        if len(site.account.download(email["blobId"])) != email["size"]:
            raise Failed("not the octets of the message")
        yield site.account.seconds


@row("download 20 MB", rounds=5, sized=False)
def download_large(site: Site) -> Measurements:
    blob = site.account.upload(random.randbytes(LARGE), "application/octet-stream")
    while True:
        if len(site.account.download(blob, "application/octet-stream")) != LARGE:
            raise Failed("not the octets of the upload")
        yield site.account.seconds


@row("upload 64 KB", durable=True)
def upload(site: Site) -> Measurements:
    while True:
        site.account.upload(random.randbytes(64 * 1024), "application/octet-stream")
        yield site.account.seconds


@row("import 1 with upload", goal=10, limit=False, indexed=True)
def import_one(site: Site) -> Measurements:
    added: list[str] = []
    try:
        while True:
            message = site.fresh(1)[0]
            blob = site.account.upload(message.raw)
            seconds = site.account.seconds
            emails = {"m": import_arguments(message, blob, site.inbox, received_now=True)}
            made = check_set(site.account.call("Email/import", emails=emails))
            added.append(made["created"]["m"]["id"])
            yield seconds + site.account.seconds
    finally:
        site.destroy(added)


@row("import 50", goal=10, durable=True, rounds=5)
def import_many(site: Site) -> Measurements:
    """Email/import of messages that were uploaded before."""
    added: list[str] = []
    try:
        while True:
            emails: dict[str, Any] = {}
            for i, message in enumerate(site.fresh(50)):
                blob = site.account.upload(message.raw)
                emails[f"m{i}"] = import_arguments(message, blob, site.inbox, received_now=True)
            made = check_set(site.account.call("Email/import", emails=emails))["created"]
            added += [email["id"] for email in made.values()]
            yield site.account.seconds
    finally:
        site.destroy(added)
