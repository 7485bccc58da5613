"""Pages, tables and figures of reports that were made before, kept as long as there is room.

Each is a function of its report, so what it is kept under is the report's digest: one that has changed is never found.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from gauntlet.report.report import Report


class Renderings:
    """Keeps those used last, `most_bytes` of them in all."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, report: Report, kind: str, make: Callable[[], str | None]) -> bytes | None:
        """The report's rendering of that kind, made now if it is not at hand; None where there is nothing to show."""
        key = (hashlib.sha256(report.model_dump_json().encode()).hexdigest(), kind)
        with self._lock:
            found = self._kept.pop(key, None)
            if found is not None:
                self._kept[key] = found
                return found
        made = make()
        return None if made is None else self._keep(key, made.encode())

    def _keep(self, key: tuple[str, str], content: bytes) -> bytes:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = content
                self._bytes += len(content)
            while self._bytes > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
        return content
