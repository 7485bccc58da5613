"""Fields of an experiment that take several values: which, how they are chosen, what decides among them. No torch."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed
from gauntlet.spec.reading.texts import Matching, exactly

MOST_TRIALS = 200
SweepMethod = Literal["grid", "random", "asha"]
# As metrics are called that every epoch has, behind the split that they are of.
SweepMetric = Literal["fgsm_accuracy", "accuracy"]

# In how a data set's pictures are read.
READINGS = frozenset({"dataset.image_size", "dataset.fit", "dataset.channels"})

SweptField = Annotated[
    str,
    Field(max_length=200),
    Matching(
        r"^(architecture|normalisation|adversary|training|objectives\.\d{1,2}"
        r"|dataset\.(train_samples|image_size|fit|channels))(\.[a-z_]\w*)*$",
        "This must be a field of what is trained: of architecture, normalisation, adversary, training or objectives.N, "
        "or train_samples, image_size, fit or channels of dataset. Seeds have their own list. Another data set or "
        "evaluation is another experiment: its numbers do not rank with these.",
    ),
]


# Beyond these the distance between two of them is no number.
Bound = Annotated[float, Field(ge=-1e12, le=1e12)]


class Range(Spec):
    """All numbers from `low` to `high`, both included; `whole` ones only, or evenly by their logarithm."""

    low: Bound
    high: Bound
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 where log is on")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high must be whole where whole is on")
        return self


_List = Annotated[tuple[Any, ...], Listed(1, 100)]
_AS_LIST = TypeAdapter[tuple[Any, ...]](_List)


def _told_apart(value: object, as_either: ValidatorFunctionWrapHandler) -> object:
    """Tell what is wrong with a list, or with a range, and not what keeps the one from being the other."""
    match value:
        case Mapping():
            return Range.model_validate(value)
        case list() | tuple():
            return _AS_LIST.validate_python(value)
        case Range():
            return as_either(value)
        case _:
            raise ValueError("this must be a list of values, or a range such as {low: 0.001, high: 0.1, log: true}")


Values = Annotated[_List | Range, WrapValidator(_told_apart)]


class Sweep(Spec):
    """One experiment for several values of some fields: by a grid, at random, or by ASHA, which stops runs early.

    Each combination of values is a trial, which has the experiment's objectives and seeds. `asha` is asynchronous
    successive halving (Li et al. 2020, arXiv 1810.05934): after `min_epochs`, and `reduction` times as many each time
    after that, a run goes on only if it is among the best of those that came so far, one in `reduction`.
    """

    method: SweepMethod = Field(
        default="grid",
        description="`grid` has all combinations, `random` draws `trials` of them (Bergstra & Bengio 2012), and `asha` "
        "draws them likewise and stops early what is not among the best (Li et al. 2020).",
    )
    over: Annotated[dict[SweptField, Values], Field(min_length=1, max_length=10)] = Field(
        description="The fields, such as training.optimizer.lr: a list of values, or {low, high} with log or whole."
    )
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = Field(
        default=None, description="How many are drawn by random and asha; a grid has all combinations."
    )
    metric: SweepMetric = Field(
        default="fgsm_accuracy", description="What trials are ranked by, on the images that evaluation.select_on says."
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(default=0, description="Of what is drawn.")
    min_epochs: Annotated[int, Field(ge=1, le=10_000)] = 1
    reduction: Annotated[int, Field(ge=2, le=10)] = 3

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.method == "grid":
            if any(isinstance(values, Range) for values in self.over.values()):
                raise ValueError("a grid needs lists of values: a range has no end of them; take random or asha")
            if self.trials is not None:
                raise ValueError("a grid has all combinations of its values: leave trials out, or take random")
        elif self.trials is None:
            raise ValueError(f"trials must say how many are drawn by {self.method}")
        if self.most_trials > MOST_TRIALS:
            raise ValueError(f"the grid has {self.most_trials:,} combinations, more than {MOST_TRIALS}")
        return self

    @property
    def most_trials(self) -> int:
        """How many trials there are at most; of a random sweep those that are alike are made once."""
        return self.trials or prod(len(values) for values in self.over.values() if isinstance(values, tuple))

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """After which epochs a run of so many epochs may be stopped."""
        if self.method != "asha":
            return ()
        found, epoch = [], self.min_epochs
        while epoch < epochs:
            found.append(epoch)
            epoch *= self.reduction
        return tuple(found)


class Trial(Spec):
    """One combination of a sweep: its number from 0, the values by field, and what the objective is called without."""

    number: int
    objective: str
    values: dict[str, Any]


def in_words(values: Mapping[str, Any]) -> str:
    """The values as a reader is told them, such as `lr = 0.01, epochs = 20`; by whole fields where names repeat."""
    last = [field.rpartition(".")[2] for field in values]
    names = last if len(set(last)) == len(last) else list(values)
    return ", ".join(
        f"{name.replace('_', ' ')} = {_written(value)}" for name, value in zip(names, values.values(), strict=True)
    )


def _written(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case None:
            return "none"
        case Mapping():
            # Which fields they are of, too: 5 steps are not 5 restarts. Of a kind its name says enough.
            return " ".join(
                _written(part) if name in {"kind", "name"} else f"{name.replace('_', ' ')} {_written(part)}"
                for name, part in value.items()
            )
        case float():
            return exactly(value)
        case _:
            return str(value)
