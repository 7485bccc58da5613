"""Who works, what that takes, and what can be asked for."""

from gauntlet.client.asynchronous.connection import Connection
from gauntlet.resources import Page, Usage, Worker
from gauntlet.spec.catalog import Catalog


class Overview:
    _http: Connection

    async def workers(self) -> list[Worker]:
        """Every worker that was seen within a day, by name."""
        return list((await self._http.read(Page[Worker], "GET", "/v1/workers")).data)

    async def usage(self) -> Usage:
        """Jobs by status, the queue, what each owner has, and the room on the disk."""
        return await self._http.read(Usage, "GET", "/v1/usage")

    async def catalog(self) -> Catalog:
        """Everything that a spec can choose among."""
        return await self._http.read(Catalog, "GET", "/v1/catalog")
