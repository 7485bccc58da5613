"""The service's settings: the store's, and how it is reached."""

from pydantic import Field

from store.settings import StoreSettings


class ServiceSettings(StoreSettings):
    """Bounds are in bytes and pixels; a request beyond them is refused before it is read."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    max_json_bytes: int = Field(default=1 << 20, ge=1)
    max_upload_bytes: int = Field(default=16 << 20, ge=1)
    max_weights_bytes: int = Field(default=512 << 20, ge=1)
    max_image_pixels: int = Field(default=16_000_000, ge=1)
