"""A filter on libmilter itself, by Debian's python3-milter: change_everything.py SOCKET."""

import sys

import Milter


class Filter(Milter.Base):
    """Refuses what is from refused@, and changes everything of the rest."""

    def __init__(self):
        self.id = Milter.uniqueID()

    @Milter.symlist("envfrom", "i", "{mail_addr}")
    def envfrom(self, address, *parameters):
        if address == "<refused@far.example>":
            self.setreply("550", "5.7.9", "One", "Two 100%%")
            return Milter.REJECT
        self.sender = self.getsymval("{mail_addr}")
        self.fields, self.octets = [], 0
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name, value):
        self.fields.append(name)
        return Milter.CONTINUE

    def body(self, chunk):
        self.octets += len(chunk)
        return Milter.CONTINUE

    def eom(self):
        self.addheader("X-Seen", f"{self.sender}\n\tby {self.getsymval('j')}", 0)
        self.addheader("X-Fields", " ".join(self.fields), -1)
        self.addheader("X-Octets", str(self.octets))
        self.chgheader("Subject", 1, "changed")
        self.replacebody(b"another body\r\n")
        self.addrcpt("<bob@example.org>")
        self.delrcpt("<alice@example.org>")
        self.chgfrom("<changed@far.example>")
        self.quarantine("as it likes")
        return Milter.ACCEPT


Milter.factory = Filter
Milter.set_flags(
    Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT
    | Milter.CHGFROM | Milter.QUARANTINE
)  # fmt: skip
Milter.runmilter("everything", sys.argv[1], 60)
