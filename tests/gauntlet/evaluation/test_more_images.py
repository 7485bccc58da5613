"""An evaluation of more images goes on from one of fewer."""

import itertools

import pytest
from torch import nn

from gauntlet.data.datasets import Dataset
from gauntlet.evaluation import sweep
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import TrainingState
from tests.gauntlet.evaluation.test_loop import AUTO, FGSM, PARTS, flags, run, spec
from tests.gauntlet.examples import CPU, network_with

pytestmark = pytest.mark.usefixtures("brief")


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SEGMENT", 6)


@pytest.fixture(scope="module")
def wholes(brief: None, trained: TrainingState, digits: Dataset) -> list[list[BatchAttacked]]:  # noqa: ARG001  # as it is brief
    """The same of 6, 12 and 15 images in short segments."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sweep, "SEGMENT", 6)
        model = network_with(trained)
        return [run(model, digits.test, spec(FGSM, AUTO, samples=samples)) for samples in (6, 12, 15)]


def test_more_images_change_nothing_about_the_first(wholes: list[list[BatchAttacked]]) -> None:
    """What 12 images show of themselves is a part of what 15 show, and what 6 do of what 12 do."""
    for fewer, more in itertools.pairwise(wholes):
        for stage in ("natural", "fgsm@32/255", *PARTS):
            assert flags(fewer, stage).items() <= flags(more, stage).items()
    numbers = [(batch.stage, batch.batch) for batch in wholes[-1]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.usefixtures("short_segments")
def test_what_is_known_of_the_first_images_is_not_computed_again(
    model: nn.Module, digits: Dataset, wholes: list[list[BatchAttacked]]
) -> None:
    """An evaluation of 15 images that knows one of 12 yields the whole, and shows the model only the other three."""
    _, first, whole = wholes
    seen = set()
    events = evaluate(model, digits.test, spec(FGSM, AUTO, samples=15), 10, device=CPU, known=first)
    # The model was looked at.
    model.register_forward_pre_hook(lambda _, inputs: seen.add(len(inputs[0])))
    extended = list(events)
    assert extended == whole
    assert max(seen) <= 3
    assert extended[-1].completed == extended[-1].total


@pytest.mark.usefixtures("short_segments")
def test_what_is_left_is_expected_to_fall_as_the_first_segment_did(
    model: nn.Module, digits: Dataset, wholes: list[list[BatchAttacked]]
) -> None:
    """Of 15 images in segments of 6, 6 and 3: a bound within the first; then what the first took, for each image of one
    that has not begun, and the bound of the one that has. What was known or done before counts as what is done now.
    """
    _, first, whole = wholes
    asked = spec(FGSM, AUTO, samples=15)

    def left(done: list[BatchAttacked], known: list[BatchAttacked]) -> float:
        return evaluate(model, digits.test, asked, 10, device=CPU, done=done, known=known).left()

    passes = evaluate(model, digits.test, asked, 10, device=CPU).passes
    total = whole[0].total
    ends = [max(place for place, batch in enumerate(whole) if batch.images[0] < end) + 1 for end in (6, 12, 15)]
    taken = sum(passes(batch) for batch in whole[: ends[0]])
    assert taken < total * 6 / 15
    expected = {0: total, ends[0] - 1: total - whole[ends[0] - 2].completed, ends[0]: taken / 6 * 9, ends[2]: 0.0}
    within = ends[0] + 2
    expected[within] = total * 12 / 15 - whole[within - 1].completed + taken / 6 * 3
    expected[ends[2] - 1] = total - whole[ends[2] - 2].completed
    for done, passes_left in expected.items():
        assert left(whole[:done], []) == pytest.approx(passes_left)
    of_two = sum(passes(batch) for batch in whole[: ends[1]])
    assert left([], first) == left(whole[: ends[1]], first) == pytest.approx(of_two / 12 * 3)
