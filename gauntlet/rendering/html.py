"""The report as one page: nothing is loaded from elsewhere and there is no script; for paper and dark screens too."""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from gauntlet.rendering import FIGURES, sections, wording
from gauntlet.rendering.drawn import figures
from gauntlet.rendering.drawn.svg import inline
from gauntlet.report.numbers import counted
from gauntlet.report.report import Report

_ACROSS = 9
_TOGETHER = re.compile(r"(?<=\d) (?=%|test|seeds|points)|(?<=ε|p) (?=[=<])|(?<=[=<]) (?=\d)")


def to_html(report: Report) -> str:
    """The page, with the figures drawn in it."""
    drawn = [
        (figures.TITLES[name], panel.title, Markup(inline(panel)))  # noqa: S704  # svg.py escapes text
        for name in FIGURES
        for panel in figures.panels(report, name)
    ]
    shown = {
        "report": report,
        "lines": counted(len(report.rows), "measured line"),
        "compared": report.headline_column().heading,
        "training": wording.describe_training(report.spec),
        "data": report.dataset and wording.describe_data(report.dataset),
        "answer": sections.answer(report, across=_ACROSS),
        "figures": drawn,
        "evidence": sections.evidence(report),
    }
    template = _template()
    context = template.new_context(shown)
    try:
        return "".join(template.root_render_func(context))
    finally:
        # A template's macros hold its context, and that holds them: 94,000 objects of a report of a thousand runs lived
        # on until a search for garbage, which took 50 ms.
        context.parent.clear()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A number and what it is of stay on one line.
    environment.filters["unbroken"] = lambda text: _TOGETHER.sub("\u00a0", text)
    return environment.get_template("report.html.jinja")
