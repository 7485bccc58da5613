"""What a user asks for: one frozen `ExperimentSpec`, from the request body to the checkpoint's header.

What it chooses among is in modules beside this one. Defaults are
those of the paper (arXiv 2012.04353) where it states a value; docs/experiments.md says what was measured where it does
not.
"""

from collections.abc import Hashable, Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from gauntlet.spec.evaluations.evaluation import ExperimentEvaluationSpec
from gauntlet.spec.evaluations.protocols import without_attacks
from gauntlet.spec.kinds import DatasetSpec, Spec, faulty_fields, fit_of
from gauntlet.spec.presets import PRESETS, overlay
from gauntlet.spec.reading.lists import Listed, refuse_duplicates
from gauntlet.spec.reading.texts import Label
from gauntlet.spec.runs.adversaries import AdversarySpec
from gauntlet.spec.runs.architectures import ArchitectureSpec, Cnn, require_size
from gauntlet.spec.runs.fitting import refuse_unfit
from gauntlet.spec.runs.normalisation import Normalisation, refuse_normalisation
from gauntlet.spec.runs.objective_labels import objective_labels, objective_title
from gauntlet.spec.runs.objectives import AgentSpec, LossSpec, ObjectiveSpec
from gauntlet.spec.runs.training import TrainingSpec
from gauntlet.spec.sweeps import Sweep, Trial, in_words
from gauntlet.spec.trials import as_spec, combinations

MAX_RUNS = 1_000
MAX_SEED = 2**63 - 1

# No Literal: true is equal to 1.
SpecVersion = Annotated[int, Field(ge=1, le=1)]
# Not told where there is none, so that a spec of before is the same text.
NormalisationSpec = Annotated[
    Normalisation | None,
    Field(
        exclude_if=lambda normalisation: normalisation is None,
        description="What is done to images in front of the network, as a part of the model; null: nothing.",
    ),
]


class RunSpec(Spec):
    """One training: what an experiment expands to, and what a checkpoint remembers of its origin."""

    version: SpecVersion = 1
    dataset: DatasetSpec
    architecture: ArchitectureSpec
    normalisation: NormalisationSpec = None
    objective: ObjectiveSpec
    adversary: AdversarySpec
    training: TrainingSpec
    evaluation: ExperimentEvaluationSpec
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]

    @property
    def loss(self) -> LossSpec:
        """The objective of a run that descends a loss.

        Raises:
            TypeError: it is an agent.
        """
        if isinstance(self.objective, AgentSpec):
            raise TypeError(f"The objective {self.objective.kind} is an agent and no loss.")
        return self.objective

    @model_validator(mode="after")
    def _images_are_not_too_large(self) -> Self:
        require_size(self.architecture, self.dataset.image_shape, ("dataset", "image_size"))
        return self

    @model_validator(mode="after")
    def _normalises_every_channel(self) -> Self:
        refuse_normalisation(self.normalisation, self.dataset.image_shape)
        return self

    @model_validator(mode="after")
    def _fit_for_an_agent(self) -> Self:
        refuse_unfit([self.objective], self.adversary, self.training, self.architecture)
        return self


class Planned(NamedTuple):
    """A run that an experiment asks for: what it is called beside its seed, and which trial of a sweep it is of."""

    label: str
    run: RunSpec
    trial: Trial | None = None


def _preset_or_whole(schema: JsonDict) -> None:
    required = schema.pop("required", [])
    schema["anyOf"] = [{"required": ["preset"]}, {"required": required}]


def _no_objective_twice(objectives: tuple[ObjectiveSpec, ...]) -> tuple[ObjectiveSpec, ...]:
    refuse_duplicates("objectives", objective_labels(objectives))
    return objectives


_UNLIKE_FGSM = (
    "FGSM accuracy is measured at each trial's own adversary.eps and norm, on images as it reads them. Take a grid and "
    "the metric accuracy, and compare what the evaluation's attacks leave: of natural accuracy, too, the smallest "
    "budget has most."
)


def _attacked_by_fgsm(run: RunSpec) -> Hashable:
    """What must be equal for FGSM accuracies after epochs to be compared; the test images are the same pictures."""
    return run.adversary.norm, run.adversary.eps, run.dataset.image_shape, fit_of(run.dataset)


