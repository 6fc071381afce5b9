"""What a method call may know of the request it is part of."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from mailhive.jmap.budget import Budget
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.jmap.kept import Kept
from mailhive.jmap.limits import Limits
from mailhive.mail.blobs import BlobAccess
from mailhive.mail.sending_rates import SendingRates
from mailhive.mime.charset import USUAL, Charsets
from mailhive.model.ids import is_id
from mailhive.model.principal import Principal

__all__ = ["MAX_EMAILS", "Account", "Context"]

#: Octets of Emails, their bodies included, that all calls of a request may get.  A
#: list of forty is less, whatever messages it is of (`mime.scan`).
MAX_EMAILS = 100_000_000


@frozen
class Account:
    """An account as a principal sees it who can reach it (RFC 8620 §1.6.2).

    `owner` is that principal or a group that it is a member of; `user` is the
    name of the principal.
    """

    id: str
    name: str
    owner: Principal
    user: str
    is_personal: bool = True
    is_read_only: bool = False


@define
class Context:
    """One request: who asks, for which accounts, and the providers to ask.

    `offload(fn, *args)` runs CPU-bound work off the reactor thread and `now()`
    is the time in milliseconds; both are passed in so that methods stay free of
    I/O.  `created_ids` grows as records are created (RFC 8620 §3.3), `emails` is
    used up by methods that return Emails.
    """

    principal: Principal
    accounts: Mapping[str, Account]
    limits: Limits
    store: Any  # IMailStore
    blobs: BlobAccess
    analyses: Any  # mail.analyses.Analyses
    directory: Any  # IDirectory
    delivery: Any  # IDelivery
    outbox: Any  # IOutbox
    sending: SendingRates
    push: Any  # IPushSubscriptions
    hostname: str
    offload: Callable[..., Any]
    now: Callable[[], int]
    using: frozenset[str] = frozenset()
    charsets: Charsets = USUAL
    kept: Kept = field(factory=lambda: Kept(0))
    created_ids: dict[str, str] = field(factory=dict)
    elsewhere: Any = None  # jmap.elsewhere.Elsewhere, where there are several processes
    emails: Budget = field(factory=lambda: Budget(MAX_EMAILS, "The Emails of this request"))

    def account(self, arguments: Mapping[str, Any], name: str = "accountId") -> Account:
        """The account that a call names; invalidArguments or accountNotFound if none.

        With `name` fromAccountId, that is fromAccountNotFound (RFC 8620 §5.4).
        """
        account_id = arguments.get(name)
        if not isinstance(account_id, str) or not is_id(account_id):
            raise invalid_arguments(f"{name} is missing or not an Id")
        account = self.accounts.get(account_id)
        if account is None:
            raise MethodError(name.removesuffix("Id") + "NotFound")
        return account
