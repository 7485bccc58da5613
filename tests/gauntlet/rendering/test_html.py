"""The report as a page."""

from html.parser import HTMLParser

import pytest

from gauntlet.rendering import FIGURES
from gauntlet.rendering.html import to_html
from gauntlet.report.report import Report
from tests.reports import CIFAR10, made_up

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"
_LOADING = ("src", "href", "xlink:href", "srcset", "action", "data")
_VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The page's tags in order, its attributes that name an address, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in _LOADING]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text() -> str:
    return to_html(made_up())


def test_the_page_is_whole_and_alone(text: str) -> None:
    """Every tag is closed, no script or handler is there, and nothing is loaded from elsewhere."""
    page = Page(text)
    assert page.open == []
    assert not {"script", "iframe", "object", "link", "form"} & set(page.tags)
    assert page.handlers == []
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)


def test_the_page_has_all_figures_and_tables(text: str) -> None:
    """Five figures; tables over seeds, of comparisons, beside the paper, of epochs, rows, attacks, classes and cost."""
    page = Page(text)
    assert page.tags.count("figure") == len(FIGURES)
    headings = ("Over seeds", "Objectives compared", "Beside the paper", "At equal accuracy", "By epoch")
    for heading in (*headings, "The gap over epochs", "Protocols", "By class", "Cost"):
        assert f"<h2>{heading}</h2>" in text
    assert page.tags.count("details") == 6 + 3
    assert "prefers-color-scheme: dark" in text


def test_what_a_user_wrote_stays_text() -> None:
    """A name, a warning or a class in HTML is shown as it is written."""
    page_text = to_html(made_up({"name": EVIL}, warnings=[EVIL], classes=(EVIL, "$x$", *CIFAR10[2:])))
    page = Page(page_text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.handlers == []
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page_text


def test_an_unfinished_page_says_so() -> None:
    """Without rows there are no tables of them, and it is told that they may come."""
    empty: Report = made_up(rows=(), curves=(), costs=(), complete=False, status="running")
    page_text = to_html(empty)
    assert "The experiment is running: this may change." in page_text
    assert "<figure>" not in page_text
    assert "Every run" not in page_text
