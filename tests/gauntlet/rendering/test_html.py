"""The report as a page."""

import gc
import re
import weakref
from html.parser import HTMLParser

import pytest

from gauntlet.rendering import FIGURES
from gauntlet.rendering.drawn.figures import panels
from gauntlet.rendering.html import to_html
from gauntlet.report.curves import RunCurve
from gauntlet.report.report import Report
from gauntlet.results.doubts import Doubt
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
    """All panels of all figures; tables over seeds, of comparisons, beside the paper, of epochs, classes and cost."""
    page = Page(text)
    assert page.tags.count("figure") == page.tags.count("svg") == sum(len(panels(made_up(), name)) for name in FIGURES)
    headings = ("Over seeds", "Objectives compared", "Beside the paper", "At equal accuracy", "By epoch")
    for heading in (*headings, "The gap over epochs", "Protocols", "By class", "Cost"):
        assert f"<h2>{heading}</h2>" in text
    assert page.tags.count("details") == 6 + 3
    assert "prefers-color-scheme: dark" in text


def test_the_answer_comes_before_what_it_rests_on(text: str) -> None:
    """The result in words, then every run's accuracies, means and comparisons; figures and evidence below."""
    order = (
        'class="result">Under the worst of FGSM',
        "<h2>Accuracy of every run</h2>",
        "<h2>Over seeds</h2>",
        "<h2>Objectives compared</h2>",
        "<h2>At equal accuracy</h2>",
        "<h2>Figures</h2>",
        "<h2>Protocols</h2>",
        "<h2>Cost</h2>",
    )
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_every_table_can_be_scrolled_by_keyboard(text: str) -> None:
    """Each stands in a region of its own that takes the focus; where it is cut its edge is shaded."""
    assert text.count("<table>") == len(
        re.findall(r'<div class="wide" role="region" aria-label="[^"]+" tabindex="0">', text)
    )
    assert "background-attachment: local, local, scroll, scroll" in text


def test_what_is_in_doubt_stands_beside_every_number() -> None:
    """The row says why; means, comparisons, histories, legends and the warnings say that it is so."""
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="Its gradients may be masked. One sign.")
    rows = [
        row.model_copy(update={"doubts": (doubt,)}) if row.objective == "policy_gradient" else row
        for row in made_up().rows
    ]
    page = to_html(made_up(rows=rows))
    assert page.count('<td class="text">in doubt: masked gradients</td>') == 3
    assert "In doubt: policy gradient (masked gradients)." in page
    assert "<li>policy gradient, seeds 0, 1, 2, epoch 12: Its gradients may be masked. One sign.</li>" in page
    assert "policy gradient − cross-entropy<small>policy gradient in doubt</small>" in page
    assert "policy gradient<small>in doubt</small>" in page
    assert "policy gradient (in doubt)</text>" in page
    assert "cross-entropy<small>in doubt" not in page
    assert "in doubt" not in to_html(made_up())


def test_one_epoch_reads_as_one() -> None:
    """Neither "1 epochs", nor figures and gaps of a course that there was not."""
    whole = made_up({"seeds": [0], "training": {"epochs": 1}})
    first = [
        RunCurve(**{key: value[:1] if isinstance(value, tuple) else value for key, value in curve.model_dump().items()})
        for curve in whole.curves
    ]
    page = to_html(made_up({"seeds": [0], "training": {"epochs": 1}}, curves=first))
    assert "1 epoch in batches" in page
    assert "1 epochs" not in page
    for absent in ("Accuracy by epoch of training", "Generalisation gap by epoch", "The gap over epochs", "Over seeds"):
        assert absent not in page


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


def test_a_page_that_is_made_lets_go_of_its_report() -> None:
    """At once, and not when a search for garbage finds it, which takes the longer the more it finds."""
    report = made_up()
    gone = weakref.ref(report.rows[0])
    gc.disable()
    try:
        to_html(report)
        del report
        assert gone() is None
    finally:
        gc.enable()
