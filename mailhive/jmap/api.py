"""The way into JMAP for every transport (RFC 8620 §3, §6).

HTTP today and others later add framing only: authentication, limits that need a
connection and the mapping of `RequestError` to a status are theirs, everything
a request does happens here.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from attrs import define, field

from mailhive.errors import BlobNotFound
from mailhive.jmap.answers import LARGEST_REQUEST, Answers, JmapReply, Moment
from mailhive.jmap.context import Account, Context
from mailhive.jmap.dispatch import check_request, process
from mailhive.jmap.elsewhere import Elsewhere
from mailhive.jmap.envelope import Request, as_request, decode_i_json, encode_json
from mailhive.jmap.errors import RequestError
from mailhive.jmap.kept import Kept
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Followed, Registry
from mailhive.jmap.session import Reach, SessionUrls, session_object, session_state
from mailhive.jmap.slots import Slots
from mailhive.mail.blobs import Blob, BlobAccess
from mailhive.mail.membership import as_of_now, groups_of
from mailhive.mail.provision import Accounts
from mailhive.mail.sending_rates import SendingRates
from mailhive.mime.charset import USUAL, Charsets
from mailhive.model.principal import Principal

__all__ = ["LARGE", "JmapApi"]

#: A request text larger than this is decoded off the reactor thread.
LARGE = 200_000


@define
class JmapApi:
    """JMAP for any number of principals, over any number of listeners.

    `request_slots` and `upload_slots` are for the transports to take.

    With `elsewhere`, other processes make the calls that are theirs to make.

    `on_failure(method, exception)` hears of failures that are ours; `revision`
    is a digest of the configuration that session URLs depend on.  With
    `provisioning`, a principal without an account gets one, and so do the groups
    it is a member of.
    """

    registry: Registry
    limits: Limits
    store: Any  # IMailStore
    blobs: BlobAccess
    analyses: Any  # mail.analyses.Analyses
    accounts: Accounts
    directory: Any  # IDirectory
    delivery: Any  # IDelivery
    outbox: Any  # IOutbox
    sending: SendingRates
    push: Any  # IPushSubscriptions
    hostname: str
    offload: Callable[..., Any]
    now: Callable[[], int]
    on_failure: Callable[[str, Exception], None]
    revision: str = ""
    provisioning: bool = True
    charsets: Charsets = USUAL
    kept: Kept = field(factory=lambda: Kept(32_000_000))
    answers: Answers = field(factory=lambda: Answers(16_000_000))
    elsewhere: Elsewhere | None = None
    request_slots: Slots = field(init=False)
    upload_slots: Slots = field(init=False)
    _reach_of: Callable[..., Reach] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.request_slots = Slots(self.limits.concurrent_requests, "maxConcurrentRequests")
        self.upload_slots = Slots(self.limits.concurrent_uploads, "maxConcurrentUpload")
        if self.elsewhere is not None:
            self.elsewhere.peers.serve("jmap.call", self._call_for)
        # The same until the configuration changes, or what the principal can reach.
        self._reach_of = lru_cache(1024)(self._make_reach)

    async def handle(self, principal: Principal, raw: bytes) -> JmapReply:
        """Process the text of a Request object, of a principal whom the directory has just named.

        `RequestError` when it is refused as a whole.
        """
        reach = await self._reach(principal)
        asked = (reach, raw)
        is_kept = len(raw) <= LARGEST_REQUEST
        if is_kept and asked in self.answers:
            known = self.answers.find(asked, await self._moment(reach))
            if known is not None:
                return known
        request = as_request(await self.decode(raw))
        if not is_kept or not self.registry.goes_by_state(request):
            return await self._answer(principal, reach, request, {})
        moment = await self._moment(reach)
        reply = await self._answer(principal, reach, request, {})
        if reply.is_complete and await self._moment(reach) == moment:
            self.answers.add(asked, moment, reply)
        return reply

    async def _moment(self, reach: Reach) -> Moment:
        return tuple([await self.store.read(account, _modseq) for account in reach.accounts])

    async def decode(self, raw: bytes) -> Any:
        """The value of a JSON text; `RequestError` notJSON."""
        return await self.offload(decode_i_json, raw) if len(raw) > LARGE else decode_i_json(raw)

    async def answer(
        self, principal: Principal, request: Request, head: Mapping[str, Any]
    ) -> JmapReply:
        """Process a request of a principal who may have logged in some time ago.

        `head` has members that its Response object begins with.
        """
        principal = await as_of_now(self.directory, principal)
        return await self._answer(principal, await self._reach(principal), request, head)

    async def _answer(
        self, principal: Principal, reach: Reach, request: Request, head: Mapping[str, Any]
    ) -> JmapReply:
        check_request(request, self.registry, self.limits.calls)
        context = self._context(
            principal,
            reach.accounts,
            frozenset(request.using),
            dict(request.created_ids or {}),
            self.elsewhere,
        )
        with self.blobs.blob_store.hold():  # methods refer to blobs
            response = await process(request, self.registry, context, self.on_failure)
        response.session_state = reach.session_state
        return JmapReply(
            response.encode(head),
            tuple([name for name, _, _ in request.method_calls]),
            is_complete=all(name != "error" for name, _, _ in response.method_responses),
        )

    def _context(
        self,
        principal: Principal,
        accounts: Mapping[str, Account],
        using: frozenset[str],
        created_ids: dict[str, str],
        elsewhere: Any = None,
    ) -> Context:
        return Context(
            principal=principal,
            accounts=accounts,
            limits=self.limits,
            store=self.store,
            blobs=self.blobs,
            analyses=self.analyses,
            directory=self.directory,
            delivery=self.delivery,
            outbox=self.outbox,
            sending=self.sending,
            push=self.push,
            hostname=self.hostname,
            offload=self.offload,
            now=self.now,
            using=using,
            charsets=self.charsets,
            kept=self.kept,
            created_ids=created_ids,
            elsewhere=elsewhere,
        )

    async def _call_for(
        self,
        _: object,
        principal: Principal,
        accounts: Mapping[str, Account],
        using: frozenset[str],
        created_ids: dict[str, str],
        name: str,
        arguments: dict[str, Any],
    ) -> tuple[dict[str, Any] | Followed, dict[str, str]]:
        """Make a call of a request that another process has got (`jmap.elsewhere`)."""
        context = self._context(principal, accounts, using, created_ids)
        _, method = self.registry.methods[name]
        with self.blobs.blob_store.hold():
            return await method(context, arguments), created_ids

    async def session(self, principal: Principal, urls: SessionUrls) -> bytes:
        """The JSON text of the principal's Session object."""
        reach = await self._reach(principal)
        return encode_json(
            session_object(
                principal,
                reach.accounts,
                self.registry,
                self.limits,
                urls,
                self.revision,
                self.push.application_server_key,
            )
        )

    async def account_ids(self, principal: Principal) -> list[str]:
        """The accounts that the principal can reach by now."""
        reach = await self._reach(await as_of_now(self.directory, principal))
        return list(reach.accounts)

    async def may_upload(self, principal: Principal, account_id: str) -> None:
        """Return if the principal may upload to the account; else `RequestError` 404 or 403."""
        account = await self._account(principal, account_id)
        if account.is_read_only:
            raise RequestError(None, "The account is read-only", status=403)

    async def upload(
        self, principal: Principal, account_id: str, writer: Any, media_type: str
    ) -> bytes:
        """Make what an `IBlobWriter` has an upload of the account; the JSON text of RFC 8620 §6.1.

        The principal may upload there, as `may_upload` has it.
        """
        blob_id, size = writer.blob_id(), writer.size
        upload = (blob_id, media_type, size, self.now() / 1000, principal.name)
        is_message = media_type == "message/rfc822" and (
            self.elsewhere is None or self.elsewhere.is_here(account_id)
        )
        # Both wait for the disk side by side (docs/adr/0026-uploads-are-claims.md).
        with self.blobs.blob_store.hold():
            stored = self.analyses.store(writer) if is_message else writer.commit()
            noted = self.store.write(account_id, _add_upload, upload, self.limits.upload_quota)
            try:
                await stored
            finally:
                await noted  # so that no failure is left over
        return encode_json(
            {"accountId": account_id, "blobId": blob_id, "type": media_type, "size": size}
        )

    async def blob(self, principal: Principal, account_id: str, blob_id: str) -> Blob:
        """A blob to download (RFC 8620 §6.2); `RequestError` 404 if there is none."""
        await self._account(principal, account_id)
        try:
            return await self.blobs.open(account_id, principal.name, blob_id)
        except BlobNotFound:
            raise RequestError(None, "There is no such blob", status=404) from None

    async def _account(self, principal: Principal, account_id: str) -> Account:
        reach = await self._reach(await as_of_now(self.directory, principal))
        account = reach.accounts.get(account_id)
        if account is None:
            raise RequestError(None, "There is no such account", status=404)
        return account

    async def _reach(self, principal: Principal) -> Reach:
        """What a principal of whom the directory has just told can reach."""
        owners = (principal, *await groups_of(self.directory, principal))
        account_of = self.accounts.ensure if self.provisioning else self.accounts.find
        found = [(await account_of(owner), owner) for owner in owners]
        reached = tuple([pair for pair in found if pair[0] is not None])
        if not reached:  # only without provisioning
            why = "You have no account on this server, and none is made for you."
            raise RequestError(None, why, status=403)
        return self._reach_of(principal, reached)

    def _make_reach(
        self, principal: Principal, reached: tuple[tuple[str, Principal], ...]
    ) -> Reach:
        """The accounts, with who owns them, as the principal sees them."""
        accounts = {
            account_id: Account(
                account_id,
                owner.name,
                owner,
                principal.name,
                is_personal=owner is principal,
                is_read_only=owner is not principal and owner.members_may == "read",
            )
            for account_id, owner in reached
        }
        state = session_state(
            principal,
            accounts,
            self.registry,
            self.limits,
            self.revision,
            self.push.application_server_key,
        )
        return Reach(accounts, state)


def _modseq(reader: Any) -> int:
    modseq: int = reader.modseq
    return modseq


def _add_upload(writer: Any, upload: tuple[str, str, int, float, str], quota: int) -> None:
    writer.add_upload(*upload)
    writer.limit_uploads(upload[-1], quota)
