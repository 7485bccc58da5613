"""What every answer tells a browser: take it for what it says it is, show it in no frame, and tell nobody of it."""

from collections.abc import Iterable

# For what is no page of ours. A page says itself what it needs.
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
_MANNERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def with_manners(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and those that every answer has."""
    given = list(headers)
    has_policy = any(name.lower() == _POLICY[0] for name, _ in given)
    return [*given, *_MANNERS] if has_policy else [*given, *_MANNERS, _POLICY]
