"""What every answer tells a browser: take it for what it says it is, show it in no frame, and tell nobody of it."""

from collections.abc import Iterable

# For what is no page of ours. A page says itself what it needs.
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
# For what does not say itself who may keep it, and how long: a token that was made, an error that may be gone.
_KEPT_BY_NOBODY = (b"cache-control", b"no-store")
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
    said = {name.lower() for name, _ in given}
    return [*given, *_MANNERS, *(default for default in (_POLICY, _KEPT_BY_NOBODY) if default[0] not in said)]
