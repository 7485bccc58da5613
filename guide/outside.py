"""Pages of the site whose text lies elsewhere in the checkout: docs/ has a link in the place of each."""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

from guide.places import CHECKOUT, SOURCES

_PLACE: Final = re.compile(r"\[[^]]*\]\(([^)\s]+\.md)\)\s*")
_LINK: Final = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


@cache
def elsewhere() -> Mapping[Path, Path]:
    """The page in docs/ that stands for each file."""
    pages = ((page, _PLACE.fullmatch(page.read_text(encoding="utf-8"))) for page in SOURCES.rglob("*.md"))
    return {(page.parent / place[1]).resolve(): page for page, place in pages if place}


def read(app: Sphinx, name: str, content: list[str]) -> None:  # noqa: ARG001  # Sphinx's signature
    """Put a file's text in the place of its link, and have every page's links lead where they do in the checkout."""
    page = SOURCES / f"{name}.md"
    file = next((file for file, place in elsewhere().items() if place == page), page)
    text = content[0] if file == page else file.read_text(encoding="utf-8")
    content[0] = _LINK.sub(lambda link: f"]({_led(link[1], file, page)}{link[2] or ''})", text)


def _led(target: str, file: Path, page: Path) -> str:
    """What a file's link is called on the page that shows the file."""
    found = (file.parent / target).resolve()
    if not found.is_relative_to(CHECKOUT):
        return target
    here = os.path.relpath(elsewhere().get(found, found), page.parent)
    # Of the checkout's other files a page offers a copy; so of Markdown that is no page.
    is_copy = found.suffix == ".md" and not found.is_relative_to(SOURCES) and found not in elsewhere()
    return f"path:{here}" if is_copy else here


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of it."""
    app.connect("source-read", read)
    # One page more, and links of all others may lead to it: they are read again.
    places = sorted(str(file.relative_to(CHECKOUT)) for file in elsewhere())
    app.add_config_value("pages_elsewhere", places, "env", list)
    return {"parallel_read_safe": True}
