"""Cells put together to a matrix."""

from fractions import Fraction

from gauntlet.report.compared.transfers import Transferred, transfer_matrix
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.results.protocol import Protocol
from gauntlet.spec.evaluations.attacks import Transfer

ONE, TWO = "ckpt_1", "ckpt_2"


def cell(source: str, target: str, right: int, *, seed: int = 0) -> Transferred:
    """Of ten images so many stay right; another seed is another protocol."""
    attack = Transfer(source=source, eps=Fraction(8, 255))
    protocol = Protocol(
        dataset="digits",
        dataset_sha256="d" * 64,
        n=10,
        attack=attack,
        implementation="ours",
        batch_size=5,
        seed=seed,
    )
    return Transferred(attack, target, protocol, Accuracy.of(right, 10))


def test_a_row_is_a_source_and_a_column_a_target() -> None:
    """None where nothing was measured; of two of one protocol and place the first counts, and other pairs do not."""
    cells = [cell(ONE, TWO, 3), cell(ONE, ONE, 1), cell(ONE, TWO, 9), cell("ckpt_3", ONE, 8)]
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="One sign.")
    found = transfer_matrix((ONE, TWO), cells, {TWO: (doubt,)})
    assert (found.sources, found.targets) == ((ONE, TWO), (ONE, TWO))
    assert found.cells == ((Accuracy.of(1, 10), Accuracy.of(3, 10)), (None, None))
    assert found.protocol == cells[0].protocol
    assert found.doubts == {TWO: (doubt,)}


def test_cells_of_one_protocol_alone_stand_together() -> None:
    """That which fills most, whatever is preferred; of those that fill as many the preferred one."""
    two, one = [cell(ONE, TWO, 4), cell(TWO, ONE, 5)], [cell(ONE, TWO, 7, seed=1)]
    found = transfer_matrix((ONE, TWO), [*one, *two], {})
    assert found.cells == ((None, Accuracy.of(4, 10)), (Accuracy.of(5, 10), None))
    found = transfer_matrix((ONE, TWO), [*one, two[0]], {})
    assert found.cells == ((None, Accuracy.of(7, 10)), (None, None))
    assert found.protocol == one[0].protocol


def test_where_nothing_was_measured_there_is_no_protocol() -> None:
    """The matrix is there, and empty."""
    found = transfer_matrix((ONE, TWO), [], {})
    assert (found.protocol, found.cells, found.doubts) == (None, ((None, None), (None, None)), {})
