"""Models brought to the service, without the service."""

from store import files
from store.storage import Storage, StoredFile


def write_import(storage: Storage, identifier: str, content: bytes) -> StoredFile:
    """Store an import's weights whose row is yet to be committed."""
    with files.begin_import(storage, identifier) as file:
        file.write(content)
        file.sync()
        return files.keep_import(storage, identifier, file)
