"""Batches of which the network would be trained on a single image by itself, which batch normalisation may not take.

Torch's has no statistics of one number per channel, as of one image whose last feature map is a single pixel. Networks
of ours have more than one for every image that they take; torchvision's and a team's own may not.
"""

from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.runs.adversaries import NoAdversary
from gauntlet.spec.runs.architectures import Custom, Torchvision

MENDED = "another training.batch_size, dataset.train_samples or evaluation.validation_samples avoids it."


def lone_image(spec: ExperimentSpec | RunSpec, images: int) -> str | None:
    """A sentence where a pass in train mode has one image, of an epoch over so many training images (not 0)."""
    if not isinstance(spec.architecture, Torchvision | Custom):
        return None
    size = spec.training.batch_size
    last = images % size or min(size, images)
    if 1 not in _passes(spec, last):
        return None
    half = f", of which mix half attacks {last // 2}" if spec.training.mix == "half" else ""
    return (
        f"Of {images:,} training images in batches of {size:,} the last batch has {last}{half}: the network is to take "
        "one image by itself in train mode."
    )


def _passes(spec: ExperimentSpec | RunSpec, images: int) -> set[int]:
    """How many images the passes in train mode have of an update with so many."""
    training, adversary = spec.training, spec.adversary
    passes = {2 * images if training.mix == "both" else images}
    if training.grad_align is not None:
        passes.add(images)
    # The guard's own adversary attacks in train mode.
    if not isinstance(adversary, NoAdversary) and (adversary.mode == "train" or training.guard.action == "n_fgsm"):
        passes.add(images // 2 if training.mix == "half" else images)
    return passes
