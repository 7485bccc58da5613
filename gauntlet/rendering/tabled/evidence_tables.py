"""The tables that say what the accuracies rest on: checks for masked gradients, protocols, classes, cost."""

from gauntlet.rendering.tables import Cell, Table, numbers, whose, words
from gauntlet.report.numbers import NOTHING
from gauntlet.report.report import Report, RunCost
from gauntlet.report.report_row import ReportRow
from gauntlet.results.masking_checks import Check
from gauntlet.spec.evaluations.attack_titles import attack_heading
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.runs.objective_labels import objective_title

_MOST_CLASS_COLUMNS = 8


def masking_table(report: Report) -> Table | None:
    """For each row that was checked for masked gradients and each check: whose, the verdict, what was seen."""
    checked = [
        (row, row.masking, check)
        for row in report.rows
        if row.outcome.masking is not None
        for check in row.outcome.masking.checks
    ]

    def line(found: tuple[ReportRow, str | None, Check]) -> list[Cell]:
        row, verdict, check = found
        said = (verdict or "", check.name.replace("_", " "), check.result.replace("_", " "), check.sentence)
        return [*whose(row), *map(Cell, said)]

    columns = words("objective", "seed", "checkpoint", "verdict", "check", "result", "what was seen")
    return Table.of(columns, checked, line) if checked else None


def protocol_table(report: Report) -> Table:
    """For each attack how it was measured: images, and the protocol's id; several where rows were measured unlike."""
    measured = {
        attack_label(attack): (
            attack_heading(attack),
            {(row.outcome.attacks[place].protocol.n, row.outcome.attacks[place].protocol.id) for row in report.rows},
        )
        for place, attack in enumerate(report.spec.evaluation.attacks)
    }
    natural = {(row.outcome.natural_protocol.n, row.outcome.natural_protocol.id) for row in report.rows}
    protocols = [
        (label, heading, n, identifier)
        for label, (heading, found) in {"natural": ("natural", natural), **measured}.items()
        for n, identifier in sorted(found)
    ]

    def line(protocol: tuple[str, str, int, str]) -> list[Cell]:
        label, heading, n, identifier = protocol
        return [Cell(heading), Cell(label), Cell(identifier), Cell(f"{n:,}")]

    return Table.of([*words("accuracy", "in JSON and CSV", "protocol"), *numbers("images")], protocols, line)


def class_table(report: Report, row: ReportRow) -> Table | None:
    """For each class of a row's test images how many there are, and the share taken for it, natural and attacked.

    Of very many attacks those at the budget are shown at which objectives are compared.
    """
    attacks = [found.attack for found in row.outcome.attacks]
    if len(attacks) > _MOST_CLASS_COLUMNS:
        attacks = report.compared_attacks()[:_MOST_CLASS_COLUMNS]
    by_attack = {attack_label(found.attack): found.confusion for found in row.outcome.attacks}
    counted = [row.outcome.confusion, *(by_attack[attack_label(attack)] for attack in attacks)]
    known = [confusion for confusion in counted if confusion is not None]
    if len(known) < len(counted):
        return None
    classes = [place for place in range(len(row.outcome.classes)) if sum(known[0][place])]

    def line(place: int) -> list[Cell]:
        n = sum(known[0][place])
        shares = [f"{100 * confusion[place][place] / n:.1f}" for confusion in known]
        return [Cell(row.outcome.classes[place]), Cell(str(n)), *map(Cell, shares)]

    return Table.of([*words("class"), *numbers("n", "natural", *map(attack_heading, attacks))], classes, line)


def cost_table(report: Report) -> Table:
    """For each run: whose, where, and the seconds of its training and evaluation."""

    def line(cost: RunCost) -> list[Cell]:
        seconds = (f"{cost.training_seconds:,.1f}", f"{cost.evaluation_seconds:,.1f}")
        return [Cell(objective_title(cost.objective)), *map(Cell, (str(cost.seed), cost.device or NOTHING, *seconds))]

    columns = [*words("objective", "seed", "device"), *numbers("training, s", "evaluation, s")]
    return Table.of(columns, report.costs, line)
