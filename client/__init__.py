"""A typed client of a running Gauntlet.

>>> from client import GauntletClient
>>> with GauntletClient() as gauntlet:
...     experiment = gauntlet.submit({"preset": "quickstart"})
"""

from client.errors import GauntletClientError, Refused, Unintelligible, Unreachable
from client.http import GauntletClient

__all__ = ["GauntletClient", "GauntletClientError", "Refused", "Unintelligible", "Unreachable"]
