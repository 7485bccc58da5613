"""What a form may hold: the fields that its route declares, each as often as it may come."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

from annotated_types import MaxLen
from fastapi import params
from fastapi.dependencies.models import Dependant
from pydantic.fields import FieldInfo
from starlette.datastructures import Headers, UploadFile

from gauntlet.resources import ProblemError
from gauntlet.spec.reading.documents import json_pointer
from gauntlet.spec.reading.messages import no_such, printable
from service.errors import ServiceError, invalid_fields
from service.requests.parameters import is_list, with_dependencies
from store.dataset_files import Incoming
from store.storage import Storage


class IntoStorage:
    """Annotates a file that is to stay: it is received where it can be kept without copying it."""


INTO_STORAGE: Final = IntoStorage()
# Smaller files stay in memory.
_SPOOLED_FROM: Final = 1 << 20


@dataclass(frozen=True)
class Field:
    """What may come under a name: at most so many files, or so many texts. A file goes to the storage if it says so."""

    is_file: bool
    most: int
    into_storage: bool = False


def declared(dependant: Dependant) -> dict[str, Field]:
    """The fields of the form that a route's function takes."""
    return {
        one.alias: Field(
            isinstance(one.field_info, params.File),
            _most(one.field_info),
            into_storage=INTO_STORAGE in one.field_info.metadata,
        )
        for part in with_dependencies(dependant)
        for one in part.body_params
    }


def document(schema: dict[str, Any]) -> None:
    """Say in the API's schema that a form holds no other fields; the framework names its forms `Body_…`."""
    for name, part in schema["components"]["schemas"].items():
        if name.startswith("Body_"):
            part["additionalProperties"] = False


def _most(info: FieldInfo) -> int:
    """How often a field may come; one that is a list says so itself."""
    if not is_list(info.annotation):
        return 1
    return next(bound.max_length for bound in info.metadata if isinstance(bound, MaxLen))


@dataclass
class Form:
    """What has come of a form so far. Every method raises a ServiceError where something may not stand in it."""

    fields: Mapping[str, Field]
    most_text_bytes: int
    storage: Storage
    items: list[tuple[str, str | UploadFile]] = field(default_factory=list)
    _came: Counter[str] = field(default_factory=Counter)
    _text_bytes: int = 0

    def takes(self, name: str) -> bool:
        """Whether a field of that name may come now."""
        return name in self.fields and self._came[name] < self.fields[name].most

    def expect(self, name: str) -> Field:
        """The field that is about to come."""
        known = self.fields.get(name)
        if known is None:
            raise invalid(name, no_such("field", name, list(self.fields)))
        if self._came[name] == known.most:
            times = "once" if known.most == 1 else f"{known.most} times"
            raise invalid(name, f"This field may be given {times} only.")
        self._came[name] += 1
        return known

    def has_room(self, text_bytes: int) -> bool:
        """Whether so much text more may come."""
        return self._text_bytes + text_bytes <= self.most_text_bytes

    def make_room(self, text_bytes: int) -> None:
        """Count text that came, and refuse more in all than the form may hold."""
        if not self.has_room(text_bytes):
            detail = f"The texts of the form have more than {self.most_text_bytes} bytes."
            raise ServiceError(413, "body-too-large", detail)
        self._text_bytes += text_bytes

    def add_text(self, name: str, text: bytes | str) -> None:
        """Add a text, or what a file holds that was given in its place."""
        if self.fields[name].is_file:
            raise invalid(name, f"This must be sent as a file, such as -F {name}=@FILE.")
        self.items.append((name, text if isinstance(text, str) else decoded(text, name)))

    def open_file(self, name: str, filename: str, headers: Headers) -> UploadFile:
        """Add a file that is to be written to; it is the form's to close.

        Raises:
            OSError: there is no room for it.
        """
        if self.fields[name].into_storage:
            file = cast("BinaryIO", Incoming(self.storage))
        else:
            file = cast("BinaryIO", SpooledTemporaryFile(max_size=_SPOOLED_FROM))  # noqa: SIM115  # as said
        upload = UploadFile(file, size=0, filename=filename, headers=headers)
        self.items.append((name, upload))
        return upload

    def close(self) -> None:
        """Close its files."""
        for _, value in self.items:
            if isinstance(value, UploadFile):
                value.file.close()


def invalid(name: str, message: str) -> ServiceError:
    """The refusal of a form for what is wrong with one of its fields."""
    return invalid_fields([ProblemError(pointer=json_pointer([printable(name)]), message=printable(message))])


def decoded(text: bytes, name: str) -> str:
    """The text of a field.

    Raises:
        ServiceError: 422, it is not UTF-8.
    """
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise invalid(name, "This text is not UTF-8.") from error


def require_utf8(options: Mapping[bytes, bytes]) -> None:
    """Refuse another charset than UTF-8 in a Content-Type's parameters: some take hours to decode.

    Raises:
        ServiceError: 415.
    """
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        raise ServiceError(415, "unsupported-media-type", "Text must be sent as UTF-8.")