class ExperimentSpec(Spec):
    """A comparison: objectives × seeds, everything else equal.

    `preset` is a shorthand of the request: it is expanded while the spec is read, so a stored spec says everything
    itself and a later change of a preset cannot change a past experiment.
    """

    model_config = ConfigDict(json_schema_extra=_preset_or_whole)

    version: SpecVersion = 1
    preset: Literal["paper", "paper_sampled", "quickstart", "wong2020", "madry", "trades"] | None = Field(
        default=None, exclude=True
    )
    name: Label = "experiment"
    dataset: DatasetSpec
    architecture: ArchitectureSpec = Cnn()
    normalisation: NormalisationSpec = None
    objectives: Annotated[tuple[ObjectiveSpec, ...], Listed(1, 100), AfterValidator(_no_objective_twice)]
    adversary: AdversarySpec
    training: TrainingSpec = TrainingSpec()
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...], Listed(1, 100, distinct=True)] = (0,)
    evaluation: ExperimentEvaluationSpec = ExperimentEvaluationSpec()
    sweep: Sweep | None = Field(
        default=None, exclude_if=lambda sweep: sweep is None, description="Fields of it that take several values."
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.get("preset") is None:
            return value
        if isinstance(value["preset"], str) and value["preset"] in PRESETS:
            rest = {key: item for key, item in value.items() if key != "preset"}
            preset = PRESETS[value["preset"]]
            asked = without_attacks(preset.get("evaluation", {}), value.get("evaluation"))
            return overlay(preset | {"evaluation": asked}, rest)
        # Over some preset, so that the name is the only fault that is found.
        return overlay(PRESETS["quickstart"], value)

    @model_validator(mode="after")
    def _runs_are_few(self) -> Self:
        trials = 1 if self.sweep is None else self.sweep.most_trials
        if len(self.objectives) * len(self.seeds) * trials > MAX_RUNS:
            what = "objectives × seeds" if self.sweep is None else "objectives × seeds × trials"
            raise ValueError(f"{what} is more than {MAX_RUNS} runs")
        return self

    @model_validator(mode="after")
    def _halving_compares_single_runs(self) -> Self:
        if self.sweep is not None and self.sweep.method == "asha" and len(self.seeds) > 1:
            raise ValueError(
                "a sweep by asha compares single runs: give one seed, and train what it selects over several afterwards"
            )
        return self

    @model_validator(mode="after")
    def _images_are_not_too_large(self) -> Self:
        require_size(self.architecture, self.dataset.image_shape, ("dataset", "image_size"))
        return self

    @model_validator(mode="after")
    def _normalises_every_channel(self) -> Self:
        refuse_normalisation(self.normalisation, self.dataset.image_shape)
        return self

    @model_validator(mode="after")
    def _fit_for_agents(self) -> Self:
        refuse_unfit(self.objectives, self.adversary, self.training, self.architecture)
        return self

    @model_validator(mode="after")
    def _images_remain_to_train_on(self) -> Self:
        samples = self.dataset.train_samples
        if samples is not None and self.evaluation.held_out(samples) >= samples:
            raise ValueError(
                f"none of the dataset's train_samples ({samples}) is left to train on: "
                f"evaluation holds out {self.evaluation.held_out(samples)} for validation"
            )
        return self

    def objective_labels(self) -> tuple[str, ...]:
        """One name per objective (`gauntlet.spec.runs.objective_labels`)."""
        return objective_labels(self.objectives)

    def runs(self) -> tuple[tuple[str, RunSpec], ...]:
        """The runs in order, each with what it is called; without a sweep by its objective's label."""
        return tuple((planned.label, planned.run) for planned in self.planned())

    def planned(self) -> tuple[Planned, ...]:
        """The runs in order: trial by trial, and of each objective by objective.

        Raises:
            ValidationError: values of the sweep come to no spec, or to trials that its metric cannot rank.
        """
        if self.sweep is None:
            return tuple(Planned(label, run) for label, run in self._of_one_trial())
        document = self.model_dump(mode="json", exclude={"sweep"})
        labels = [label for label in self.objective_labels() for _ in self.seeds]
        planned = tuple(
            Planned(
                f"{objective_title(objective)}, {in_words(combination.values)}",
                run,
                Trial(number=combination.number, objective=objective, values=combination.values),
            )
            for combination in combinations(document, self.sweep)
            for objective, (_, run) in zip(labels, as_spec(combination, ExperimentSpec).runs(), strict=True)
        )
        if self.sweep.metric == "fgsm_accuracy" and len({_attacked_by_fgsm(each.run) for each in planned}) > 1:
            raise faulty_fields([(("sweep", "metric"), self.sweep.metric, _UNLIKE_FGSM)])
        return planned

    def _of_one_trial(self) -> tuple[tuple[str, RunSpec], ...]:
        """Objective by objective, each with its label."""
        # What they share has been checked, and each objective with it: checking a thousand runs again takes seconds.
        first = RunSpec(
            dataset=self.dataset,
            architecture=self.architecture,
            normalisation=self.normalisation,
            objective=self.objectives[0],
            adversary=self.adversary,
            training=self.training,
            evaluation=self.evaluation,
            seed=self.seeds[0],
        )
        return tuple(
            (label, first.model_copy(update={"objective": objective, "seed": seed}))
            for label, objective in zip(self.objective_labels(), self.objectives, strict=True)
            for seed in self.seeds
        )
