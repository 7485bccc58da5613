"""Requests to an object store, by s3fs, which is loaded with the first: it takes a second and 50 MB."""

import errno
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from store.storage.values import FileDamaged, StorageAway

T = TypeVar("T")

# What stores answer that take no more: Ceph's, MinIO's and others'.
_FULL: Final = frozenset(
    {
        "QuotaExceeded",
        "InsufficientCapacity",
        "InsufficientStorage",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    }
)
_CONNECT_S, _READ_S = 5, 60


def client() -> Any:
    """Who asks: as boto's own variables and files say, AWS_ENDPOINT_URL and AWS_SHARED_CREDENTIALS_FILE among them."""
    import s3fs

    for library in ("botocore", "aiobotocore"):
        # Each process would tell where it found its credentials.
        logging.getLogger(library).setLevel(logging.WARNING)
    asking = s3fs.S3FileSystem(
        use_listings_cache=False,
        config_kwargs={"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": 2}},
    )
    # Whoever asks knows how long to go on.
    asking.retries = 1
    return asking


def requested(request: Callable[[], T]) -> T:
    """What the request answers.

    Raises:
        FileNotFoundError: there is no such object, or no such bucket.
        FileDamaged: what came is not what was stored, by the store's own digest.
        StorageAway: the store does not answer, or asks for a pause.
        OSError: it refuses; its errno is ENOSPC where it has no room.
    """
    from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

    try:
        return request()
    except (FileNotFoundError, PermissionError):
        raise
    except FlexibleChecksumError as error:
        # The store has a digest of its own, which boto looks at.
        raise FileDamaged("an object of the bucket") from error
    except (BotoCoreError, ClientError, OSError) as error:
        code = _code(error)
        if code in _FULL:
            raise OSError(errno.ENOSPC, "the store has no room") from error
        if isinstance(error, OSError) and code is None and error.errno in _OURS:
            raise
        raise StorageAway(errno.EHOSTUNREACH, f"the store does not answer as it should ({code or error})") from error


# What this machine's own disk says while a copy is written to it.
_OURS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES)


def _code(error: BaseException | None) -> str | None:
    """What the store itself calls its error, None where it did not answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        error = error.__cause__
    return None
