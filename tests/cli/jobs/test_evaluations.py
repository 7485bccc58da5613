"""The commands that attack checkpoints and compare them, against a running service without a worker."""

import json
from typing import Any

import pytest

from gauntlet.results.finding import Finding
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.subjects import checkpoints, evaluations
from tests.e2e.system import System
from tests.evaluations import batch, begun, finished, imported, queued, recorded
from tests.store.recorded import train_and_evaluate


def stored(system: System, database: Database, name: str) -> str:
    """A checkpoint whose file is there."""
    file = system.home / "checkpoints" / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return imported(database, name, path=name)


def test_every_attack_meets_every_budget(gauntlet: Any, system: System, database: Database) -> None:
    """The id is printed, and the list says how far each attack is, then what it leaves."""
    checkpoint = stored(system, database, "swept")
    options = ["--attack", "fgsm", "--attack", "pgd", "--eps", "4/255", "--eps", "8/255", "--samples", "4"]
    identifier = gauntlet("evaluate", checkpoint, *options).output.strip()
    evaluation = system.client.evaluation(identifier)
    labels = ["fgsm@4/255", "fgsm@8/255", "pgd@4/255", "pgd@8/255"]
    assert [attack.label for attack in evaluation.attacks] == labels
    (row,) = gauntlet("evaluations", checkpoint).output.splitlines()[1:]
    for told in (identifier, checkpoint, "swept", "digits", "queued", "pgd@8/255: 0/4"):
        assert told in row
    assert json.loads(gauntlet("evaluations", checkpoint, "--json").output)[0]["dataset"] == "digits"
    finished(database, identifier, natural=4, robust=1)
    assert "pgd@8/255: 25.0" in gauntlet("evaluations").output
    assert [image.attacks["fgsm@4/255"].robust for image in system.client.images(identifier)] == [True] + 3 * [False]
    assert len(system.client.images_csv(identifier).splitlines()) == 5


def test_an_experiment_without_measurements_is_not_extended(gauntlet: Any, system: System) -> None:
    """Only what has been measured is measured on more images."""
    experiment = system.client.submit({"preset": "quickstart"})
    refused = gauntlet("extend", experiment.id, "100")
    assert (refused.exit_code, "has been measured yet" in refused.output) == (1, True)
    assert list(system.client.evaluations(experiment=experiment.id)) == []


@pytest.mark.parametrize(
    ("there", "asked", "told"),
    [
        (16, ["1", "16"], "SAMPLES: The report is on 16 test images already; ask for more of them."),
        (4, ["4", "100"], "The report is on all 4 test images that there are."),
    ],
)
def test_what_would_extend_nothing_is_refused(
    gauntlet: Any,
    system: System,
    database: Database,
    tiny_spec: ExperimentSpec,
    there: int,
    asked: list[str],
    told: str,
) -> None:
    """No more images than are measured, or than there are: nothing is queued, and why is told."""
    experiment, held = train_and_evaluate(database, tiny_spec)
    for stage in ("natural", "fgsm@8/255"):
        recorded(database, held, batch(stage, 0, range(there), [0] * there))
    with database.writing() as session:
        evaluations.complete(session, held)
    for samples in asked:
        refused = gauntlet("extend", experiment, samples)
        assert (refused.exit_code, refused.output.strip()) == (1, told)
    (only,) = system.client.evaluations(experiment=experiment)
    assert [each.id for each in system.client.evaluations(checkpoint=only.checkpoint)] == [held.id]
    if there == 16:
        with database.reading() as session:
            file = system.home / "checkpoints" / checkpoints.get(session, only.checkpoint).path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        assert gauntlet("extend", experiment, "17").output.startswith("eval_")


