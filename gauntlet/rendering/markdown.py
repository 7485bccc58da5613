"""The report as Markdown."""

import re
from collections.abc import Iterator

from gauntlet.rendering import sections, wording
from gauntlet.rendering.sections import Section
from gauntlet.rendering.tables import Table
from gauntlet.report.report import Report

_ACROSS = 6
# Punctuation that makes emphasis, code, links, tables or formulas, wherever in a line it stands.
_PUNCTUATION = "\\`*_~[]|$#"
# HTML; what becomes a mention or a link without being asked; a list, a quotation or an underline at a line's beginning.
_OTHER = (
    r"[&<>@]",
    r"(?<=[a-z]):(?=//)",
    r"(?<=www)\.",
    r"^\s*[-+](?=\s|$)",
    r"^\s*[-=](?=[-=]*\s*$)",
    r"(?<=^\d)[.)](?=\s|$)",
    r"(?<=^\d\d)[.)](?=\s|$)",
)
_SPECIAL = re.compile("|".join((f"[{re.escape(_PUNCTUATION)}]", *_OTHER)), re.IGNORECASE)


def to_markdown(report: Report) -> str:
    """The report for a reader: the result in words, accuracies in per cent with intervals, and what they rest on."""
    return "\n".join(_lines(report)) + "\n"


def escape(text: str) -> str:
    """The text with everything that Markdown would read as a command made to stand for itself."""
    return _SPECIAL.sub(lambda found: _inert(found.group()), text)


def _inert(special: str) -> str:
    return f"\\{special}" if special in _PUNCTUATION else f"&#{ord(special.strip())};"


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {escape(report.name)}", "", f"**{escape(report.result)}**", "")
    yield escape(wording.describe_training(report.spec))
    if report.dataset is not None:
        yield escape(wording.describe_data(report.dataset))
    for section in (*sections.answer(report, across=_ACROSS), *sections.evidence(report)):
        if section.title != "By class":  # a table for each row, which only the page can fold
            yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {section.title}")
    if section.notes:
        yield from ("", " ".join(map(escape, section.notes)))
    if section.listed:
        yield from ("", *(f"- {escape(sentence)}" for sentence in section.listed))
    for table in (*section.tables, *(folded.table for folded in section.folded)):
        yield from ("", *table_lines(table))


def table_lines(table: Table) -> Iterator[str]:
    """A table's lines."""
    yield "| " + " | ".join(escape(heading) for heading, _ in table.columns) + " |"
    yield "|" + "".join(" ---: |" if align == "number" else " --- |" for _, align in table.columns)
    for line in table.lines:
        yield "| " + " | ".join(escape(str(cell)) for cell in line) + " |"
    if table.left_out:
        yield from ("", table.left_out_note)
