import pytest

from gauntlet.results.suspicions import suspicions

SOUND = {"predicted_classes": 10.0, "mean_uniformity": 0.2, "mean_confidence": 0.6}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, set()),
        ({"predicted_classes": 2.0, "mean_uniformity": 0.99, "mean_confidence": 0.95}, set()),
        ({"predicted_classes": 1.0}, {"one_class"}),
        ({"mean_uniformity": 1.0}, {"uniform_output"}),
        ({"mean_confidence": 0.96}, {"overconfident"}),
        ({"predicted_classes": 1.0, "mean_confidence": 1.0}, {"one_class", "overconfident"}),
    ],
)
def test_each_sign_is_named(changes: dict[str, float], kinds: set[str]) -> None:
    """One predicted class, a uniform output and a mean confidence above .95 are each told in a sentence."""
    found = suspicions(SOUND | changes)
    assert found.keys() == kinds
    assert all(message.endswith(".") for message in found.values())
