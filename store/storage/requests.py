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
# A store takes no more parts of one object.
_MOST_PARTS: Final = 10_000
_PART: Final = 8 << 20
_PARTS_AT_ONCE: Final = 2
_CONNECT_S: Final = 5.0

logger = logging.getLogger(__name__)


def client(answer_s: float) -> Any:
    """Who asks: as boto's own variables and files say, AWS_ENDPOINT_URL and AWS_SHARED_CREDENTIALS_FILE among them.

    A request fails that hears nothing for `answer_s`. Of what is sent or brought a few parts are in memory.
    """
    import s3fs

    for library in ("botocore", "aiobotocore"):
        # Each process would tell where it found its credentials.
        logging.getLogger(library).setLevel(logging.WARNING)
    asking = s3fs.S3FileSystem(
        use_listings_cache=False,
        default_block_size=_PART,
        max_concurrency=_PARTS_AT_ONCE,
        config_kwargs={
            "connect_timeout": min(_CONNECT_S, answer_s),
            "read_timeout": answer_s,
            # Whoever asks knows how long to go on.
            "retries": {"total_max_attempts": 1},
        },
    )
    asking.retries = 1
    return asking


def part_of(size: int) -> int:
    """In parts of how many bytes so many are sent."""
    return max(_PART, -(-size // _MOST_PARTS))


def requested(request: Callable[[], T]) -> T:
    """What the request answers.

    Raises:
        FileNotFoundError: there is no such object, or no such bucket.
        FileDamaged: what came is not what was stored, by the store's own digest.
        PermissionError: it refuses these credentials, or there are none.
        StorageAway: the store does not answer, breaks off in the middle, or asks for a pause.
        OSError: it refuses; its errno is ENOSPC where it has no room.
    """
    from aiohttp import ClientError as ConnectionFailed
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        FlexibleChecksumError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
    )
    from s3fs.core import S3_RETRYABLE_ERRORS

    try:
        return request()
    except (FileNotFoundError, PermissionError):
        raise
    except FlexibleChecksumError as error:
        # The store has a digest of its own, which boto looks at.
        raise FileDamaged("an object of the bucket") from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise PermissionError(errno.EACCES, "no credentials for the store were found") from error
    except (BotoCoreError, ClientError, ConnectionFailed, OSError, *S3_RETRYABLE_ERRORS) as error:
        code = _code(error)
        if code in _FULL:
            raise OSError(errno.ENOSPC, "the store has no room") from error
        if isinstance(error, OSError) and code is None and error.errno in _OURS:
            raise
        # Its text names the store's address, and what is told of this one is shown to users.
        told = code or type(error).__name__
        logger.warning("The store does not answer as it should: %s: %s", told, error)
        raise StorageAway(errno.EHOSTUNREACH, f"the store does not answer as it should ({told})") from error


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
