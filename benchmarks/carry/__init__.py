"""Whether the dial's order carries over to other threats, and its controls: the plan, the specs, and their program."""
