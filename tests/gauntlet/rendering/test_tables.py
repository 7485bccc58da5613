"""The report for a spreadsheet (CSV) and for a paper (LaTeX)."""

import csv
import io
import re

import pytest

from gauntlet.rendering.csv import images_to_csv, to_csv
from gauntlet.rendering.latex import escape, to_latex
from gauntlet.resources import AttackedImage, ImageResult
from gauntlet.results.doubts import Doubt
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
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


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\uff1d", "  ="])
def test_a_cell_is_no_formula(start: str) -> None:
    """Text that a spreadsheet would compute is quoted; negative numbers stay numbers."""
    report = made_up()
    row = report.rows[0].model_copy(update={"objective": f"{start}HYPERLINK(1)", "seed": -1})
    (line, *_) = csv.DictReader(io.StringIO(to_csv(report.model_copy(update={"rows": (row,)}))))
    assert (line["objective"], line["seed"]) == (f"'{start}HYPERLINK(1)", "-1")


def test_an_images_classes_are_no_formulas() -> None:
    """A folder may be called anything; what is in doubt about the evaluation stands in every line."""
    spec = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "8/255"}]})
    attacked = {"fgsm@8/255": AttackedImage(robust=False, predicted="@x", broken_by="fgsm")}
    image = ImageResult(position=3, label="=1+1", natural="=1+1", attacks=attacked)
    doubt = Doubt(kind="random_output", severity="warning", sentence="…")
    (line,) = csv.DictReader(io.StringIO("".join(images_to_csv(spec, [[], [image]], [doubt]))))
    assert line == {
        "position": "3",
        "label": "'=1+1",
        "natural": "'=1+1",
        "fgsm@8/255 robust": "0",
        "fgsm@8/255 predicted": "'@x",
        "fgsm@8/255 broken_by": "fgsm",
        "doubts": "random_output",
    }


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
    """Rows and means in two tables each, comparisons, the paper's and both at equal accuracy, every line whole."""
    text = to_latex(made_up({"name": r"50 % \ more_or_less"}))
    assert r"\paragraph{50 \% \textbackslash{} more\_or\_less.} Under the worst of FGSM and AutoAttack" in text
    assert "Data set cifar10" in text
    assert [text.count(rf"\{rule}") for rule in ("toprule", "midrule", "bottomrule")] == [8, 8, 8]
    for table in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        aligned, body = table
        lines = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert {line.count(" & ") + 1 for line in lines} == {len(aligned)}


def test_latex_marks_what_is_in_doubt() -> None:
    """In the row, and as a list of reasons."""
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="100 % & more.")
    rows = [row.model_copy(update={"doubts": (doubt,)}) for row in made_up().rows]
    text = to_latex(made_up(rows=rows))
    assert text.count("{in doubt: masked gradients}") == 6
    assert r"\item {}cross-entropy, seeds 0, 1, 2, epoch 12; " in text
    assert r"100 \% \& more." in text


def test_csv_says_what_is_in_doubt() -> None:
    """Every line of a row has its verdict and the kinds of its doubts."""
    doubts = [Doubt(kind=kind, severity="warning", sentence="…") for kind in ("masked_gradients", "random_output")]
    row = made_up().rows[0].model_copy(update={"masking": "SUSPECT", "doubts": tuple(doubts)})
    lines = list(csv.DictReader(io.StringIO(to_csv(made_up(rows=[row])))))
    assert {(line["masking"], line["doubts"]) for line in lines} == {("SUSPECT", "masked_gradients random_output")}
    assert {(line["masking"], line["doubts"]) for line in csv.DictReader(io.StringIO(to_csv(made_up())))} == {("", "")}
