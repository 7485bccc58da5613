"""How soon a service answers, and how many workers it can have."""
