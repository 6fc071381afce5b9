"""What `mailhive app-password` and `mailhive token` share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from mailhive.admin.common import print_json, print_table
from mailhive.config.units import parse_duration
from mailhive.model.credential import SERVICES, AppCredential

__all__ = ["DURATION", "print_credentials", "scope_option"]

scope_option = click.option(
    "--scope",
    "services",
    multiple=True,
    type=click.Choice(SERVICES),
    default=SERVICES,
    help="A service that it is good for; several may be given, and without any it is good for all.",
)


class _Duration(click.ParamType):
    """A time span, as the configuration writes it."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail("it would have expired already", param, ctx)
        return seconds


DURATION = _Duration()


def print_credentials(found: Sequence[AppCredential], *, as_json: bool) -> None:
    """Print all that is known of them."""
    if as_json:
        print_json([_described(credential) for credential in found])
        return
    rows = [("NAME", "LABEL", "SCOPES", "MADE", "EXPIRES", "LAST USED")]
    for credential in found:
        times = (credential.created, credential.expires, credential.last_used)
        told = [_time(moment) or "-" for moment in times]
        rows.append(
            (credential.principal, credential.label, " ".join(credential.services), *told)  # type: ignore[arg-type]
        )
    print_table(rows)


def _described(credential: AppCredential) -> dict[str, Any]:
    return {
        "name": credential.principal,
        "label": credential.label,
        "scopes": credential.services,
        "made": _time(credential.created),
        "expires": _time(credential.expires),
        "last-used": _time(credential.last_used),
    }


def _time(moment: int | None) -> str | None:
    """RFC 3339."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
