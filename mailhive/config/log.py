"""The `[log]` section."""

from typing import Literal

from attrs import field, frozen

from mailhive.config.fields import doc

__all__ = ["LogSettings"]


@frozen
class LogSettings:
    """What is written to the log, which goes where `twistd` was told to write it."""

    format: Literal["text", "json"] = field(
        default="text",
        metadata=doc(
            "`json` writes an object per line, with the fields of each event. Not for `--syslog` "
            "and `--logger`."
        ),
    )
    wiretap: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "Names of listeners whose requests and answers are written to the log as they are, but "
            "for credentials, which are never shown, and what is long, which is cut."
        ),
    )
