"""The report's tables as LaTeX: needs the booktabs package and UTF-8 input, nothing else."""

import re
from collections.abc import Iterable, Iterator, Sequence

from gauntlet.rendering import history, wording
from gauntlet.report.report import Report

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "ε": r"$\varepsilon$",
    "∞": r"$_\infty$",
    "−": "$-$",
    "–": "--",
}
_PATTERN = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")


def escape(text: str) -> str:
    """The text with everything that LaTeX would read as a command made to stand for itself."""
    return _PATTERN.sub(lambda found: _SPECIAL[found.group()], text)


def to_latex(report: Report) -> str:
    """The paper's table, the means over seeds, and the comparisons, each a `table` to be put into a document."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "% \\usepackage{booktabs}"
    told = f"{report.name}. {wording.describe_training(report.spec)} {wording.describe_evaluation(report)}"
    if not report.complete:
        told += f" The experiment is {report.status}: rows may still be missing."
    yield from _table("rows", told, wording.ROW_HEADER, map(wording.row_cells, report.rows), words=3)
    if report.summaries:
        cells = map(wording.summary_cells, report.summaries)
        yield from _table("seeds", wording.caution(report.summaries), wording.SUMMARY_HEADER, cells, words=2)
    if report.comparisons:
        cells = map(wording.comparison_cells, report.comparisons)
        yield from _table("compared", wording.comparison_note(report), wording.COMPARISON_HEADER, cells, words=3)
    if report.paper is not None and report.paper.rows:
        cells = map(wording.paper_cells, report.paper.rows)
        yield from _table("paper", " ".join(wording.paper_notes(report)), wording.PAPER_HEADER, cells, words=2)
    if report.equal_accuracies:
        cells = map(history.equal_cells, report.equal_accuracies)
        yield from _table("equal", history.EQUAL_NOTE, history.EQUAL_HEADER, cells, words=3)
    if report.equal_accuracy_summaries:
        cells = map(history.equal_summary_cells, report.equal_accuracy_summaries)
        note = history.EQUAL_SUMMARY_NOTE
        yield from _table("equal-seeds", note, history.EQUAL_SUMMARY_HEADER, cells, words=2)


def _table(
    label: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int
) -> Iterator[str]:
    yield from ("", r"\begin{table}", r"\centering\small", rf"\caption{{{escape(caption)}}}")
    yield from (rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(header) - words)}}}")
    yield from (r"\toprule", _line(header), r"\midrule", *map(_line, rows), r"\bottomrule")
    yield from (r"\end{tabular}", r"\end{table}")


def _line(cells: Sequence[str]) -> str:
    # In braces, as a line that begins with a bracket would be read as the argument of the \\ before it.
    return " & ".join(f"{{{escape(cell)}}}" for cell in cells) + r" \\"
