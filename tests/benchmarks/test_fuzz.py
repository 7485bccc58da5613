"""A small part of the generated requests that `make fuzz` sends."""

import pytest

from benchmarks.bad_input.fuzz import fuzz
from benchmarks.serving.served import served
from benchmarks.serving.stored import do_an_experiment

pytestmark = [pytest.mark.long(seconds=60), pytest.mark.timeout(900), pytest.mark.thorough]


def test_no_generated_request_finds_a_fault() -> None:
    """A thousand by a reader and a submitter: no 5xx, nothing against the schema, nothing that it does not document."""
    with served() as api:
        do_an_experiment(api.settings)
        found = [
            fuzz(api, "read", examples=5, seed=1, phases=["fuzzing"]),
            fuzz(api, "submit", examples=6, seed=2, phases=["examples", "fuzzing"]),
        ]
    for each in found:
        assert each.failures == [], each.said
        assert each.operations > 40
    assert sum(each.requests for each in found) >= 1_000
