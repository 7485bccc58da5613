"""The client's settings: where the service is."""

from typing import Annotated

from pydantic import Field

from gauntlet.settings import Port, Said, Settings


class ClientSettings(Settings):
    """Unset or empty, the URL is that of this machine's port."""

    url: Annotated[str, Said(allowed="an address as http://host:port", default="http://127.0.0.1:PORT")] = Field(
        default="", pattern=r"^(https?://[^\s/]\S*)?$", description="Where the service is."
    )
    token: Annotated[str, Said(allowed="printable characters without spaces", default="none")] = Field(
        default="", pattern=r"^[\x21-\x7e]*$", description="A bearer token to send."
    )
    port: Port = Field(default=8000, description="Of the service on this machine, where the URL is not set.")

    @property
    def address(self) -> str:
        """The service's URL."""
        return self.url or f"http://127.0.0.1:{self.port}"
