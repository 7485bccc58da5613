"""A report as pages, tables and figures. Everything here is derived from the report, which is the truth.

What draws or fills in templates is imported only when it is used: the API starts without it.
"""

from typing import Literal, assert_never, get_args

from gauntlet.report.report import Report

Format = Literal["json", "html", "md", "csv", "tex"]
FigureName = Literal["training", "gap", "eps", "certified", "cost", "confusion"]
FIGURES: tuple[FigureName, ...] = get_args(FigureName)

# What a page or a figure needs, and all that a browser should let it do.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "html": "text/html",
    "md": "text/markdown",
    "csv": "text/csv",
    "tex": "application/x-tex",
}


def render(report: Report, format: Format) -> str:
    """The whole report in one of the formats."""
    match format:
        case "json":
            return report.model_dump_json(indent=2) + "\n"
        case "html":
            from gauntlet.rendering.html import to_html  # loads Jinja

            return to_html(report)
        case "md":
            from gauntlet.rendering.markdown import to_markdown  # as its siblings

            return to_markdown(report)
        case "csv":
            from gauntlet.rendering.csv import to_csv  # as its siblings

            return to_csv(report)
        case "tex":
            from gauntlet.rendering.latex import to_latex  # as its siblings

            return to_latex(report)
        case _:
            assert_never(format)


def draw(report: Report, name: FigureName) -> str | None:
    """The figure as SVG, or None where the report has nothing to draw in it."""
    from gauntlet.rendering.drawn.figures import to_svg  # has its names from here

    return to_svg(report, name)
