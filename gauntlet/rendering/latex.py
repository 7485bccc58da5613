"""The report's tables as LaTeX: needs the booktabs package and UTF-8 input, nothing else."""

import re
from collections.abc import Iterator, Sequence

from gauntlet.rendering import sections, wording
from gauntlet.rendering.tables import Table
from gauntlet.report.report import Report

_ACROSS = 4
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
    "…": r"\ldots{}",
    "×": r"$\times$",
    '"': "''",
    "`": r"\textasciigrave{}",
}
_PATTERN = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")


def escape(text: str) -> str:
    """The text with everything that LaTeX would read as a command made to stand for itself."""
    return _PATTERN.sub(lambda found: _SPECIAL[found.group()], text)


def to_latex(report: Report) -> str:
    """The tables that answer the question, each a `table` to be put into a document; the result in words is above."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from ("% \\usepackage{booktabs}", rf"\paragraph{{{escape(report.name)}.}} {escape(report.result)}")
    yield escape(wording.describe_training(report.spec))
    if report.dataset is not None:
        yield escape(wording.describe_data(report.dataset))
    for section in sections.answer(report, across=_ACROSS):
        if section.listed:
            yield from (
                "",
                r"\begin{itemize}",
                *(rf"\item {{}}{escape(each)}" for each in section.listed),
                r"\end{itemize}",
            )
        tables = [*section.tables, *(folded.table for folded in section.folded)]
        caption = f"{section.title}. {' '.join(section.notes)}"
        label = section.title.lower().replace(" ", "-")
        for number, table in enumerate(tables):
            # Only the first of several says how to read them.
            said = caption if number == 0 else f"{section.title}, continued."
            yield from _table(f"{label}-{number + 1}" if number else label, said, table)


def _table(label: str, caption: str, table: Table) -> Iterator[str]:
    aligned = "".join("r" if align == "number" else "l" for _, align in table.columns)
    if table.left_out:
        caption += f" {table.left_out_note}"
    yield from ("", r"\begin{table}", r"\centering\small", rf"\caption{{{escape(caption)}}}")
    yield from (rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{aligned}}}")
    yield from (r"\toprule", _line([heading for heading, _ in table.columns]), r"\midrule")
    yield from (
        *(_line(list(map(str, line))) for line in table.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    )


def _line(cells: Sequence[str]) -> str:
    # In braces, as a line that begins with a bracket would be read as the argument of the \\ before it.
    return " & ".join(f"{{{escape(cell)}}}" for cell in cells) + r" \\"
