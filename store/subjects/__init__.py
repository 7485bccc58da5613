"""Experiments, runs, evaluations, checkpoints, data sets: how each is made, what is written of it, how it goes."""
