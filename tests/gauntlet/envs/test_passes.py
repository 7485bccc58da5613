import numpy as np

from gauntlet.envs.passes import ShuffledPasses


def test_each_pass_shows_every_position_once_in_another_order() -> None:
    """However it is cut into pieces, the stream is one permutation after another."""
    whole = ShuffledPasses(7, np.random.default_rng(0)).take(21).reshape(3, 7)
    assert [sorted(part) for part in whole.tolist()] == [list(range(7))] * 3
    assert len({tuple(part) for part in whole.tolist()}) == 3
    cut = ShuffledPasses(7, np.random.default_rng(0))
    assert np.concatenate([cut.take(count) for count in (1, 5, 3, 10, 2)]).tolist() == whole.flatten().tolist()
