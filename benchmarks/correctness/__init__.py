"""Whether the numbers are right."""
