"""The report as Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from gauntlet.rendering import history, wording
from gauntlet.report.report import Report


def to_markdown(report: Report) -> str:
    """The report for a reader: the paper's table in per cent with 95 % intervals, and how it was measured."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {_plain(report.name)}", "", wording.describe_training(report.spec))
    yield wording.describe_evaluation(report)
    if report.dataset is not None:
        yield _plain(wording.describe_data(report))
    if report.rows:
        yield ""
        yield from _table(wording.ROW_HEADER, map(wording.row_cells, report.rows), words=3)
    if not report.complete:
        yield from ("", f"The experiment is {report.status}: rows may still be missing.")
    if report.summaries:
        yield from ("", "## Over seeds", "", wording.caution(report.summaries), "")
        yield from _table(wording.SUMMARY_HEADER, map(wording.summary_cells, report.summaries), words=2)
    if report.comparisons:
        yield from ("", "## Objectives compared", "", wording.comparison_note(report), "")
        yield from _table(wording.COMPARISON_HEADER, map(wording.comparison_cells, report.comparisons), words=3)
    if report.paper is not None and report.paper.rows:
        yield from ("", "## Beside the paper", "", " ".join(wording.paper_notes(report)), "")
        yield from _table(wording.PAPER_HEADER, map(wording.paper_cells, report.paper.rows), words=2)
    yield from _details(report)


def _details(report: Report) -> Iterator[str]:
    """What the tables above rest on."""
    if report.equal_accuracies:
        yield from ("", "## At equal accuracy", "", history.EQUAL_NOTE, "")
        if report.equal_accuracy_summaries:
            cells = map(history.equal_summary_cells, report.equal_accuracy_summaries)
            yield from (history.EQUAL_SUMMARY_NOTE, "")
            yield from _table(history.EQUAL_SUMMARY_HEADER, cells, words=2)
            yield ""
        yield from _table(history.EQUAL_HEADER, map(history.equal_cells, report.equal_accuracies), words=3)
    if report.gaps:
        yield from ("", "## The gap over epochs", "", history.GAP_NOTE, "")
        yield from _table(history.GAP_HEADER, map(history.gap_cells, report.gaps), words=2)
    if report.curves:
        yield from ("", "## By epoch", "", history.EPOCH_NOTE, "")
        yield from _table(history.EPOCH_HEADER, history.epoch_cells(report), words=2)
    if report.rows:
        yield from ("", "## Every attack", "")
        yield from _table(wording.ATTACK_HEADER, wording.attack_cells(report), words=4)
    if masking := wording.masking_cells(report):
        yield from ("", "## Masked gradients", "", wording.MASKING_NOTE, "")
        yield from _table(wording.MASKING_HEADER, masking, words=len(wording.MASKING_HEADER))
    if report.warnings:
        yield from ("", "## Warnings", "", *(f"- {_plain(warning)}" for warning in report.warnings))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> Iterator[str]:
    """A table whose first `words` columns are text, the others numbers."""
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * words + " ---: |" * (len(header) - words)
    for cells in rows:
        yield "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text that a viewer which allows HTML shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
