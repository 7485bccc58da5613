"""The report for a spreadsheet (CSV) and for a paper (LaTeX)."""

import csv
import io

import pytest

from gauntlet.rendering.csv import to_csv
from gauntlet.rendering.latex import escape, to_latex
from gauntlet.spec.attacks import attack_label
from tests.reports import made_up


def test_csv_has_a_line_for_each_row_and_attack() -> None:
    """Natural accuracy, every attack and every worst case of all six rows, each with its protocol, n and interval."""
    report = made_up()
    lines = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(lines) == 6 * (1 + 5 + 4)
    first, outcome = lines[:10], report.rows[0].outcome
    labels = [attack_label(attack) for attack in report.spec.evaluation.attacks]
    assert [line["attack"] for line in first] == ["natural", *labels, *["worst case"] * 4]
    assert {line["n"] for line in lines} == {"500"}
    fgsm, found = first[1], outcome.attacks[0]
    assert float(fgsm["accuracy"]) == found.accuracy.value
    assert (float(fgsm["low"]), float(fgsm["high"])) == found.accuracy.interval
    assert (fgsm["protocol"], fgsm["fingerprint"], fgsm["eps"]) == (found.protocol.id, found.fingerprint, "8/255")
    assert first[0]["protocol"] == outcome.natural_protocol.id


def test_a_cell_is_no_formula() -> None:
    """Text that a spreadsheet would compute is quoted; negative numbers stay numbers."""
    report = made_up()
    row = report.rows[0].model_copy(update={"objective": "=HYPERLINK(1)", "seed": -1})
    (line, *_) = csv.DictReader(io.StringIO(to_csv(report.model_copy(update={"rows": (row,)}))))
    assert (line["objective"], line["seed"]) == ("'=HYPERLINK(1)", "-1")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("100 % & more_or_less #1 $x$ {y}", r"100 \% \& more\_or\_less \#1 \$x\$ \{y\}"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("a^b~c <d>", r"a\textasciicircum{}b\textasciitilde{}c \textless{}d\textgreater{}"),
        ("ε = 8/255 (L∞), −1 – 2", r"$\varepsilon$ = 8/255 (L$_\infty$), $-$1 -- 2"),
    ],
)
def test_latex_specials_stand_for_themselves(text: str, escaped: str) -> None:
    """Nothing of a name is read as a command."""
    assert escape(text) == escaped


def test_latex_has_the_tables() -> None:
    """Rows, means, comparisons, the paper's and both at equal accuracy, in booktabs, every line with all columns."""
    text = to_latex(made_up({"name": r"50 % \ more_or_less"}))
    assert r"\caption{50 \% \textbackslash{} more\_or\_less. Data set cifar10" in text
    assert [text.count(rf"\{rule}") for rule in ("toprule", "midrule", "bottomrule")] == [6, 6, 6]
    assert "policy_gradient" not in text
    rows = [line for line in text.splitlines() if line.startswith(r"{cross\_entropy} & {")]
    assert len(rows) == 4
    assert {line.count(" & ") for line in rows} == {7}
