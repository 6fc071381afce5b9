"""Every section of the configuration file as a class.

An attribute is a key (`data_dir` is `data-dir`) and its `doc` metadata the
reference documentation.  The annotation says what may be written there:

- `str`, `int`, `float`, `bool`, `Literal[...]`, `Size`, `Duration`;
- `FilePath`, a path relative to the configuration file;
- `tuple[X, ...]` for a list, where one value alone stands for a list of it;
- `dict[str, X]` for tables that the user names, another class for a table;
- `X | None` for what may be left out.

`secret` metadata masks the value when settings are shown and lets it be given
as the content of a file, under `KEY-file`.  A field's validator is called with
None for the instance, as soon as the field was read, and says "what is wrong;
what is allowed" in a ValueError.  What concerns several keys is for a method
`problems()`, which yields pairs of key path and such a message; `warnings()` does
the same for what works but should not stay.  A provider's settings class follows
the same rules.
"""

from pathlib import Path
from typing import Literal

from attrs import field, frozen

from mailhive.config import forward
from mailhive.config.delivery import DeliverySettings
from mailhive.config.dkim import DkimSettings
from mailhive.config.fields import (
    FilePath,
    WorkerCount,
    doc,
    host_name,
    lasts,
    machine_name,
    name_servers,
)
from mailhive.config.forward import ForwardSettings
from mailhive.config.greylist import GreylistSettings
from mailhive.config.jmap import JmapSettings
from mailhive.config.log import LogSettings
from mailhive.config.milter import MilterSettings
from mailhive.config.problems import Found
from mailhive.config.relay import QueueSettings, RelaySettings
from mailhive.config.tables import (
    BlobSettings,
    DirectorySettings,
    ListenerSettings,
    StoreSettings,
)
from mailhive.config.units import Duration
from mailhive.model.addresses import canonical_domain
from mailhive.model.networks import Networks

__all__ = [
    "BlobSettings",
    "DirectorySettings",
    "DkimSettings",
    "DomainSettings",
    "JmapSettings",
    "ListenerSettings",
    "MilterSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "StoreSettings",
    "doc",
]


@frozen
class ServerSettings:
    """The daemon as a whole."""

    hostname: str = field(
        factory=machine_name,
        validator=host_name,
        metadata=doc(
            "The name of this server: in the SMTP greeting and in trace headers.",
            default="the name of the machine",
        ),
    )
    data_dir: FilePath = field(
        default=FilePath(Path("var")),
        metadata=doc(
            "Where everything is kept that is not configured elsewhere. It is made if it does "
            "not exist, readable by its owner only."
        ),
    )
    workers: WorkerCount = field(
        default=WorkerCount(1),
        metadata=doc(
            "How many processes serve connections; `auto` is one for each processor. With 2 or "
            "more, `twistd` starts them and starts another in place of one that ends. Each counts "
            "for itself what is limited at a time: connections, requests of a user, files that "
            "are open; rates, of so many in an hour, are for all together. See "
            "[architecture](architecture.md#workers)."
        ),
    )
    resolvers: tuple[str, ...] = field(
        default=(),
        validator=name_servers,
        metadata=doc(
            'Name servers to ask where mail goes: `"127.0.0.1"` or `"127.0.0.1:53"`.',
            default="those of the system",
        ),
    )
    trusted_proxies: Networks = field(
        default=Networks(),
        metadata=doc(
            "Proxies in front of this server. What they say of their clients is believed: PROXY "
            "headers, the fields of `forwarded-fields` and those of `jmap.dynamic-prefix`."
        ),
    )
    forwarded_fields: tuple[Literal["X-Forwarded-For", "Forwarded", "X-Real-IP"], ...] = field(
        default=("X-Forwarded-For", "Forwarded", "X-Real-IP"),
        metadata=doc(
            "The header fields by which trusted proxies tell whose request they pass on. If "
            "several are there they have to agree. Better name only those that the proxies set, as "
            "others may come from anybody."
        ),
    )
    listener: dict[str, ListenerSettings] = field(factory=dict, metadata=doc(""))

    def problems(self) -> Found:
        for name, listener in self.listener.items():
            if listener.proxy_protocol and not self.trusted_proxies:
                message = "lets nobody in; allowed when server.trusted-proxies names the proxies"
                yield ("listener", name, "proxy-protocol"), message


@frozen
class StorageSettings:
    """Which of the stores declared below is used for what."""

    mail: str = field(
        default="sqlite",
        metadata=doc(
            "Names a `[store.NAME]` table. `sqlite` needs no table: it is then of type `sqlite`."
        ),
    )
    blob: str = field(
        default="files",
        metadata=doc(
            "Names a `[blob.NAME]` table. `files` needs no table: it is then of type `fs`."
        ),
    )
    collect_interval: Duration = field(
        default=Duration(3_600.0),
        validator=lasts("1m"),
        metadata=doc(
            "How often uploads and submissions that have expired are forgotten and blobs deleted "
            "that nothing refers to."
        ),
    )
    collect_age: Duration = field(
        default=Duration(3_600.0),
        validator=lasts("1h"),  # RFC 8620 §6
        metadata=doc(
            "How long a blob that nothing refers to is left alone after it was stored or last "
            "wanted."
        ),
    )


@frozen
class DomainSettings:
    """A mail domain that is not like the others. Its name may be in any letters."""

    directory: str = field(
        metadata=doc(
            "Names the `[directory.NAME]` table that says who has addresses of this domain, and "
            "who logs in by one, in place of the table that `jmap.directory` names."
        )
    )


@frozen(kw_only=True)
class Settings:
    """The whole file."""

    server: ServerSettings = field(factory=ServerSettings, metadata=doc(""))
    log: LogSettings = field(factory=LogSettings, metadata=doc(""))
    storage: StorageSettings = field(factory=StorageSettings, metadata=doc(""))
    store: dict[str, StoreSettings] = field(factory=dict, metadata=doc(""))
    blob: dict[str, BlobSettings] = field(factory=dict, metadata=doc(""))
    directory: dict[str, DirectorySettings] = field(factory=dict, metadata=doc(""))
    domain: dict[str, DomainSettings] = field(factory=dict, metadata=doc(""))
    jmap: JmapSettings = field(metadata=doc(""))
    delivery: DeliverySettings = field(factory=DeliverySettings, metadata=doc(""))
    queue: QueueSettings = field(factory=QueueSettings, metadata=doc(""))
    relay: RelaySettings = field(factory=RelaySettings, metadata=doc(""))
    dkim: dict[str, DkimSettings] = field(factory=dict, metadata=doc(""))
    milter: dict[str, MilterSettings] = field(factory=dict, metadata=doc(""))
    greylist: GreylistSettings = field(factory=GreylistSettings, metadata=doc(""))
    forward: dict[str, ForwardSettings] = field(factory=dict, metadata=doc(""))

    def problems(self) -> Found:
        yield from forward.problems(self.forward)
        if self.relay.dane and not self.server.resolvers:
            message = "needs name servers that validate; allowed when server.resolvers names them"
            yield ("relay", "dane"), message
        published: dict[str, str] = {}
        for name, key in self.dkim.items():
            for domain in map(canonical_domain, key.domains):
                place = f"{key.selector.lower()}._domainkey.{domain}"
                if published.setdefault(place, name) != name:
                    message = f'"{key.selector}" is that of dkim."{published[place]}" for {domain}'
                    yield ("dkim", name, "selector"), f"{message}; allowed is another one"
