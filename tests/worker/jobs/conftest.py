"""A claimed run for tests of what becomes of it."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue import jobs
from store.queue.jobs import Claim
from store.subjects import experiments


@pytest.fixture
def held(database: Database, tiny_spec: ExperimentSpec) -> Claim:
    """A claimed run."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, tiny_spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    return held
