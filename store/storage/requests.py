"""Requests to an object store, by s3fs, which is loaded with the first: it takes a second and 50 MB."""

import errno
import logging
import ssl
import time
import traceback
from collections.abc import Callable
from typing import Any, Final, TypeVar

from store.storage.values import FileDamaged, StorageAway, StorageRefused

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
# What they answer whoever may not ask, or not so: it is an operator who changes that.
_REFUSED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "BadRequest",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSecurity",
        "InvalidToken",
        "MethodNotAllowed",
        "NoSuchBucket",
        "NotSignedUp",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "Unauthorized",
        "UnrecognizedClientException",
    }
)
# What is only asked for its head is answered without a body, and without a name for what is wrong: S3's 400 is a token
# that expired or another region's bucket.
_OF_HEADS: Final = {
    "301": "PermanentRedirect",
    "400": "BadRequest",
    "401": "Unauthorized",
    "403": "Forbidden",
    "405": "MethodNotAllowed",
}
# Whose own errors of files and values are of what it was told of the store.
_BOTO: Final = frozenset({"aiobotocore", "botocore"})
_OF_FILES: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
# What its code fails with on a value that it does not expect, such as a text in the place of a section.
_OF_VALUES: Final = (ValueError, AttributeError, LookupError, TypeError)
# A store takes no more parts of one object.
_MOST_PARTS: Final = 10_000
_PART: Final = 8 << 20
_PARTS_AT_ONCE: Final = 2
_CONNECT_S: Final = 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0

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


def patiently(request: Callable[[], T], patience_s: float) -> T:
    """What the request answers, sent again for so long while the store is away.

    Raises:
        OSError: as `requested` does.
    """
    until, wait_s = time.monotonic() + patience_s, _FIRST_WAIT_S
    while True:
        try:
            return requested(request)
        except StorageAway:
            if time.monotonic() + wait_s > until:
                raise
            logger.warning("The store is tried again in %.1f s.", wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def requested(request: Callable[[], T]) -> T:
    """What the request answers.

    Raises:
        FileNotFoundError: there is no such object.
        FileDamaged: what came is not what was stored, by the store's own digest.
        StorageRefused: it refuses these credentials or what they ask for, there are none, there is no such bucket,
            or what boto was told of it is not to be used.
        StorageAway: the store does not answer, breaks off in the middle, or asks for a pause.
        OSError: its errno is ENOSPC where the store has no room, or it is of this machine's own disk.
    """
    from aiohttp import ClientError as ConnectionFailed
    from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
    from s3fs.core import S3_RETRYABLE_ERRORS

    try:
        return request()
    except FlexibleChecksumError as error:
        # The store has a digest of its own, which boto looks at.
        raise FileDamaged("an object of the bucket") from error
    except (BotoCoreError, ClientError, ConnectionFailed, OSError, *_OF_VALUES, *S3_RETRYABLE_ERRORS) as error:
        meant = _meant(error)
        if meant is error:
            raise
        raise meant from error


def _meant(error: Exception) -> Exception:
    """What the error comes to for those above, itself where it is none of the store's."""
    code = _code(error)
    if (why := _unfit_settings(error)) is not None:
        return _refused(why, error)
    if code in _FULL:
        return OSError(errno.ENOSPC, "the store has no room")
    if code == "NoSuchBucket":
        return _refused("the bucket is not there", error)
    if code in _REFUSED or (code is not None and isinstance(error, PermissionError)):
        return _refused(f"the store answers {code}", error)
    if _is_ours(error, code):
        return error
    why = f"the store does not answer as it should ({code or type(error).__name__})"
    _log("The store is away", why, error)
    return StorageAway(errno.EHOSTUNREACH, why)


def _unfit_settings(error: Exception) -> str | None:
    """What is wrong with what boto was told of the store, None where that is not what is wrong."""
    from botocore import exceptions as boto

    missing = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound)
    unreachable = (boto.CredentialRetrievalError, boto.MetadataRetrievalError, boto.SSOError, boto.TokenRetrievalError)
    of_connections = (
        boto.ChecksumError,
        boto.ConnectionError,
        boto.HTTPClientError,
        boto.IncompleteReadError,
        boto.ResponseStreamingError,
    )
    if isinstance(error, missing):
        return "no credentials for the store were found"
    if isinstance(error, unreachable):
        return f"the credentials for the store cannot be had ({type(error).__name__})"
    # Boto has no error of its own for that.
    if isinstance(error, ValueError) and str(error).startswith(("Invalid endpoint", "Invalid IPv6 URL")):
        return "the store's address is none"
    if isinstance(error, boto.BotoCoreError):
        if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
            # What boto met while it made the connection.
            met = getattr(error, "kwargs", {}).get("error")
            if (why := _unfit_of_tls(met)) is not None:
                return why
            if _is_told(met):
                return f"what it is told of the store is not to be used ({type(met).__name__})"
        unfit = not isinstance(error, of_connections)
    else:
        # A file of credentials that is not there must not be taken for an object that is not.
        unfit = isinstance(error, (*_OF_FILES, *_OF_VALUES)) and _code(error) is None and _is_botos(error)
    return f"what it is told of the store is not to be used ({type(error).__name__})" if unfit else None


