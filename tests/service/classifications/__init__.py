"""Uploaded pictures and the checkpoints that classify them."""
