"""A checkpoint as a folder in Hugging Face's layout, whose model card is made from what is known of it. No torch."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from gauntlet.exports.measured import Evaluated
from gauntlet.rendering.markdown import escape
from gauntlet.report.numbers import counted, per_cent
from gauntlet.results.accuracy import Accuracy
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.evaluations.attack_titles import attack_name
from gauntlet.spec.kinds import dataset_title
from gauntlet.spec.runs.objective_labels import objective_labels, objective_title

WEIGHTS = "model.safetensors"
# Where the hub has these data sets.
_HUB = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "svhn": "ufldl-stanford/svhn",
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
}


def write_hub_folder(
    folder: Path, weights: bytes, card: CheckpointCard, *, name: str, evaluated: Sequence[Evaluated] = ()
) -> None:
    """Write `README.md` (the model card), `model.safetensors` and `config.json` (the checkpoint's card) into a folder.

    Args:
        folder: made if it is not there.
        weights: a checkpoint file, as `encode_weights` and the service make it.
        card: of that checkpoint.
        name: what the model is called.
        evaluated: its evaluations; the card's table has all of their attacks.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / "config.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    sha256 = hashlib.sha256(weights).hexdigest()
    (folder / "README.md").write_text(model_card(card, name=name, sha256=sha256, evaluated=evaluated), encoding="utf-8")


def model_card(card: CheckpointCard, *, name: str, sha256: str, evaluated: Sequence[Evaluated] = ()) -> str:
    """The card: metadata as YAML, then what the model is, what it withstands, what speaks against that, and its origin.

    Nothing is said that is not known: a licence and the intended use are for whoever publishes the model to add.

    Args:
        sha256: of the weights' file.
    """
    front = yaml.safe_dump(_metadata(card, name, evaluated), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n".join(_lines(card, name, sha256, evaluated)) + "\n"


def _metadata(card: CheckpointCard, name: str, evaluated: Sequence[Evaluated]) -> dict[str, Any]:
    dataset = card.dataset.name
    hub = {"datasets": [_HUB[dataset]]} if dataset in _HUB else {}
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"type": _HUB.get(dataset, dataset), "name": dataset_title(card.dataset), "split": "test"},
        "metrics": [
            {"type": "accuracy", "name": title, "value": round(100 * accuracy.value, 2)}
            for title, accuracy in _accuracies(evaluated)
        ],
    }
    measured = {"model-index": [{"name": name, "results": [results]}]} if evaluated else {}
    return {
        "library_name": "gauntlet",
        "pipeline_tag": "image-classification",
        "tags": ["adversarial-robustness", f"gauntlet-{card.architecture.kind}"],
        **hub,
        "metrics": ["accuracy"],
        **measured,
    }


def _accuracies(evaluated: Sequence[Evaluated]) -> Iterator[tuple[str, Accuracy]]:
    for each in evaluated:
        yield "Natural accuracy", each.outcome.natural
        for found in each.outcome.attacks:
            yield f"Accuracy under {attack_name(found.attack)}", found.accuracy


def _lines(card: CheckpointCard, name: str, sha256: str, evaluated: Sequence[Evaluated]) -> Iterator[str]:
    channels, height, width = card.image_shape
    classes = counted(len(card.classes), "class").replace("classs", "classes")
    yield from (f"# {escape(name)}", "", f"{_origin(card)} It maps images of {channels} × {height} × {width} floats in")
    yield f"[0, 1] to logits of {classes} of {escape(dataset_title(card.dataset))}; its normalisation is inside."
    yield from ("", "## Robustness", "")
    yield from _robustness(evaluated)
    yield from ("", "## Use", "", "```python", "from pathlib import Path", "", "import gauntlet", "")
    yield f'model = gauntlet.load_model(Path("{WEIGHTS}"), "cpu").model'
    yield from ("logits = model(images)  # float32 [n, channels, height, width] in [0, 1]", "```")
    yield from ("", "## Provenance", "", f"- sha256 of `{WEIGHTS}`: `{sha256}`")
    if isinstance(card.origin, Trained):
        yield from ("", "The whole run; the same spec trains it again:", "", "```yaml")
        spec = card.origin.spec.model_dump(mode="json")
        yield from yaml.safe_dump(spec, sort_keys=False, allow_unicode=True).splitlines()
        yield "```"


def _origin(card: CheckpointCard) -> str:
    network = f"a `{card.architecture.kind}`"
    if not isinstance(card.origin, Trained):
        source = f" from {escape(card.origin.source)}" if card.origin.source else ""
        return f"This is {network} that was trained elsewhere{source}."
    run, epoch = card.origin.spec, counted(card.origin.epoch, "epoch")
    averaged = ", the average of its weights until then" if card.origin.averaged else ""
    (objective,) = map(objective_title, objective_labels([run.objective]))
    against = "natural images" if run.adversary.kind == "none" else f"{run.adversary.kind} examples"
    return f"This is {network}, trained with {escape(objective)} on {against} for {epoch}{averaged}."


def _robustness(evaluated: Sequence[Evaluated]) -> Iterator[str]:
    if not evaluated:
        yield "It has not been evaluated: nothing is known of what it withstands."
        return
    yield from ("Per cent of test images, with 95 % Wilson intervals.", "", "| | accuracy | images | protocol |")
    yield "| --- | ---: | ---: | --- |"
    for each in evaluated:
        yield _row("natural", each.outcome.natural, each.outcome.natural_fingerprint)
        for found in each.outcome.attacks:
            yield _row(attack_name(found.attack), found.accuracy, found.fingerprint)
    sentences = dict.fromkeys(doubt.sentence for each in evaluated for doubt in each.doubts)
    if sentences:
        yield from ("", "**These numbers are in doubt:**", "", *(f"- {escape(sentence)}" for sentence in sentences))
    looked = any(each.outcome.masking is not None for each in evaluated)
    yield from ("", "Masked gradients were looked for." if looked else "Nobody looked for masked gradients.")


def _row(title: str, accuracy: Accuracy, fingerprint: str) -> str:
    return f"| {escape(title)} | {per_cent(accuracy.value, accuracy.interval)} | {accuracy.n:,} | `{fingerprint}` |"
