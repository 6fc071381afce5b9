"""The tables `[milter.NAME]`: filters of others that look at mail while it comes in."""

import re
from typing import Literal

from attrs import Attribute, field, frozen

from mailhive.config.fields import doc, lasts
from mailhive.config.units import Duration

__all__ = ["MilterSettings", "parse_address"]

_TCP = re.compile(r"tcp:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", re.ASCII)
_UNIX = re.compile(r"unix:(/.{1,100})")


def parse_address(text: str) -> tuple[str, int] | str:
    """Host and port, or the path of a Unix socket; ValueError says what is allowed."""
    if match := _UNIX.fullmatch(text):
        return match[1]
    match = _TCP.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise ValueError(
            f'"{text}" is no address of a filter; allowed are "tcp:127.0.0.1:11332" and '
            '"unix:/run/filter.sock"'
        )
    return match[1] or match[2], int(match[3])


def _address(_: object, __: "Attribute[str]", text: str) -> None:
    parse_address(text)


@frozen
class MilterSettings:
    """A filter that speaks the milter protocol of Sendmail, such as rspamd or opendkim.

    It hears of connections, commands and messages of the listeners that name it in `milters`,
    and may refuse or change messages before they are stored. What it puts into quarantine is
    filed into the mailbox for junk.
    """

    address: str = field(
        validator=_address,
        metadata=doc('Where it listens: `"tcp:127.0.0.1:11332"` or `"unix:/run/filter.sock"`.'),
    )
    timeout: Duration = field(
        default=Duration(30.0),
        validator=lasts("1s"),
        metadata=doc("How long it has to take a connection, and for each answer."),
    )
    message_timeout: Duration = field(
        default=Duration(300.0),
        validator=lasts("1s"),
        metadata=doc("How long it has to look at a message that it has got."),
    )
    on_failure: Literal["tempfail", "reject", "accept"] = field(
        default="tempfail",
        metadata=doc(
            "What becomes of mail when it cannot be reached, does not answer in time or answers "
            "what makes no sense: the sender is told to try again, the mail is refused, or taken "
            "without it."
        ),
    )
