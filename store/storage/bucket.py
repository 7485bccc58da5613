"""A storage that is a bucket of an object store that speaks S3, or what lies below a prefix there.

An object appears whole or not at all, so a write needs nothing aside; beyond 16 MiB s3fs sends it in parts, which no
listing shows, and which the store has to clear away where their sender died (docs/operations.md has the rule). What is
read is a copy on this machine, whose digest was looked at when it came, and a file's each time since. A folder is one
object, a tar, beside which a small one says which: it is published by that one's write.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from store import failpoints
from store.storage.cache import FetchedCache
from store.storage.packing import pack, unpack
from store.storage.patterns import matching
from store.storage.requests import client, part_of, patiently
from store.storage.scratch import Scratch
from store.storage.values import Draft, FileDamaged, Room, StorageRefused, StoredFile, refusals, sha256_of

T = TypeVar("T")

_MANIFEST = "manifest.json"
_CLOCK = "clock"
# A large file's parts are put together before the store answers; whoever sends one waits for minutes anyway.
_SENT_S = 60.0
# Of what is asked while a transaction waits: of a database that lets none idle for 20 s, or that no other can write to.
_HELD_PATIENCE_S, _HELD_ANSWER_S = 1.0, 5.0


@dataclass(frozen=True)
class BucketStorage:
    """Everything in `bucket` below `prefix`. `cache` and `scratch`, for what is on its way, are this machine's.

    A request fails that hears nothing for `answer_s`, but for those that send a file. Where the store is away or
    overrun, each is tried again for `patience_s`.
    """

    bucket: str
    prefix: str
    scratch: Scratch
    cache: FetchedCache
    patience_s: float
    answer_s: float

    def __str__(self) -> str:
        return "s3://" + "/".join(part for part in (self.bucket, self.prefix) if part)

    def require(self) -> None:
        """See that it answers.

        Raises:
            OSError: it does not.
        """
        self._ask(lambda: self._client.call_s3("list_objects_v2", Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1))

    def look(self) -> None:
        """See that it answers now, as `require` does with more patience.

        Raises:
            OSError: it does not.
        """
        replace(self, patience_s=0.0).require()

    def write(self, path: str, content: bytes) -> StoredFile:
        """Store `content` at `path`, replacing what an earlier try left there.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        failpoints.reach("file_begun")
        part = part_of(len(content))
        self._ask(lambda: self._client.pipe_file(self._key(path), content, chunksize=part))
        failpoints.reach("file_renamed")
        return StoredFile(path, hashlib.sha256(content).hexdigest(), len(content))

    def mark(self, path: str) -> None:
        """Have an empty file there.

        Raises:
            OSError: it cannot be made.
        """
        self._ask(lambda: self._client.pipe_file(self._key(path), b""))

    def draft(self) -> Draft:
        """A file on this machine that is sent when it is kept.

        Raises:
            OSError: it cannot be made.
        """
        return self.scratch.draft()

    def keep(self, draft: Draft, path: str) -> None:
        """Store what was written at `path`.

        Raises:
            OSError: it cannot be stored.
        """
        draft.sync()
        failpoints.reach("partial_written")
        sender, part = client(max(_SENT_S, self.answer_s)), part_of(draft.path.stat().st_size)
        self._ask(lambda: sender.put_file(str(draft.path), self._key(path), chunksize=part))
        failpoints.reach("file_renamed")

    def fetch(self, path: str, sha256: str) -> Path:
        """A file of this machine with what is stored at `path`: a copy that has this digest.

        Raises:
            FileDamaged: what is stored has another.
            FileNotFoundError: there is none.
            OSError: the storage does not answer, or this machine has no room.
        """

        def size() -> int:
            return int(self._ask(lambda: self._client.info(self._key(path)))["size"])

        def bring(copy: Path) -> None:
            self._ask(lambda: self._client.get_file(self._key(path), str(copy)))
            if sha256_of(copy) != sha256:
                raise FileDamaged(path)

        def is_damaged(copy: Path) -> bool:
            return sha256_of(copy) != sha256

        copy = self.cache.get(sha256, size, bring)
        # Another process may have found it damaged and dropped it.
        with contextlib.suppress(FileNotFoundError):
            if not is_damaged(copy):
                return copy
        # This machine's disk has damaged it.
        self.cache.drop(sha256, is_damaged)
        return self.cache.get(sha256, size, bring)

    def read(self, path: str) -> bytes:
        """What is stored at `path`.

        Raises:
            FileNotFoundError: there is nothing.
            OSError: the storage does not answer.
        """
        content: bytes = self._ask(lambda: self._client.cat_file(self._key(path)))
        return content

    def holds(self, path: str) -> bool:
        """Whether a file is there.

        Raises:
            OSError: the storage does not answer.
        """
        try:
            self._ask(lambda: self._client.info(self._key(path)))
        except FileNotFoundError:
            return False
        return True

    def find(self, pattern: str) -> list[str]:
        """The paths of files and folders that look so, such as `run_*/attempt-*/*`, in their order.

        Raises:
            OSError: the storage does not answer.
        """
        return list(self._found(pattern))

    def find_old(self, pattern: str, older_than_s: float) -> list[str]:
        """Those of them that nobody has written to for so long, by the storage's own clock.

        Raises:
            OSError: the storage does not answer.
        """
        found = self._found(pattern)
        if not found:
            return []
        # What is written now is dated by that clock.
        clock = f"{_CLOCK}-{token_hex(8)}"
        try:
            self.mark(clock)
            before = self._found(clock)[clock] - older_than_s
        except OSError:
            # Where it takes no more, it cannot be asked.
            return []
        finally:
            with contextlib.suppress(OSError):
                self.delete(clock)
        return [path for path, written in found.items() if written < before]

    def delete(self, path: str) -> None:
        """Delete the file at `path`, if there is one.

        Raises:
            OSError: it cannot be deleted.
        """
        self._ask(lambda: self._client.rm_file(self._key(path)))

    def delete_folder(self, path: str) -> None:
        """Delete all that lies below `path`; nothing happens if there is nothing.

        Raises:
            OSError: it cannot be deleted; some of it may be.
        """
        for name in self._names(f"{path}/"):
            self.delete(name)

    def forget_drafts(self, older_than_s: float) -> None:
        """Delete what `forget_here` does, and objects that told the time to somebody who died.

        Raises:
            OSError: the storage does not answer.
        """
        self.forget_here(older_than_s)
        for clock in self.find_old(f"{_CLOCK}-*", older_than_s):
            self.delete(clock)

    def forget_here(self, older_than_s: float) -> None:
        """Delete from this machine what was being received or made when who did it died, and copies that are too many.

        Nothing of it was written to for so long. The store is asked nothing.
        """
        self.scratch.forget(older_than_s)
        self.cache.sweep()

    def workplace(self, path: str) -> Path:
        """Where on this machine a folder may be made that is then published."""
        return self.scratch.workplace(path)

    def leave(self, path: str) -> None:
        """Delete what is in a workplace, and the folder above if that is empty now."""
        self.scratch.leave(path)

    @refusals()
    def prepare_folder(self, made: str, path: str) -> Callable[[], None]:
        """Send the folder made in that workplace; what is returned publishes it at `path`, at once.

        That is one small request, without patience, for it is made in a transaction. What lies at `path` is replaced;
        whoever publishes sees to it that nobody else does.

        Raises:
            OSError: it cannot be sent.
        """
        with self.draft() as draft:
            size = pack(self.workplace(made), draft.path)
            sha256 = sha256_of(draft.path)
            packed = f"{path}/{sha256}.tar"
            # Before the tar, which may take hours: what is made may be taken for left behind by then.
            for picture in sorted((self.workplace(made) / "thumbnails").glob("*")):
                self.write(f"{path}/thumbnails/{picture.name}", picture.read_bytes())
            self.keep(draft, packed)
        manifest = json.dumps({"path": packed, "sha256": sha256, "bytes": size}).encode()
        patience_s, answer_s = min(_HELD_PATIENCE_S, self.patience_s), min(_HELD_ANSWER_S, self.answer_s)
        prompt = replace(self, patience_s=patience_s, answer_s=answer_s)
        # A connection takes a second to make.
        with contextlib.suppress(OSError):
            prompt.require()

        def publish() -> None:
            prompt.write(f"{path}/{_MANIFEST}", manifest)
            failpoints.reach("content_published")

        return publish

    def tidy_folder(self, path: str) -> None:
        """Delete what was sent to be published there and was not, by somebody who died or was overtaken.

        Whoever calls that knows that nobody publishes there any more.

        Raises:
            OSError: it cannot be deleted.
        """
        published = json.loads(self.read(f"{path}/{_MANIFEST}"))["path"]
        for packed in self.find(f"{path}/*.tar"):
            if packed != published:
                self.delete(packed)

    def sent_twice(self, pattern: str) -> list[str]:
        """Which folders that look so were sent more than once: `tidy_folder` has something to do there.

        Raises:
            OSError: the storage does not answer.
        """
        sent = Counter(packed.rpartition("/")[0] for packed in self.find(f"{pattern}/*.tar"))
        return [folder for folder, times in sent.items() if times > 1]

    def fetch_folder(self, path: str) -> Path:
        """A folder of this machine below which `path` lies, if it was published.

        Raises:
            FileDamaged: what is stored is not what was.
            OSError: the storage does not answer, or this machine has no room.
        """
        try:
            manifest = json.loads(self.read(f"{path}/{_MANIFEST}"))
        except FileNotFoundError:
            return self.scratch.nothing

        def bring(copy: Path) -> None:
            with self.draft() as draft:
                self._ask(lambda: self._client.get_file(self._key(manifest["path"]), str(draft.path)))
                if sha256_of(draft.path) != manifest["sha256"]:
                    raise FileDamaged(manifest["path"])
                unpack(draft.path, copy / path)

        # Two folders may hold the same, and a file be such a tar: each has a copy of its own.
        key = hashlib.sha256(f"{path} {manifest['sha256']}".encode()).hexdigest()
        return self.cache.get(key, lambda: int(manifest["bytes"]), bring)

    def room(self) -> Room | None:
        """None: a bucket does not tell."""
        return None

    @cached_property
    def _client(self) -> Any:
        return client(self.answer_s)

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.bucket, self.prefix, path) if part)

    def _names(self, beginning: str) -> dict[str, float]:
        """All paths that begin so, and when each was written by the storage's clock (seconds since 1970)."""
        above, _, first = self._key(beginning).rpartition("/")
        cut = len(self._key("x")) - 1
        found = self._ask(lambda: self._client.find(above, prefix=first, detail=True))
        return {key[cut:]: each["LastModified"].timestamp() for key, each in found.items()}

    def _found(self, pattern: str) -> dict[str, float]:
        return matching(self._names(pattern.partition("*")[0]), pattern)

    @refusals()
    def _ask(self, request: Callable[[], T]) -> T:
        """What the store answers, asked again while it is away.

        Raises:
            StorageAway: it was for too long.
            StorageRefused: it takes nothing from this service.
            OSError: it has no room, or not what was asked for.
        """
        try:
            return patiently(request, self.patience_s)
        except StorageRefused:
            # Who asks next has credentials that are read anew.
            self.__dict__.pop("_client", None)
            raise
