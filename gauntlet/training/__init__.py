"""Adversarial training: objectives, the step, the loop around it, and what is measured after every epoch."""
