"""The commands that list and show what there is, and how they show it."""