def test_the_leaderboard_is_printed(gauntlet: Any, database: Database) -> None:
    """Ids are whole on a narrow terminal too."""
    checkpoints = [imported(database, name) for name in ("lower", "higher")]
    for robust, checkpoint in enumerate(checkpoints, 1):
        finished(database, queued(database, checkpoint), natural=4, robust=robust)
    lines = gauntlet("leaderboard", "--attack", "fgsm").output.splitlines()
    places = [next(i for i, line in enumerate(lines) if checkpoint in line) for checkpoint in checkpoints]
    assert places[1] < places[0]
    assert "50.0 (15.0 to 85.0)" in lines[places[1]]
    assert "digits, FGSM at ε = 8/255 (L∞), 4 images" in lines[places[1]]


def test_a_transfer_matrix_is_queued_and_shown(gauntlet: Any, system: System, database: Database) -> None:
    """One id per checkpoint, and a matrix that fills as they end."""
    pair = [stored(system, database, name) for name in ("one", "two")]
    options = ["--eps", "4/255", "--samples", "4", "--batch-size", "4"]
    first, second = gauntlet("transfer", *pair, *options).output.split()
    finished(database, first, natural=4, robust=1)
    shown = gauntlet("transfer", *pair, *options, "--show").output
    assert all(checkpoint in shown for checkpoint in pair)
    assert shown.count("25.0") == shown.count("–") == 2
    queued_for = [next(iter(system.client.evaluations(checkpoint=each))).id for each in pair]
    assert sorted(queued_for) == sorted([first, second])


def test_a_refused_evaluation_is_told_in_a_sentence(gauntlet: Any, database: Database) -> None:
    """The option and the fault, once, and exit status 1."""
    for checkpoint, why in (
        ("ckpt_none", "There is no checkpoint"),
        (imported(database, "gone"), "CHECKPOINT: The weights"),
    ):
        refused = gauntlet("evaluate", checkpoint, "--attack", "fgsm", "--eps", "8/255")
        assert (refused.exit_code, why in refused.output) == (1, True)
    options = ["--attack", "fgsm", "--attack", "pgd", "--eps", "8", "--samples", "0"]
    refused = gauntlet("evaluate", imported(database, "refused"), *options)
    assert refused.exit_code == 1
    assert sorted(refused.output.splitlines()) == [
        "--eps: eps must lie in [0, 1] under Linf, the range of a pixel; did you mean 8/255?",
        "--samples: This must be at least 1, not 0.",
    ]


def doubtful(database: Database, name: str) -> tuple[str, str]:
    """A checkpoint and its ended evaluation, which found something wrong with the model."""
    checkpoint = imported(database, name)
    evaluation = queued(database, checkpoint)
    held = begun(database, evaluation)
    for stage in ("natural", "fgsm@8/255"):
        recorded(database, held, batch(stage, 0, range(4), [0, 1, 2, 3]))
    finding = Finding(kind="probabilities", severity="warning", message="The model gives probabilities, not logits.")
    with database.writing() as session:
        evaluations.complete(session, held, [finding])
    return checkpoint, evaluation


def test_what_is_wrong_with_a_model_stands_beside_its_numbers(gauntlet: Any, database: Database) -> None:
    """Where an evaluation is watched, shown and listed, and on the leaderboard."""
    checkpoint, evaluation = doubtful(database, "softmax")
    for command in (["watch", evaluation], ["show", evaluation]):
        shown = gauntlet(*command)
        assert shown.exit_code == 0
        assert "! The model gives probabilities, not logits." in shown.output
        assert any(
            line.split() == ["FGSM", "8/255", "100.0", "51.0", "to", "100.0"] for line in shown.output.splitlines()
        )
    for listing in (["evaluations", checkpoint], ["leaderboard"]):
        (row,) = (line for line in gauntlet(*listing).output.splitlines() if checkpoint in line)
        assert "in doubt: probabilities" in row


def test_a_failed_evaluation_ends_watching_with_1(gauntlet: Any, system: System, database: Database) -> None:
    """And says why; another that succeeded is shown all the same."""
    cancelled = queued(database, imported(database, "cancelled"))
    system.client.cancel_evaluation(cancelled)
    _, succeeded = doubtful(database, "succeeded")
    watched = gauntlet("watch", cancelled, succeeded)
    assert watched.exit_code == 1
    assert f"{cancelled} cancelled: user" in watched.output
    assert "100.0" in watched.output
