import numpy as np

from gauntlet.envs.passes import ShuffledPasses


def test_each_pass_shows_every_position_once_in_another_order() -> None:
    """However it is cut into pieces, the stream is one permutation after another; in a piece the older pass is last."""
    passes = ShuffledPasses(7, np.random.default_rng(0))
    whole = np.stack([passes.take(7) for _ in range(3)])
    assert [sorted(part) for part in whole.tolist()] == [list(range(7))] * 3
    assert len({tuple(part) for part in whole.tolist()}) == 3
    cut = ShuffledPasses(7, np.random.default_rng(0))
    first, second, third = (part.tolist() for part in whole)
    assert [cut.take(count).tolist() for count in (1, 5, 3, 10, 2)] == [
        first[:1],
        first[1:6],
        second[:2] + first[6:],
        third[:5] + second[2:],
        third[5:],
    ]


def test_what_is_put_back_comes_at_the_end_of_its_pass() -> None:
    passes = ShuffledPasses(5, np.random.default_rng(0))
    skipped, *_ = taken = [int(passes.take(1)[0]) for _ in range(2)]
    passes.put_back(np.array([skipped]))
    rest = [int(passes.take(1)[0]) for _ in range(4)]
    assert rest[-1] == skipped
    assert sorted({*taken, *rest}) == list(range(5))
