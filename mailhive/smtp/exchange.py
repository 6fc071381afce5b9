"""What SASL exchanges have in common (RFC 4422): steps of octets, up to credentials.

An exchange is asked for a first challenge, or fed the client's initial response,
and then responses until it yields credentials:

    step = exchange.step(response)      # octets, None: there is none yet
    # step: a challenge (octets), `Credentials`, or a `Lookup` to be answered first
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from attrs import field, frozen

from mailhive.model.scram import ScramLogin

__all__ = ["Credentials", "Exchange", "Lookup", "Password", "Proof", "SaslError", "Step", "Token"]


class SaslError(ValueError):
    """The response is not one of the mechanism."""


@frozen
class Password:
    """A login and a password."""

    login: str
    password: str = field(repr=False)


@frozen
class Token:
    """A bearer token; `user` is whose it is said to be, if that was said."""

    token: str = field(repr=False)
    user: str | None


@frozen
class Proof:
    """What SCRAM comes to: was the proof right?  `text` tells it from other attempts."""

    login: str
    found: ScramLogin
    right: bool
    text: str = field(repr=False)


@frozen
class Lookup:
    """What is to be known to go on: the `ScramLogin` of a login.

    `go_on` takes it and gives the challenge that follows.
    """

    login: str
    go_on: Callable[[ScramLogin], bytes] = field(eq=False, repr=False)


Credentials = Password | Token | Proof
Step = bytes | Lookup | Credentials


class Exchange(ABC):
    """One attempt; see the module's docstring.

    `failure` is what a client of the mechanism is to be told before the refusal, and
    `success` before it is let in, if anything; it then says that it has read it.
    """

    failure: bytes | None = None
    success: bytes | None = None

    @abstractmethod
    def step(self, response: bytes | None) -> Step:
        """Take a response, None if there is none yet; `SaslError` if it is not one."""
