"""Telling one subscriber, until they know (RFC 8620 §7.2).

A courier hears of changes from the hub as every channel does, and has a place of
its own in the ledger: the push state that its subscriber has.  Whatever happens, an
unanswered request or the end of the process, it sets out from there again.  It does
one thing at a time; each time it looks at the ledger and at the directory first,
for the subscription, its user and the user's credential may be gone.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.auth.credential import holder
from mailhive.errors import MailhiveError
from mailhive.fetch.errors import FetchFailed, FetchRefused
from mailhive.mail.membership import groups_of
from mailhive.mail.provision import Accounts
from mailhive.model.principal import Principal
from mailhive.push.hub import PushHub, Subscription
from mailhive.push.ledger import Entry, Ledger
from mailhive.push.message import PushMessage, state_change, verification
from mailhive.push.pacing import MOST_FAILURES, Pacing, retry_after
from mailhive.push.state import decode_push_state, encode_push_state
from mailhive.push.vapid import Signer

__all__ = ["Courier", "Depot", "host_of"]

#: Seconds until something is tried again that a provider of ours could not do.
_REST = 30.0
#: Octets of an answer that are read, and not looked at.
_MAX_ANSWER = 16_384
#: Milliseconds in which a verification code has to come back.
_UNVERIFIED = 86_400_000
_GONE = (404, 410)  # RFC 8030 §7.3
_TOO_MUCH = 429


@frozen
class Depot:
    """What couriers share.  `run(method of the Ledger, *args)` is done on its thread."""

    run: Callable[..., Deferred[Any]]
    hub: PushHub
    fetcher: Any  # fetch.Fetcher
    accounts: Accounts
    directory: Any  # IDirectory
    signer: Signer
    pacing: Pacing
    clock: Any  # IReactorTime
    ended: Callable[[str], None]
    #: So that not every account is opened at once when the daemon starts.
    listening: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(8))


@define(eq=False)
class Courier:
    """The courier of one subscription; `nudge` it when something about that has changed."""

    subscription_id: str
    _depot: Depot
    _heard: Subscription | None = None
    _listens_to: Any = None  # account ids and types
    _unsent: dict[str, dict[str, str]] = field(factory=dict)
    _reached: dict[str, int] = field(factory=dict)  # modseqs up to which `_unsent` tells
    _alarm: Any = None  # IDelayedCall
    _work: Deferred[None] | None = None
    _busy: bool = False
    _again: bool = False
    _ended: bool = False
    _troubled: bool = False  # a provider of ours fails
    _log = Logger()

    def nudge(self) -> None:
        """See what is to be done."""
        self._again = True
        if self._busy or self._ended:
            return
        self._busy = True
        work = Deferred.fromCoroutine(self._run())
        if self._busy:
            self._work = work

    def end(self) -> Deferred[None] | None:
        """Do nothing more; what is under way, if anything, can be waited for or canceled."""
        self._ended = True
        if not self._busy:
            self._deafen()
        self._set_alarm(None)
        return self._work

    # One thing after the other

    async def _run(self) -> None:
        pause: float | None = _REST
        try:
            while self._again and not self._ended:
                self._again = False
                pause = await self._step()
                self._troubled = False
        except CancelledError:
            self._ended = True
        except MailhiveError as error:
            if not self._troubled:  # say it once
                self._log.warn("Push {id} waits: {why}", id=self.subscription_id, why=str(error))
            self._troubled = True
        except Exception:
            self._log.failure("Push {id} failed", Failure(), id=self.subscription_id)
        finally:
            self._busy = False
            self._work = None
            if self._ended:
                self._deafen()
            self._set_alarm(pause)

    def _set_alarm(self, pause: float | None) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
        if pause is not None and not self._ended:
            self._alarm = self._depot.clock.callLater(pause, self.nudge)

    async def _step(self) -> float | None:
        """Do what is due; in how many seconds there is more, None if that is not known."""
        entry: Entry | None = await self._depot.run(Ledger.entry, self.subscription_id)
        if entry is None:
            self._depot.ended(self.subscription_id)
            return None
        principal = await holder(self._depot.directory, entry.owner, entry.credential)
        if principal is None:
            await self._destroy(entry, "its user cannot log in by that credential any more")
            return None
        if (over := _why_over(entry, self._now())) is not None:
            await self._destroy(entry, over)
            return None
        if entry.state == "verified":
            await self._listen(entry, principal)
            self._collect()
        if self._ended or not (entry.state == "new" or self._unsent):
            return None
        now = self._now()
        if entry.due_at > now:
            return (entry.due_at - now) / 1000
        if entry.state == "new":
            message = verification(entry.subscription, now)
        else:
            message = state_change(entry.subscription, self._unsent, now)
        await self._send(entry, message)
        self._again = True
        return None

    # What there is to tell

    async def _listen(self, entry: Entry, principal: Principal) -> None:
        """Hear of the accounts that the user can reach now, and of the types wanted now."""
        owners = (principal, *await groups_of(self._depot.directory, principal))
        found = [await self._depot.accounts.find(owner) for owner in owners]
        account_ids = frozenset(account_id for account_id in found if account_id is not None)
        wanted = account_ids, entry.subscription.types
        if self._heard is not None and self._listens_to == wanted:
            return
        self._deafen()
        await self._depot.listening.acquire()
        try:
            heard = await self._depot.hub.subscribe(*wanted, entry.position, self._changed)
        finally:
            self._depot.listening.release()
        self._heard, self._listens_to = heard, wanted

    def _deafen(self) -> None:
        if self._heard is not None:
            self._heard.stop()
            self._heard = None
        self._unsent, self._reached = {}, {}

    def _changed(self) -> None:
        if self._alarm is None:  # else it is for later anyway
            self.nudge()

    def _collect(self) -> None:
        taken = self._heard.take() if self._heard is not None else None
        if taken is not None:
            changed, push_state = taken
            for account_id, states in changed.items():
                self._unsent.setdefault(account_id, {}).update(states)
            self._reached = decode_push_state(push_state) or {}

    def _position(self, entry: Entry) -> str:
        """The push state of the subscriber, who knows all but what is unsent."""
        told = decode_push_state(entry.position) or {}
        account_ids, _types = self._listens_to
        kept = {account_id: told[account_id] for account_id in account_ids & told.keys()}
        news = {a: modseq for a, modseq in self._reached.items() if a not in self._unsent}
        return encode_push_state(kept | news)

    # One request

    async def _send(self, entry: Entry, message: PushMessage) -> None:
        depot, url = self._depot, entry.subscription.url
        began = depot.clock.seconds()
        # RFC 9749 §4: the PushVerification too.
        authorization = depot.signer.authorization(url, began)
        headers = {**message.headers, "Authorization": authorization}
        status, wait = 0, None
        try:
            answer = await depot.fetcher.request(
                "POST", url, headers=headers, body=message.body, max_body=_MAX_ANSWER
            )
        except (FetchRefused, FetchFailed) as error:
            outcome = error.reason
        else:
            status, outcome = answer.status, str(answer.status)
            wait = retry_after(_header(answer.headers, b"Retry-After"), self._now())
        self._log.info(
            "Push to {host} for {user}: {outcome}, {milliseconds} ms",
            host=host_of(url),
            user=entry.owner,
            device=entry.subscription.device,
            subscription=entry.subscription.id,
            outcome=outcome,
            milliseconds=round((depot.clock.seconds() - began) * 1000),
        )
        if 200 <= status < 300:
            await self._succeeded(entry, message, outcome)
        elif status in _GONE:
            await self._destroy(entry, f"its push service answered {status}")
        else:
            await self._failed(entry, outcome, wait, too_much=status == _TOO_MUCH)

    async def _succeeded(self, entry: Entry, message: PushMessage, outcome: str) -> None:
        for account_id in message.told:
            del self._unsent[account_id]
        position = self._position(entry) if message.told else entry.position
        interval = self._depot.pacing.after_success(entry.interval)
        await self._depot.run(
            Ledger.succeeded, self.subscription_id, position, interval, self._now(), outcome
        )

    async def _failed(self, entry: Entry, outcome: str, wait: int | None, too_much: bool) -> None:
        failures = entry.failures + 1
        if failures >= MOST_FAILURES[entry.subscription.is_verified]:
            await self._destroy(entry, f"{failures} pushes in a row have failed")
            return
        pacing, interval = self._depot.pacing, entry.interval
        if too_much:
            interval = pacing.after_429(interval)
        due_at = self._now() + pacing.pause_after(failures, interval, wait)
        await self._depot.run(Ledger.failed, self.subscription_id, due_at, interval, outcome)

    async def _destroy(self, entry: Entry, why: str) -> None:
        if await self._depot.run(Ledger.destroy, entry):
            self._log.info(
                "Push subscription of {user} destroyed: {why}",
                user=entry.owner,
                device=entry.subscription.device,
                subscription=entry.subscription.id,
                host=host_of(entry.subscription.url),
                why=why,
            )
        self._again = True

    def _now(self) -> int:
        return int(self._depot.clock.seconds() * 1000)


def _why_over(entry: Entry, now: int) -> str | None:
    if entry.subscription.expires <= now:
        return "it has expired"
    if entry.state == "sent" and (entry.succeeded_at or 0) + _UNVERIFIED <= now:
        return "its code has not come back"
    return None


def host_of(url: str) -> str:
    """All of a URL that may be shown: the rest is what lets one push."""
    return urlsplit(url).hostname or ""


def _header(headers: Any, name: bytes) -> str | None:
    values = headers.getRawHeaders(name)
    return values[0].decode("latin-1") if values else None
