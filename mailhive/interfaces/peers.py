"""Peers: the processes that are one server together."""

from zope.interface import Attribute, Interface

__all__ = ["IPeers"]


class IPeers(Interface):
    """The other workers, as one of them sees them.  See docs/adr/0024-workers.md.

    Workers are numbered from 0; number 0 is the office, which keeps what there is
    once.  What is sent has to be picklable: functions are those of modules.
    """

    index = Attribute("The number of this worker (int).")
    count = Attribute("How many there are (int).")
    is_office = Attribute("Is this worker number 0? (bool)")

    def owner(account_id: str) -> int:
        """The worker that writes to an account; the same in all of them."""

    def serve(name: str, function) -> None:
        """Answer the calls of `name` by `function(caller, *args)`, which may return a Deferred.

        `caller.index` is who asks; `caller.gone` is a Deferred that fires when that
        process has ended.
        """

    def call(worker: int, name: str, *args):
        """Fire with what the worker's function returns, or fail with what it raises.

        A worker that is being replaced is waited for.  `TemporaryFailure` when that
        takes long, or when it ends before it has answered: nobody knows then
        whether it has done what it was asked.
        """

    def tell(name: str, *args) -> None:
        """Have all others that are there do something, whose outcome nobody waits for."""

    def on_join(observer) -> None:
        """Call `observer(worker)` whenever another worker, or its replacement, is there.

        What that one told before may be lost.
        """
