"""Models brought to the service, without the service."""

from pathlib import Path

from store import files
from store.files import StoredFile


def write_import(storage: Path, identifier: str, content: bytes) -> StoredFile:
    """Store an import's weights whose row is yet to be committed."""
    with files.begin_import(storage, identifier) as file:
        file.write(content)
        return files.keep_import(storage, identifier, file)
