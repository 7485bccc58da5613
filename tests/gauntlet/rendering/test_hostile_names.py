"""Names that a user chose, in every rendering: they are shown as they were written, and nothing else comes of them."""

import csv
import io
import re
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from gauntlet.rendering import FIGURES, draw
from gauntlet.rendering.csv import to_csv
from gauntlet.rendering.latex import to_latex
from gauntlet.rendering.markdown import escape, to_markdown
from gauntlet.report.report import Report
from tests.reports import CIFAR10, made_up

HOSTILE = (
    "**bold** _it_ ~~gone~~ `code` $x$",
    "[text](https://example.org) ![image](x.png) <https://example.org>",
    "https://example.org www.example.org a@example.org @team #1",
    "<script>alert('x')</script><img src=x onerror=alert(1)> &lt;b&gt;",
    "a | b \\| c \\",
    "# heading",
    "- item",
    "1. item",
    "> quotation",
    "---",
    r"\input{/etc/passwd} 100 % \& {}",
    "=HYPERLINK(1)",
    "{{ 7 * 7 }} {% raw %}",
)


def report(name: str) -> Report:
    """A report in which the experiment, an objective, a class and a warning are called so."""
    objectives = [{"kind": "cross_entropy"}, {"kind": "policy_gradient", "label": name[:80].strip()}]
    changes = {"name": name, "objectives": objectives, "seeds": [0], "evaluation": {"samples": 40}}
    return made_up(changes, warnings=[name], classes=(name, "$x$", *CIFAR10[2:]))


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    """A reader of Markdown finds the very text in the heading, in a cell and in a list, and no link, image or HTML."""
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(to_markdown(report(name)))
    inside = [child for token in tokens for child in token.children or ()]
    assert not {child.type for child in inside} & {
        "link_open",
        "image",
        "html_inline",
        "code_inline",
        "em_open",
        "s_open",
    }
    assert not [
        token for token in tokens if token.type in {"html_block", "fence", "code_block", "blockquote_open", "hr"}
    ]
    shown = ["".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"]
    assert shown[0] == name
    assert shown.count(name[:80].strip()) >= 5
    assert shown.count(name) >= 2


def test_markdown_makes_no_link_of_an_address() -> None:
    """What some readers link without being asked is written so that they do not."""
    assert not re.search(r"https?://|www\.|@", escape(HOSTILE[2]))


@pytest.mark.parametrize("name", HOSTILE)
def test_figures_show_a_name_as_it_is(name: str) -> None:
    """Well-formed, with the name as text, and no element but those that draw."""
    for figure in FIGURES:
        document = draw(report(name), figure)
        if document is None:
            assert figure in {"eps", "certified"}
            continue
        root = ET.fromstring(document)
        assert name in (root[0].text or "")
        drawing = {"svg", "g", "path", "polyline", "circle", "rect", "text", "title", "style"}
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= drawing
        assert not any(key.startswith("on") or "href" in key for element in root.iter() for key in element.attrib)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_for_latex_has_no_command_of_a_name(name: str) -> None:
    """Whatever it says, only our own commands and environments are there, and braces are balanced."""
    text = to_latex(report(name))
    ours = to_latex(report("plain"))
    commands = r"\\[A-Za-z]+"
    harmless = {r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless", r"\textgreater"}
    harmless |= {r"\textasciigrave"}
    assert set(re.findall(commands, text)) <= set(re.findall(commands, ours)) | harmless
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")


def test_a_spreadsheet_computes_nothing() -> None:
    """The label that is a formula is quoted in every line."""
    lines = csv.DictReader(io.StringIO(to_csv(report("=HYPERLINK(1)"))))
    assert {line["objective"] for line in lines} == {"cross_entropy", "'=HYPERLINK(1)"}
