"""Published numbers, and whether an experiment came to them."""

import pytest

from gauntlet.report.columns import columns
from gauntlet.report.compared.reproduction import judge
from gauntlet.report.report import Report
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import PRESETS
from gauntlet.spec.reproductions import REPRODUCTIONS, Claim, Reproduction
from gauntlet.spec.runs.normalisation import Normalisation
from tests.reports import made_up


@pytest.mark.parametrize("preset", REPRODUCTIONS)
def test_every_claim_is_of_something_that_its_preset_measures(preset: str) -> None:
    """Its objective, its selection and its attack are there; it has a source, and a tolerance that means something."""
    spec = ExperimentSpec.model_validate(PRESETS[preset])
    keys = {column.key for column in columns(spec.evaluation)} | {"natural"}
    for claim in REPRODUCTIONS[preset].claims:
        assert claim.objective in spec.objective_labels()
        assert claim.selection in spec.evaluation.select
        assert claim.accuracy in keys
        assert claim.source
        assert 0 < claim.tolerance <= 0.03
    assert "stimated" in REPRODUCTIONS[preset].cost


def test_the_presets_train_as_their_sources_say() -> None:
    """Wong et al.: step 10/255, one cycle to 0.2 and back in 15 epochs. MAIR: ten steps of 2/255, a tenth twice.

    Both normalise, each with its own numbers.
    """
    wong, madry, trades = (ExperimentSpec.model_validate(PRESETS[name]) for name in ("wong2020", "madry", "trades"))
    assert wong.adversary.kind == "fgsm_rs"
    assert wong.adversary.step * wong.adversary.eps * 255 == 10
    assert (wong.training.epochs, wong.training.optimizer.lr, wong.training.schedule.kind) == (15, 0.2, "one_cycle")
    assert madry.adversary.kind == trades.adversary.kind == "pgd"
    assert madry.adversary.step * madry.adversary.eps * 255 == 2
    assert (madry.adversary.loss, trades.adversary.loss) == ("true_label", "divergence")
    assert madry.training == trades.training
    assert wong.normalisation == Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))
    assert madry.normalisation == Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
    assert trades.normalisation == madry.normalisation


def claim(value: float, tolerance: float, accuracy: str = "natural", objective: str = "cross_entropy") -> Claim:
    fields = {"objective": objective, "selection": REPORT.rows[0].selection, "accuracy": accuracy}
    return Claim.model_validate(fields | {"value": value, "tolerance": tolerance, "source": "x"})


REPORT: Report = made_up()


def test_a_number_passes_within_its_tolerance() -> None:
    """The mean over seeds, with exactly the tolerance still within; one that was not measured is open."""
    own = [row for row in REPORT.rows if row.objective == "cross_entropy" and row.selection == REPORT.rows[0].selection]
    mean = sum(row.natural_accuracy for row in own) / len(own)
    attack = next(iter(own[0].accuracies))
    attacked = sum(row.accuracies[attack] for row in own) / len(own)
    claims = (
        claim(mean + 0.01, 0.01),
        claim(mean - 0.0101, 0.01),
        claim(attacked, 0.001, attack),
        claim(0.5, 0.01, "no-such@8/255"),
        claim(0.5, 0.01, objective="trades"),
    )
    judged = judge(REPORT, Reproduction(claims=claims, cost=""))
    assert [each.verdict for each in judged] == ["pass", "fail", "pass", "open", "open"]
    assert judged[0].ours == pytest.approx(mean)
    assert (judged[0].seeds, judged[0].n) == (len(own), own[0].n)
    assert (judged[3].ours, judged[3].seeds, judged[3].n) == (None, 0, 0)
