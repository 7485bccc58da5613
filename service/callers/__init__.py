"""Who asks, whether they may, and what is written down of it."""
