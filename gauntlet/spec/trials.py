"""What a sweep comes to: its trials, drawn by Optuna, each as an experiment of its own. No torch."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from gauntlet.extras import needed
from gauntlet.spec.kinds import faulty_fields
from gauntlet.spec.presets import overlay
from gauntlet.spec.reading.messages import faults
from gauntlet.spec.sweeps import Range, Sweep, in_words

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# What is drawn is written so that a reader can type it again.
_DIGITS = 4

M = TypeVar("M", bound=BaseModel)


class Combination(NamedTuple):
    """A trial's number, its values, and the spec's fields with them."""

    number: int
    values: dict[str, Any]
    document: dict[str, Any]


def combinations(document: Mapping[str, Any], sweep: Sweep) -> Iterator[Combination]:
    """The trials of a sweep over the experiment that `document` is, as it stands in JSON.

    The same for the same sweep, whoever asks: a grid in the order in which its fields and values are written, and what
    is drawn by the sweep's seed. A combination that was drawn before is not made again.

    Raises:
        ValidationError: a field is not there, or is a part of another one whose values say it, too.
    """
    _refuse_said_twice(sweep)
    drawn: list[dict[str, Any]] = []
    for values in _grid(sweep) if sweep.method == "grid" else _drawn(sweep):
        if values not in drawn:
            yield Combination(len(drawn), values, _with(document, values))
            drawn.append(values)


def as_spec(combination: Combination, model: type[M]) -> M:
    """The trial as a value.

    Raises:
        ValidationError: its values come to none; it names the first field that is swept and says what is wrong.
    """
    try:
        return model.model_validate(combination.document)
    except ValidationError as error:
        told = faults(error.errors(), model)
        fields = {("", *field.split(".")): field for field in combination.values}
        faulty = []
        for pointer, message in told:
            swept = next((f for parts, f in fields.items() if tuple(pointer.split("/"))[: len(parts)] == parts), None)
            field = swept or next(iter(combination.values))
            sentence = f"with {in_words(combination.values)}: {message}" + ("" if swept else f" ({pointer})")
            faulty.append((("sweep", "over", field), combination.values[field], sentence))
        raise faulty_fields(faulty) from error


def _refuse_said_twice(sweep: Sweep) -> None:
    """A trial is called by all its values, so none of them may be laid over another."""
    for outer, values in sweep.over.items():
        for field, own in sweep.over.items():
            inner = field.removeprefix(f"{outer}.").split(".")
            if field.startswith(f"{outer}.") and isinstance(values, tuple) and any(_says(one, inner) for one in values):
                told = f"this is a part of {outer}, of which a value says it, too, or has none: say it in one place"
                raise faulty_fields([(("sweep", "over", field), own, told)])


def _says(value: object, parts: Sequence[str]) -> bool:
    """Whether nothing can be laid over a part of the value without changing what it says."""
    for part in parts:
        if not isinstance(value, Mapping):
            return True
        if part not in value:
            return False
        value = value[part]
    return True


def _grid(sweep: Sweep) -> Iterator[dict[str, Any]]:
    lists = [values for values in sweep.over.values() if isinstance(values, tuple)]
    for combination in itertools.product(*lists):
        yield dict(zip(sweep.over, combination, strict=True))


def _drawn(sweep: Sweep) -> Iterator[dict[str, Any]]:
    # Imported here: it takes half a second, and most specs have no sweep.
    with needed("sweeps", "A sweep that draws its trials"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=sweep.seed))
    distributions = {field: _distribution(values) for field, values in sweep.over.items()}
    for _ in range(sweep.trials or 0):
        params = study.ask(distributions).params
        yield {field: _value(values, params[field]) for field, values in sweep.over.items()}


def _distribution(values: tuple[Any, ...] | Range) -> "BaseDistribution":
    from optuna import distributions

    match values:
        case Range(whole=True):
            return distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
        case Range():
            return distributions.FloatDistribution(values.low, values.high, log=values.log)
        case _:
            return distributions.CategoricalDistribution(range(len(values)))


def _value(values: tuple[Any, ...] | Range, drawn: Any) -> Any:
    match values:
        case Range(whole=True):
            return int(drawn)
        case Range():
            return min(max(_rounded(float(drawn)), values.low), values.high)
        case _:
            return values[drawn]


def _rounded(value: float) -> float:
    return value if value == 0 else round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))


def _with(document: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(document)
    # Whole objects first, so that they do not take the place of what is swept of their parts.
    for field in sorted(values, key=lambda field: field.count(".")):
        found = _set(found, field.split("."), values[field], field)
    return found


def _set(document: Any, parts: list[str], value: Any, field: str) -> Any:
    """A copy of the document with one value; as everywhere, an object of the same kind is laid over the one there."""
    if not parts:
        return overlay({field: document}, {field: value})[field]
    part, *rest = parts
    if isinstance(document, list):
        position = int(part)
        if position >= len(document):
            told = f"the experiment has {len(document)} objectives, which are counted from 0"
            raise faulty_fields([(("sweep", "over", field), field, told)])
        return [_set(each, rest, value, field) if place == position else each for place, each in enumerate(document)]
    below = dict(document) if isinstance(document, Mapping) else {}
    return below | {part: _set(below.get(part), rest, value, field)}
