"""Where the documents are, and where their site is written."""

from pathlib import Path
from typing import Final

from service.routes.documents import SITE

CHECKOUT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = CHECKOUT / "docs"
CONFIGURATION: Final = CHECKOUT / "guide"
# What Sphinx remembers of the pages, so that it reads again only what has changed.
STATE: Final = SITE.with_name("guide-state")
