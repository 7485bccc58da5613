"""Gauntlet as a library: objectives, adversarial training and robustness, without HTTP, database or queue.

Importing this package loads neither torch nor anything heavy; `spec`, `results`, `report`, `rendering` and `resources`
stay torch-free, so the API and the client can use them. Which package may import which is in pyproject.toml.
"""

__version__ = "0.1.0"
