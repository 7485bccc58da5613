"""Text that comes from anywhere, such as an error's, made fit to be stored, logged and shown."""

import re

# Up to the last @ before a space, for a password may hold any other sign.
_IN_URL = re.compile(r"(://[^\s:/@]*):\S*@")
_BY_NAME = re.compile(r"(?i)\b(password|passwd|token|secret)=[^\s&;,'\"]+")
# From a slash that begins a word, or follows a quotation mark or a bracket, on: `8/255` and URLs have none.
_PATH = re.compile(r"(?<![^\s'\"(=\[,])/(?:[^\s/'\",:;]+/)+([^\s/'\",:;]*)")
# A login's token, and a webhook's secret.
_BY_PREFIX = re.compile(r"\b(gauntlet|whsec)_[A-Za-z0-9+/=]{20,}")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
_CUT = " …"


def plain(text: str, *, at_most: int, one_line: bool = False) -> str:
    r"""The text without passwords, control characters and what UTF-8 cannot hold, cut to `at_most` characters.

    Where a file's name is not UTF-8 Python holds it as lone surrogates; those are written as `\udcff`, and control
    characters, which PostgreSQL or a terminal would choke on, as `\x1b`.
    """
    # First roughly, for what comes after takes time and memory; not so closely that a password's URL would be cut.
    text = masked(text[: 2 * at_most].encode(errors="backslashreplace").decode().translate(_CONTROL))
    if one_line:
        text = text.replace("\n", "\\n")
    return text if len(text) <= at_most else text[: at_most - len(_CUT)] + _CUT


def masked(text: str) -> str:
    """The text with `***` in the place of every password in a URL or after a name like `password=`."""
    return _BY_PREFIX.sub(r"\1_***", _BY_NAME.sub(r"\1=***", _IN_URL.sub(r"\1:***@", text)))


def without_paths(text: str) -> str:
    """The text with `…/name` in the place of every absolute path of a file below a folder."""
    return _PATH.sub(r"…/\1", text)
