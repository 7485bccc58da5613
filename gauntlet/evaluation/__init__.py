"""Attacks on test images, batch by batch, and what is tried on a model from elsewhere."""
