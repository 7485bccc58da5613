"""Which part of the reward does what: the plan, the specs, and the program that runs, measures and judges them."""
