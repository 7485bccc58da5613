"""What a browser is sent of the page: one document with a template for every view, and the files that it names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
_IMPORT = re.compile(r'^import (?:.* from )?"\./(\w+\.js)";$', re.MULTILINE)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Scripts and styles are files of ours, and no text of a page can become markup or script: whatever a name holds.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


@dataclass(frozen=True)
class PageFile:
    """Bytes with their type."""

    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, PageFile]:
    """The files below `/page/`, by name."""
    found = sorted((_HERE / "static").iterdir())
    return {file.name: PageFile(file.read_bytes(), _TYPES[file.suffix]) for file in found if file.is_file()}


@cache
def document() -> PageFile:
    """The page itself."""
    loader = FileSystemLoader(_HERE / "views")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    views = {file.stem: _with_imports(f"{file.stem}.js") for file in sorted((_HERE / "views").glob("*.html"))}
    # What home needs is fetched before it is known which view is wanted, and what others need after that.
    first = _with_imports("page.js", "home.js")
    written = environment.get_template("page.html.jinja").render(views=views, first=first)
    return PageFile(written.encode(), "text/html")


def _with_imports(*modules: str) -> list[str]:
    """The modules and all that they import, each once."""
    found: list[str] = []
    wanted = list(modules)
    while wanted:
        name = wanted.pop(0)
        if name not in found:
            found.append(name)
            wanted += _IMPORT.findall(assets()[name].content.decode())
    return found
