"""Macros: what a filter is told beside a command, by the names that Sendmail gave them."""

from typing import Any

from attrs import define

from mailhive.model.addresses import split
from mailhive.smtp.checks import Visit
from mailhive.smtp.milter.packets import Stage

__all__ = ["DEFAULTS", "MacroValues"]

#: What is told where a filter has not chosen; those that have no value are left out.
DEFAULTS: dict[Stage, tuple[str, ...]] = {
    Stage.CONNECT: (
        "j", "_", "v", "{daemon_name}", "{client_name}", "{client_addr}", "{client_port}",
    ),
    Stage.HELO: ("{tls_version}", "{cipher}", "{cipher_bits}"),
    Stage.MAIL: ("i", "{auth_authen}", "{mail_addr}", "{mail_host}", "{mail_mailer}"),
    Stage.RCPT: ("i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"),
    Stage.DATA: ("i",),
    Stage.END_OF_HEADER: ("i",),
    Stage.END_OF_MESSAGE: ("i",),
}  # fmt: skip


@define(eq=False)
class MacroValues:
    """Values of macros at one connection.  `version` is that of this program."""

    visit: Visit
    hostname: str
    version: str
    sender: str | None = None
    recipient: str | None = None

    def __call__(self, name: str) -> str | None:
        """The value of a macro; its name may stand in braces."""
        value: Any = self._value(name.removeprefix("{").removesuffix("}"))
        return None if value in (None, "") else str(value)

    @property
    def client_name(self) -> str:
        """The name of the client if the DNS confirms it, else its address in brackets."""
        visit = self.visit
        return visit.name or (f"[{visit.peer}]" if visit.peer else "localhost")

    def _value(self, name: str) -> object:
        visit = self.visit
        match name:
            case "j":
                return self.hostname
            case "v":
                return f"mailhive {self.version}"
            case "_":
                named = visit.name and visit.peer
                return f"{visit.name} [{visit.peer}]" if named else self.client_name
            case "i":
                return visit.transaction
            case "s":
                return visit.hello
            case "daemon_name":
                return visit.listener
            case "client_name":
                return self.client_name
            case "client_addr":
                return visit.peer
            case "client_port":
                return visit.port
            case "auth_authen":
                return visit.user and visit.user.name
            case "mail_addr" | "f":
                return self.sender
            case "mail_host":
                return self.sender and split(self.sender)[1]
            case "rcpt_addr":
                return self.recipient
            case "rcpt_host":
                return self.recipient and split(self.recipient)[1]
            case "mail_mailer" | "rcpt_mailer":
                return "local" if name == "rcpt_mailer" and visit.user is None else "esmtp"
            case "tls_version" | "cipher" | "cipher_bits":
                encryption = visit.encryption()
                key = {"tls_version": "version", "cipher_bits": "bits"}.get(name, name)
                return encryption and getattr(encryption, key)
        return None
