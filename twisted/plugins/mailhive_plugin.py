"""Makes `twistd mailhive` known.  Imports nothing of mailhive, as every twistd run loads it."""

from twisted.application.service import ServiceMaker

mailhive = ServiceMaker(
    "mailhive",
    "mailhive.tap",
    "A mail daemon: JMAP and SMTP",
    "mailhive",
)
