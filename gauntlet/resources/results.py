"""Results that were measured elsewhere."""

from datetime import datetime
from typing import Literal

from gauntlet.resources.base import Resource
from gauntlet.results.doubts import Doubt
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


class Result(Resource):
    """What somebody measured with the library and brought; `doubts` begin with that, and it is ranked nowhere."""

    id: str
    object: Literal["result"] = "result"
    created_at: datetime
    owner: str | None
    name: str
    source: str
    measured: Literal["elsewhere"] = "elsewhere"
    spec: EvaluationSpec
    outcome: EvaluationOutcome
    doubts: tuple[Doubt, ...]
