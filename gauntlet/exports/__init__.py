"""Checkpoints and runs in the forms of other programs. What a form needs comes with an extra of its name."""
