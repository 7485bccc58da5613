"""Directives that write a page's reference off the code, as Markdown of its own: `{reference} http`, for one."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from guide import catalogue, commands, names, requests

_REFERENCES: Final[Mapping[str, Callable[[], str]]] = {
    "catalogue": catalogue.as_markdown,
    "commands": commands.as_markdown,
    "names": names.as_markdown,
    "requests": requests.as_markdown,
}


class Reference(SphinxDirective):
    """What a reference says today. Its page is read again each time, since no file says when the code has changed."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of its Markdown."""
        self.env.note_reread()
        return self.parse_text_to_nodes(_REFERENCES[self.arguments[0]](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of them."""
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
