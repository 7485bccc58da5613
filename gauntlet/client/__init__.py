"""A typed client of a running Gauntlet.

>>> from gauntlet.client import GauntletClient
>>> with GauntletClient() as gauntlet:
...     experiment = gauntlet.submit({"preset": "quickstart"})

`AsyncGauntletClient` has the same methods, to be awaited; those that go through a list are `async for`.
"""

from gauntlet.client.asynchronous.client import AsyncGauntletClient
from gauntlet.client.errors import GauntletClientError, Refused, Unintelligible, Unreachable
from gauntlet.client.synchronous.client import GauntletClient

__all__ = [
    "AsyncGauntletClient",
    "GauntletClient",
    "GauntletClientError",
    "Refused",
    "Unintelligible",
    "Unreachable",
]
