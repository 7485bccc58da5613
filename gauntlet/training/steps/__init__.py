"""One update of a network: its examples, its loss, its optimiser, and how all of it is compiled."""
