"""Email/get (RFC 8621 §4.2)."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from attrs import frozen
from msgspec import Raw

from mailhive.jmap.arguments import Argument, check_arguments
from mailhive.jmap.checks import is_boolean, is_string, is_unsigned, list_of
from mailhive.jmap.context import Context
from mailhive.jmap.envelope import as_text
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.jmap.standard.get import GET_ARGUMENTS, checked_ids, get_response
from mailhive.jmap.types.email.properties import (
    DEFAULT_PROPERTIES,
    is_email_property,
)
from mailhive.jmap.types.email.view import (
    BodyOptions,
    Wanted,
    email_object,
    value_parts,
    view_of,
    weight,
)
from mailhive.mime.excerpts import read_excerpts
from mailhive.mime.part import Part
from mailhive.mime.view import DEFAULT_BODY_PROPERTIES, EmailView, is_body_property
from mailhive.model.email import EmailRow

__all__ = ["BODY_ARGUMENTS", "body_options", "checked_email_properties", "get"]

BODY_ARGUMENTS = {
    "bodyProperties": Argument(list_of(is_string), DEFAULT_BODY_PROPERTIES),
    "fetchTextBodyValues": Argument(is_boolean, False),
    "fetchHTMLBodyValues": Argument(is_boolean, False),
    "fetchAllBodyValues": Argument(is_boolean, False),
    "maxBodyValueBytes": Argument(is_unsigned, 0),
}

#: Emails with bodies, and octets of their headers and structure or of body text,
#: that are put together on the reactor thread; more is work for another.
_FEW = 8
_SMALL = 65_536
#: Emails that are read at once, before it is looked how large they are.
_BATCH = 50
#: Properties that one call may name, each of which can be another form of the same field,
#: and characters of them all.
_MAX_PROPERTIES, _MAX_NAMES = 200, 20_000


async def get(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    values = check_arguments(arguments, GET_ARGUMENTS | BODY_ARGUMENTS)
    properties = checked_email_properties(values["properties"], DEFAULT_PROPERTIES)
    options = body_options(values)
    with_values = "bodyValues" in properties and options.fetches_values
    limit = context.limits.email_get_full if with_values else context.limits.get
    ids = checked_ids(values["ids"], limit)
    chosen = Wanted.of(properties)
    full, summary = chosen.needs_structure, bool(chosen.summary)
    shape = (properties, options)
    budget = context.emails

    def work(reader: Any) -> _Read:
        asked = reader.email_ids(limit + 1) if ids is None else ids
        if len(asked) > limit:
            raise MethodError("requestTooLarge", f"There are more than {limit}")
        state = reader.state("Email")
        known = context.kept.find(reader, "Email", shape, state, asked)
        unknown = asked if not known else [i for i in asked if i not in known]
        rows: dict[str, EmailRow] = {}
        octets = sum(map(len, known.values()))
        for start in range(0, len(unknown), _BATCH):
            batch = reader.emails(unknown[start : start + _BATCH], summary=summary, full=full)
            if summary or full:
                octets += sum(map(_octets, batch.values()))
            if octets > budget.left:
                raise MethodError("requestTooLarge", "The Emails are too large to get at once")
            rows |= batch
        return _Read(state, asked, known, rows, octets)

    def build(rows: Mapping[str, EmailRow]) -> tuple[dict[str, Any], list[_Values]]:
        emails, wanted = {}, []
        for email_id, row in rows.items():
            view = view_of(row, context.charsets) if full else None
            if view is not None:
                budget.spend(weight(view, properties, options))
            emails[email_id] = email = email_object(row, view, chosen, options)
            if view is not None:
                budget.spend_on(email)
                if with_values:
                    wanted.append(_Values(email_id, view, value_parts(view, options)))
        return emails, wanted

    read: _Read = await context.store.read(account.id, work)
    budget.spend(read.octets if not full else sum(map(len, read.known.values())))
    texts = read.known
    if read.rows:
        if full and (len(read.rows) > _FEW or read.octets > _SMALL):
            emails, wanted = await context.offload(build, read.rows)
        else:
            emails, wanted = build(read.rows)
        if wanted:
            await _add_values(context, emails, wanted, options.max_octets)
        made = {email_id: as_text(email) for email_id, email in emails.items()}
        context.kept.add(account.id, "Email", shape, read.state, made)
        texts = {i: found for i in read.asked if (found := texts.get(i) or made.get(i))}
    return get_response(account.id, read.state, ids, texts)


@frozen
class _Read:
    """What was found of the Emails asked for: as text, or as rows to make it of."""

    state: int
    asked: Sequence[str]
    known: dict[str, Raw]
    rows: dict[str, EmailRow]
    octets: int


def checked_email_properties(
    wanted: Sequence[str] | None, default: tuple[str, ...], always: tuple[str, ...] = ("id",)
) -> tuple[str, ...]:
    """The properties to return, `always` first; invalidArguments for one that cannot be had."""
    if wanted is None:
        return default
    return _checked((*always, *wanted), is_email_property)


def body_options(values: Mapping[str, Any]) -> BodyOptions:
    """The body arguments; invalidArguments for a body property that cannot be had."""
    return BodyOptions(
        _checked(tuple(values["bodyProperties"]), is_body_property),
        values["fetchTextBodyValues"],
        values["fetchHTMLBodyValues"],
        values["fetchAllBodyValues"],
        values["maxBodyValueBytes"],
    )


@lru_cache(256)
def _checked(names: tuple[str, ...], exists: Callable[[str], bool]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(names))
    if len(unique) > _MAX_PROPERTIES or sum(map(len, unique)) > _MAX_NAMES:
        raise MethodError("requestTooLarge", f"At most {_MAX_PROPERTIES} properties can be had")
    for name in unique:
        try:
            known = exists(name)
        except ValueError as error:
            raise invalid_arguments(str(error)) from None
        if not known:
            raise invalid_arguments(f"There is no property {name!r}")
    return unique


@frozen
class _Values:
    """The body values that are wanted of one Email."""

    email_id: str
    view: EmailView
    parts: list[Part]

    @property
    def octets(self) -> int:
        return sum(part.body_end - part.body_start for part in self.parts)


def _octets(row: EmailRow) -> int:
    return len(row.summary or b"") + len(row.headers or b"") + len(row.structure or b"")


async def _add_values(
    context: Context,
    emails: Mapping[str, dict[str, Any]],
    wanted: Sequence[_Values],
    max_octets: int,
) -> None:
    """Fill in `bodyValues`, reading no more of each message than the parts asked for."""
    total = sum(values.octets for values in wanted)
    context.emails.spend(total)
    read = context.blobs.blob_store.read
    excerpts = [
        await read_excerpts(
            partial(read, values.view.blob_id),
            {part.body_start: part.body_end - part.body_start for part in values.parts},
        )
        for values in wanted
    ]

    def decode() -> list[dict[str, Any]]:
        return [
            values.view.body_values(excerpt, values.parts, max_octets)
            for values, excerpt in zip(wanted, excerpts, strict=True)
        ]

    found = await context.offload(decode) if total > _SMALL else decode()
    for values, decoded in zip(wanted, found, strict=True):
        emails[values.email_id]["bodyValues"] = decoded
