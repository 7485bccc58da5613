"""What a token looks like: a name that scanners of leaked secrets can look for, random characters, and a checksum.

The checksum tells a token that was mistyped or cut from one that is unknown, without a look at the database.
"""

import hmac
import secrets
import string
import zlib

PREFIX = "gauntlet_"
_ALPHABET = string.digits + string.ascii_letters
# log2(62) bits each: 178 in all.
_RANDOM = 30
# As many as 32 bits take.
_CHECKSUM = 6
LENGTH = len(PREFIX) + _RANDOM + _CHECKSUM


def new_token() -> str:
    """A fresh token of 178 random bits."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether `text` has a token's form and its checksum is right; says nothing of whether anybody was given it."""
    body, checksum = text[:-_CHECKSUM], text[-_CHECKSUM:]
    return len(text) == LENGTH and text.isascii() and body.startswith(PREFIX) and _checksum(body) == checksum


def digest(token: str, key: bytes) -> str:
    """What is stored of a token: its HMAC-SHA256 under the installation's key, in hexadecimal."""
    return hmac.digest(key, token.encode(), "sha256").hex()


def _checksum(body: str) -> str:
    number, written = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        written = _ALPHABET[digit] + written
    return written
