"""What names and addresses of principals have to be, wherever they are written down."""

from mailhive.model.addresses import canonical_address, canonical_name, is_domain, split

__all__ = ["canonical_email", "name_problem", "no_address"]

_LONGEST_NAME = 255  # characters
_LONGEST_LOCAL_PART = 64  # octets (RFC 5321 §4.5.3.1.1)


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a principal and what is allowed; None if nothing is."""
    canonical = canonical_name(name)
    if 0 < len(canonical) <= _LONGEST_NAME and _printable(canonical) and ":" not in canonical:
        return None
    allowed = f"1 to {_LONGEST_NAME} printable characters without spaces and colons"
    return f'"{name[:50]}" is no name; allowed are {allowed}'


def canonical_email(address: str, *, catch_all: bool = True) -> str | None:
    """The canonical form of an address that a principal may have, else None.

    `catch_all` allows `@domain`.
    """
    canonical = canonical_address(address)
    if canonical is None or not _printable(canonical):
        return None
    local, domain = split(canonical)
    if not is_domain(domain) or len(local.encode()) > _LONGEST_LOCAL_PART:
        return None
    return canonical if local or catch_all else None


def no_address(address: str, example: str = '"user@example.org" or "@example.org"') -> str:
    """Says that this is none."""
    return f'"{address[:100]}" is no address; allowed is one such as {example}'


def _printable(text: str) -> bool:
    return text.isprintable() and not any(character.isspace() for character in text)
