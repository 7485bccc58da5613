"""What became of each image of an evaluation: robust or not, and broken by which attack. No torch."""

from collections.abc import Iterable, Mapping, Sequence

from gauntlet.resources import AttackedImage, ImageResult
from gauntlet.results.stage_results import NATURAL, StageBatch, by_stage
from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

# Of one stage: position in the test set → class.
_Seen = Mapping[int, int]


def image_results(
    spec: EvaluationSpec, batches: Iterable[StageBatch], classes: Sequence[str]
) -> tuple[ImageResult, ...]:
    """The images of these batches in order of position; those whose natural pass is not among them are left out."""
    gathered = by_stage(batches)
    if NATURAL not in gathered:
        return ()
    stages = {name: stage.predicted for name, stage in gathered.items()}
    found = []
    for position, natural in sorted(stages[NATURAL].items()):
        label = gathered[NATURAL].labels[position]
        attacked = {}
        for attack in spec.attacks:
            result = _under(attack, position, label, natural, stages, classes)
            if result is not None:
                attacked[attack_label(attack)] = result
        found.append(ImageResult(position=position, label=classes[label], natural=classes[natural], attacks=attacked))
    return tuple(found)


def _under(
    attack: AnyAttack, position: int, label: int, natural: int, stages: Mapping[str, _Seen], classes: Sequence[str]
) -> AttackedImage | None:
    """What an attack made of an image, or None while it is not through with it."""
    name, parts = attack_label(attack), parts_of(attack)
    if not parts:
        predicted = stages.get(name, {}).get(position)
        if predicted is None:
            return None
        broken = natural == label != predicted
        return AttackedImage(
            robust=predicted == label, predicted=classes[predicted], broken_by=attack.kind if broken else None
        )
    if natural != label:
        return AttackedImage(robust=False, predicted=classes[natural], broken_by=None)
    for part in parts:
        predicted = stages.get(f"{name}:{part}", {}).get(position)
        if predicted is None:
            return None
        if predicted != label:
            return AttackedImage(robust=False, predicted=classes[predicted], broken_by=part)
    return AttackedImage(robust=True, predicted=classes[label], broken_by=None)
