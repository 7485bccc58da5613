"""Gauntlet as a library: adversarial training, attacks, evaluations and reports, without a server.

>>> import gauntlet
>>> spec = gauntlet.ExperimentSpec.model_validate({"preset": "quickstart"})

What is promised is here, in `gauntlet.errors`, `gauntlet.client` and `gauntlet.envs`, and on the page docs/library.md;
everything else may change in any version. A name is loaded when it is first used, so importing this package loads
neither torch nor anything heavy.

`spec`, `results`, `report`, `rendering` and `resources` stay torch-free, so the API and the client can use them. Which
package may import which is in pyproject.toml.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gauntlet.errors import GauntletError

if TYPE_CHECKING:
    from gauntlet.attacks.called import fgsm, pgd
    from gauntlet.data.datasets import Dataset, digest, load_dataset, load_split
    from gauntlet.data.image_sets import ImageSet
    from gauntlet.evaluation.loop import evaluate
    from gauntlet.events import (
        BatchAttacked,
        BatchFinished,
        CheckpointReady,
        EpochFinished,
        Resumed,
        StateReady,
        TrainingEvent,
        Warned,
    )
    from gauntlet.models.architectures import build_model
    from gauntlet.models.checkpoints import (
        LoadedModel,
        TrainingState,
        build_loaded,
        encode_training_state,
        encode_weights,
        load_model,
        load_training_state,
    )
    from gauntlet.rendering import draw, render
    from gauntlet.rendering.elsewhere import render_elsewhere
    from gauntlet.report.report import Report, assemble
    from gauntlet.report.report_row import ReportRow, report_row
    from gauntlet.results.elsewhere import ElsewhereResult
    from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
    from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
    from gauntlet.spec.evaluations.evaluation import EvaluationSpec
    from gauntlet.spec.experiment import ExperimentSpec, RunSpec
    from gauntlet.training.loop import train

__version__ = "1.0.0"

# Where each name is at home: as above, for what is not there before it is used.
_HOMES = {
    "gauntlet.attacks.called": ("fgsm", "pgd"),
    "gauntlet.data.datasets": ("Dataset", "digest", "load_dataset", "load_split"),
    "gauntlet.data.image_sets": ("ImageSet",),
    "gauntlet.evaluation.loop": ("evaluate",),
    "gauntlet.events": (
        "BatchAttacked",
        "BatchFinished",
        "CheckpointReady",
        "EpochFinished",
        "Resumed",
        "StateReady",
        "TrainingEvent",
        "Warned",
    ),
    "gauntlet.models.architectures": ("build_model",),
    "gauntlet.models.checkpoints": (
        "LoadedModel",
        "TrainingState",
        "build_loaded",
        "encode_training_state",
        "encode_weights",
        "load_model",
        "load_training_state",
    ),
    "gauntlet.rendering": ("draw", "render"),
    "gauntlet.rendering.elsewhere": ("render_elsewhere",),
    "gauntlet.report.report": ("Report", "assemble"),
    "gauntlet.report.report_row": ("ReportRow", "report_row"),
    "gauntlet.results.elsewhere": ("ElsewhereResult",),
    "gauntlet.results.outcome": ("EvaluationOutcome", "Measured", "summarise"),
    "gauntlet.spec.checkpoint_card": ("CheckpointCard", "Trained"),
    "gauntlet.spec.evaluations.evaluation": ("EvaluationSpec",),
    "gauntlet.spec.experiment": ("ExperimentSpec", "RunSpec"),
    "gauntlet.training.loop": ("train",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BatchAttacked",
    "BatchFinished",
    "CheckpointCard",
    "CheckpointReady",
    "Dataset",
    "ElsewhereResult",
    "EpochFinished",
    "EvaluationOutcome",
    "EvaluationSpec",
    "ExperimentSpec",
    "GauntletError",
    "ImageSet",
    "LoadedModel",
    "Measured",
    "Report",
    "ReportRow",
    "Resumed",
    "RunSpec",
    "StateReady",
    "Trained",
    "TrainingEvent",
    "TrainingState",
    "Warned",
    "assemble",
    "build_loaded",
    "build_model",
    "digest",
    "draw",
    "encode_training_state",
    "encode_weights",
    "evaluate",
    "fgsm",
    "load_dataset",
    "load_model",
    "load_split",
    "load_training_state",
    "pgd",
    "render",
    "render_elsewhere",
    "report_row",
    "summarise",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
