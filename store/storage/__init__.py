"""Where files are kept: one set of methods, whatever they lie in."""

from store.storage.bucket import BucketStorage
from store.storage.cache import FetchedCache
from store.storage.folder import FolderStorage
from store.storage.scratch import Scratch
from store.storage.values import (
    STORAGE_FULL,
    Draft,
    FileDamaged,
    Room,
    StorageAway,
    StorageRefused,
    StoredFile,
    is_the_storages,
    met_there,
)

Storage = FolderStorage | BucketStorage

__all__ = [
    "STORAGE_FULL",
    "BucketStorage",
    "Draft",
    "FetchedCache",
    "FileDamaged",
    "FolderStorage",
    "Room",
    "Scratch",
    "Storage",
    "StorageAway",
    "StorageRefused",
    "StoredFile",
    "is_the_storages",
    "met_there",
]
