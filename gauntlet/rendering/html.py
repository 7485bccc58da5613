"""The report as one page: nothing is loaded from elsewhere and there is no script; for paper and dark screens too."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gauntlet.rendering import figures, history, wording
from gauntlet.rendering.svg import inline
from gauntlet.report.report import Report


def to_html(report: Report) -> str:
    """The page, with the figures drawn in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cells = (
        wording.summary_cells,
        wording.comparison_cells,
        wording.paper_cells,
        wording.row_cells,
        wording.attack_name,
        history.equal_cells,
        history.equal_summary_cells,
        history.gap_cells,
    )
    environment.filters |= {function.__name__: function for function in cells}
    drawn = [(figures.TITLES[name], Markup(inline(document))) for name, document in figures.drawn(report)]  # noqa: S704  # matplotlib escapes text
    template = environment.get_template("report.html.jinja")
    return template.render(report=report, figures=drawn, wording=wording, history=history)
