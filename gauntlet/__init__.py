"""Gauntlet as a library: objectives, adversarial training and robustness, without HTTP, database or queue.

Importing this package loads neither torch nor anything heavy; `gauntlet.spec`, `gauntlet.report` and
`gauntlet.resources` stay torch-free, so the API and the client can use them.
"""

__version__ = "0.1.0"
