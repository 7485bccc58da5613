"""The smallest network, for what does not depend on the network. No torch."""

# A training step takes an eighth of what it takes the paper's. With dropout, so that it draws random numbers, too.
SMALLEST = {"kind": "vit", "patch": 8, "width": 8, "depth": 1, "heads": 1, "dropout": 0.25}
