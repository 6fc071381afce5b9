"""The wire ids of this store: a letter per type and a number (`mailhive.model.ids`)."""

from functools import lru_cache

from mailhive.model.ids import decode_id, encode_id

__all__ = [
    "email_id",
    "email_number",
    "mailbox_id",
    "mailbox_number",
    "record_id",
    "thread_id",
    "thread_number",
]

_EMAIL, _THREAD, _MAILBOX, _RECORD = "M", "T", "F", "R"


def email_id(number: int) -> str:
    return encode_id(_EMAIL, number)


@lru_cache(10_000)
def email_number(wire: str) -> int | None:
    return decode_id(_EMAIL, wire)


def thread_id(number: int) -> str:
    return encode_id(_THREAD, number)


def thread_number(wire: str) -> int | None:
    return decode_id(_THREAD, wire)


def mailbox_id(number: int) -> str:
    return encode_id(_MAILBOX, number)


def mailbox_number(wire: str) -> int | None:
    return decode_id(_MAILBOX, wire)


def record_id(type_name: str, number: int) -> str:
    """The id of a record that was not given one."""
    return mailbox_id(number) if type_name == "Mailbox" else encode_id(_RECORD, number)
