"""Signs that a model's accuracies do not mean what they seem to; read off an epoch's metrics."""

from collections.abc import Mapping

_OVERCONFIDENT = 0.95
_UNIFORM = 0.999


def suspicions(metrics: Mapping[str, float]) -> dict[str, str]:
    """What is suspect about a model with these metrics: kind → a sentence for its reader.

    Reads `predicted_classes`, `mean_uniformity` and `mean_confidence` on natural test images.
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
    return found
