"""Signs that a model's accuracies do not mean what they seem to; read off an epoch's metrics."""

from collections.abc import Mapping

_OVERCONFIDENT = 0.95
_UNIFORM = 0.999
# Wong et al. (2020, §5.3) stop where accuracy under PGD has fallen by 20 points. It may never have got that far, so it
# is also held against FGSM's on the same images.
_DROP = 0.2
# Before the onset the attack's step raises nearly every image's loss, and attacked images are classified worse than
# natural ones (docs/experiments.md, "Catastrophic overfitting").
_LOSS_FELL, _ABOVE_NATURAL = 0.1, 0.05
OVERFITTING = "catastrophic_overfitting"


# What an epoch's metrics of its averaged weights begin with.
AVERAGED = "average_"


def of_average(metrics: Mapping[str, float]) -> dict[str, float]:
    """An epoch's metrics with those of the averaged weights in the weights' place, as far as they were measured."""
    own = {name.removeprefix(AVERAGED): value for name, value in metrics.items() if name.startswith(AVERAGED)}
    return {name: value for name, value in metrics.items() if not name.startswith(AVERAGED)} | own


def suspicions(metrics: Mapping[str, float]) -> dict[str, str]:
    """What is suspect about a model with these metrics: kind → a sentence for its reader.

    Reads `predicted_classes`, `mean_uniformity` and `mean_confidence` on natural test images, and where training was
    probed in that epoch `probe_accuracy`, `probe_fgsm_accuracy` and `probe_best_accuracy`, the best one so far.
    """
    found = {}
    if metrics["predicted_classes"] == 1:
        found["one_class"] = "The model predicts the same class for every test image."
    if metrics["mean_uniformity"] > _UNIFORM:
        found["uniform_output"] = "The model gives every class the same probability."
    if metrics["mean_confidence"] > _OVERCONFIDENT:
        found["overconfident"] = (
            f"Mean confidence is above {_OVERCONFIDENT}: cross-entropy gradients may vanish, and attacks that follow "
            "them, FGSM among them, then flatter the model."
        )
    if sentence := overfitting(metrics):
        found[OVERFITTING] = sentence
    return found


def attack_misses(metrics: Mapping[str, float]) -> bool:
    """Whether an epoch's own accuracies say that FGSM, at the adversary's budget, no longer leads uphill.

    Its step lowers the loss of many test images, or attacked images are classified better than natural ones. That PGD
    finds more than FGSM is no sign by itself: at large budgets it does so on any network.
    """
    above = max(
        metrics["test_fgsm_accuracy"] - metrics["test_accuracy"],
        metrics["train_adversarial_accuracy"] - metrics["train_accuracy"],
    )
    # A difference of two shares, which need not be exact.
    return metrics["fgsm_lowered_loss"] >= _LOSS_FELL or above >= _ABOVE_NATURAL - 1e-9


def overfitting(metrics: Mapping[str, float]) -> str | None:
    """What shows in an epoch's metrics that training has overfitted to its attack, in a sentence; None if nothing."""
    if "probe_accuracy" not in metrics:
        return None
    pgd, fgsm, best = (metrics[f"probe_{name}"] for name in ("accuracy", "fgsm_accuracy", "best_accuracy"))
    means = "it has learned the attack that it trains on (catastrophic overfitting), and withstands hardly any other."
    # Differences of two shares of the same few hundred images.
    if fgsm - pgd > _DROP - 1e-9 and pgd <= fgsm / 2 and attack_misses(metrics):
        seen = f"{_per_cent(fgsm)} of the probed training images under FGSM and on {_per_cent(pgd)} under PGD"
        return f"The model is right on {seen}: {means}"
    if best - pgd > _DROP - 1e-9:
        fell = f"fell from {_per_cent(best)} at its best to {_per_cent(pgd)}, under FGSM it is {_per_cent(fgsm)}"
        return f"Accuracy under PGD on the probed training images {fell}: {means}"
    return None


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"