def _unfit_of_tls(met: object) -> str | None:
    """What is wrong with how the store's certificate is looked at, None where that is not what is wrong."""
    from aiohttp import ClientConnectorCertificateError, ClientConnectorSSLError

    if isinstance(met, ClientConnectorCertificateError):
        return "the store's certificate is not one that is trusted here"
    if isinstance(met, ClientConnectorSSLError) and getattr(met.os_error, "reason", None) == "WRONG_VERSION_NUMBER":
        return "the store's address says https, and nobody speaks TLS there"
    # aiohttp's own error of a handshake has no library; the one that it wraps has. A store whose TLS fails is away.
    tls = met.os_error if isinstance(met, ClientConnectorSSLError) else met
    if isinstance(tls, ssl.SSLError) and getattr(tls, "library", None) not in {None, "SSL"}:
        # Of files that are to hold certificates; of a connection it is the library itself that tells.
        return "the file of certificates for the store holds none"
    return None


def _is_told(met: object) -> bool:
    """Whether what boto was told kept it from making a connection: a file, a proxy, a value that no header takes."""
    from aiohttp import ClientError as ConnectionFailed
    from botocore.exceptions import InvalidProxiesConfigError

    # The store's own headers are decoded there.
    is_answer = isinstance(met, ConnectionFailed | UnicodeDecodeError)
    return isinstance(met, (InvalidProxiesConfigError, ValueError, *_OF_FILES)) and not is_answer


def _is_botos(error: Exception) -> bool:
    """Whether boto's own code, or what it called, raised it."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").partition(".")[0] in _BOTO for frame in frames)


def _log(what: str, why: str, error: Exception) -> None:
    """Log it with what the error says itself, a key, an account or an address maybe, where no job's log has it."""
    logger.warning("%s: %s.", what, why, exc_info=(type(error), error, None))


def _refused(why: str, error: Exception) -> StorageRefused:
    """What becomes of it, for users to read."""
    import s3fs

    _log("The store refuses this service", why, error)
    # Whoever asks next reads the credentials anew: their file may have been mended.
    s3fs.S3FileSystem.clear_instance_cache()
    return StorageRefused(errno.EACCES, why)


# What this machine's own disk says while a copy is written to it.
_OURS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)


def _is_ours(error: Exception, code: str | None) -> bool:
    """Whether it is of this machine, or just says that an object is not there."""
    if isinstance(error, OSError):
        return isinstance(error, FileNotFoundError) or (code is None and error.errno in _OURS)
    return isinstance(error, _OF_VALUES)


def _code(error: BaseException | None) -> str | None:
    """What the store itself calls its error, None where it did not answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code"))
            return _OF_HEADS.get(code, code)
        error = error.__cause__
    return None
