"""The service's settings: the store's, and how it is reached."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from store.settings import StoreSettings

_Name = Annotated[str, Field(pattern=r"^(\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*$")]


def _listed(text: object) -> object:
    """The names of a list with commas or spaces between them."""
    return tuple(text.lower().replace(",", " ").split()) if isinstance(text, str) else text


class ServiceSettings(StoreSettings):
    """Bounds are in bytes and pixels; a request beyond them is refused before it is read."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    # Names that the service goes by beside loopback's and `host`; `*.example.org` is every name below example.org.
    allowed_hosts: Annotated[tuple[_Name, ...], NoDecode, BeforeValidator(_listed)] = ()
    max_json_bytes: int = Field(default=1 << 20, ge=1)
    max_upload_bytes: int = Field(default=16 << 20, ge=1)
    max_weights_bytes: int = Field(default=512 << 20, ge=1)
    max_image_pixels: int = Field(default=16_000_000, ge=1)
