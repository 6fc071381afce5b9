"""Blob/copy (RFC 8620 §6.3)."""

from typing import Any

from mailhive.errors import BlobNotFound
from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments
from mailhive.jmap.checks import is_id, list_of
from mailhive.jmap.context import Context
from mailhive.jmap.core_capability import CORE
from mailhive.jmap.errors import MethodError, SetError, invalid_arguments
from mailhive.jmap.registry import DataType

__all__ = ["DATATYPE"]

ARGUMENTS = {
    "fromAccountId": Argument(is_id, REQUIRED),
    "blobIds": Argument(list_of(is_id), REQUIRED),
}
#: Nobody is told the type of an upload again, so it is not copied.
_TYPE = "application/octet-stream"


async def _copy(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    source = context.account(arguments, "fromAccountId")
    target = context.account(arguments)
    values = check_arguments(arguments, ARGUMENTS)
    if source.id == target.id:
        raise invalid_arguments("fromAccountId and accountId are the same")
    blob_ids = list(dict.fromkeys(values["blobIds"]))
    if len(blob_ids) > context.limits.set:
        raise MethodError("requestTooLarge", f"At most {context.limits.set} can be copied")
    if target.is_read_only:
        raise MethodError("accountReadOnly")
    quota = context.limits.upload_quota
    copied: dict[str, str] = {}
    not_copied: dict[str, Any] = {}
    sizes: dict[str, int] = {}  # of what is stored
    for blob_id in blob_ids:
        try:
            blob = await context.blobs.open(source.id, source.user, blob_id)
            # An upload beyond the quota would drive out those before it.
            if sum(sizes.values()) + blob.size > quota:
                raise SetError("overQuota", f"Uploads may have {quota} octets")
            copied[blob_id] = stored = await context.blobs.keep_octets(source.id, source.user, blob)
        except BlobNotFound:
            # RFC 8620 §6.3 calls it notFound, clients go by the name of RFC 8621 §4.6.
            not_copied[blob_id] = SetError("blobNotFound", notFound=[blob_id]).json()
        except SetError as error:
            not_copied[blob_id] = error.json()
        else:
            sizes[stored] = blob.size
    now = context.now() / 1000

    def work(writer: Any) -> None:
        for stored, size in sizes.items():
            writer.add_upload(stored, _TYPE, size, now, target.user)
        writer.limit_uploads(target.user, quota)

    if sizes:
        await context.store.write(target.id, work)
    return {
        "fromAccountId": source.id,
        "accountId": target.id,
        "copied": copied or None,
        "notCopied": not_copied or None,
    }


DATATYPE = DataType(name="Blob", capability=CORE, methods={"Blob/copy": _copy})
