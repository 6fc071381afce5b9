"""Does a credential that was used once still let its user in?"""

from typing import Any

from mailhive.model.principal import Principal

__all__ = ["holder"]


async def holder(directory: Any, name: str, credential: str) -> Principal | None:
    """Who that is in an `IDirectory`, unless they may not log in any more by `credential`.

    Of one without a name it is only known whose it was.  `TemporaryFailure` when the
    directory cannot answer.
    """
    principal: Principal | None = await directory.principal(name)
    if principal is None or not principal.enabled or principal.type != "individual":
        return None
    held = principal.credentials
    if credential and held is not None and credential not in held:
        return None
    return principal
