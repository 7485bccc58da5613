import torch
from hypothesis import given
from hypothesis import strategies as st

from gauntlet import seeding
from gauntlet.spec.experiment import MAX_SEED


def test_derived_seeds_never_change() -> None:
    """The derivation is part of the format: a run resumed by a later version sees the same numbers."""
    assert seeding.derive(0, "order", 1) == 4_672_741_961_019_256_271
    assert seeding.derive(7, "dropout", 2, 3) == 3_462_037_126_399_384_126


@given(st.integers(0, MAX_SEED), st.text(max_size=20), st.lists(st.integers(0, 10**9), max_size=3))
def test_a_derived_seed_is_one_that_torch_takes(seed: int, purpose: str, position: list[int]) -> None:
    """Whatever it derives from, the seed has 63 bits."""
    derived = seeding.derive(seed, purpose, *position)
    assert 0 <= derived < 2**63
    torch.Generator().manual_seed(derived)


def test_every_part_of_the_path_counts() -> None:
    """Another seed, purpose, epoch or batch gives other numbers, also where the digits run together."""
    paths = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", 1, 1), (0, "a", 11), (0, "a", 2, 1), (0, "a", 1, 2)]
    assert len({seeding.derive(*path) for path in paths}) == len(paths)


def test_a_generator_starts_where_its_path_says() -> None:
    """Two generators of one path draw the same numbers, and the global state is not involved."""
    before = torch.get_rng_state()
    first = torch.rand(4, generator=seeding.generator("cpu", 3, "actions", 1, 2))
    again = torch.rand(4, generator=seeding.generator("cpu", 3, "actions", 1, 2))
    other = torch.rand(4, generator=seeding.generator("cpu", 3, "actions", 1, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
