"""Answers that are dear or asked for again and again: known, kept, shared, streamed."""
