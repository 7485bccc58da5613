"""The report as one page: nothing is loaded from elsewhere and there is no script; for paper and dark screens too."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gauntlet.rendering import figures, sections, wording
from gauntlet.rendering.svg import inline
from gauntlet.report.report import Report

_ACROSS = 9


def to_html(report: Report) -> str:
    """The page, with the figures drawn in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [(figures.TITLES[name], Markup(inline(document))) for name, document in figures.drawn(report)]  # noqa: S704  # matplotlib escapes text
    template = environment.get_template("report.html.jinja")
    return template.render(
        report=report,
        training=wording.describe_training(report.spec),
        data=report.dataset and wording.describe_data(report.dataset),
        answer=sections.answer(report, across=_ACROSS),
        figures=drawn,
        evidence=sections.evidence(report),
    )
