"""The commands that have experiments and evaluations done, and follow them to their end."""
