"""What is found of a message, in the terms of Authentication-Results (RFC 8601 §2.7)."""

from mailhive.authn.arc import ArcVerdict
from mailhive.authn.dkim import DkimVerdict
from mailhive.authn.dmarc import DmarcVerdict
from mailhive.authn.dns import IpAddress
from mailhive.authn.results import Result
from mailhive.authn.spf import SpfVerdict

__all__ = ["arc_results", "dkim_results", "dmarc_result", "spf_results"]


def spf_results(
    sender: SpfVerdict, host: SpfVerdict | None, mail_from: str, hello: str
) -> list[Result]:
    """Those for MAIL FROM and for the name of the host; without `host`, `sender` is for that."""
    # RFC 8601 §2.7.2
    of_host = {"smtp.helo": hello}
    if host is None:
        return [Result("spf", sender.result, of_host, sender.why)]
    results = [Result("spf", sender.result, {"smtp.mailfrom": mail_from}, sender.why)]
    if host.result != "none":
        results.append(Result("spf", host.result, of_host, host.why))
    return results


def dkim_results(verdicts: tuple[DkimVerdict, ...]) -> list[Result]:
    """One for each signature."""
    # RFC 8601 §2.7.1
    if not verdicts:
        return [Result("dkim", "none")]
    results = []
    for verdict in verdicts:
        tags = {"d": verdict.domain, "s": verdict.selector, "a": verdict.algorithm}
        properties = {f"header.{name}": value for name, value in tags.items() if value}
        why = "the key is for testing" if verdict.testing and not verdict.why else verdict.why
        results.append(Result("dkim", verdict.result, properties, why))
    return results


def arc_results(verdict: ArcVerdict, address: IpAddress) -> list[Result]:
    """That for the chain, if there is one; `address` is the client's."""
    # RFC 8617 §10.2
    if verdict.result == "none":
        return []
    properties = {"smtp.remote-ip": str(address)}
    why = verdict.why
    if verdict.oldest_pass is not None:
        properties["header.oldest-pass"] = str(verdict.oldest_pass)
        why = "sealed by " + ", ".join(handler.domain for handler in verdict.handlers)
    return [Result("arc", verdict.result, properties, why)]


def dmarc_result(verdict: DmarcVerdict, who: str | None) -> Result:
    """`who` vouches for the message if the policy is not applied for that."""
    # RFC 7489 §11.1
    properties = {"header.from": verdict.domain} if verdict.domain else {}
    if verdict.result in ("pass", "fail"):
        properties["policy.dmarc"] = verdict.policy
    if who is None:
        return Result("dmarc", verdict.result, properties)
    # RFC 8617 §7.2.1, by a name of RFC 7489 Appendix C
    properties["policy.override"] = "local_policy"
    why = f"{who} vouches for it by ARC, and found that it passed"
    return Result("dmarc", verdict.result, properties, why)
