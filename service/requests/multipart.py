"""A form as multipart/form-data (RFC 7578), taken apart as it comes: its files go to the disk, its texts are UTF-8."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers, UploadFile

from service.errors import ServiceError
from service.requests.forms import Form, decoded, require_utf8

_PLAIN = (b"binary", b"8bit", b"7bit")


@dataclass
class _Part:
    """What has come of one part so far."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    text: bytearray = field(default_factory=bytearray)
    upload: UploadFile | None = None


class MultipartReader:
    """Fills a form with what comes. What is not short is not for the event loop: it decodes, and writes files.

    Raises:
        ServiceError: 422 if what comes is broken, 415 if it is encoded in a way of its own; or what the form refuses.
        OSError: there is no room for a file.
    """

    def __init__(self, boundary: bytes, form: Form) -> None:
        self._form = form
        self._part = _Part()
        self._ended = False
        if not boundary:
            raise _broken("its Content-Type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _broken("its boundary is too long") from error

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        if self._ended and piece.strip(b"\r\n"):
            raise _broken("something follows its last boundary")
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _broken("its parts or their headers are not written as they should be") from error

    def require_end(self) -> None:
        """Refuse a form that was cut off."""
        if not self._ended:
            raise _broken("it ends before its last boundary")

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _end_header(self) -> None:
        part = self._part
        name = part.header_name.lower()
        if name in part.headers:
            raise _broken("a part has a header twice")
        part.headers[name] = part.header_value
        part.header_name = part.header_value = b""

    def _open_part(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get(b"content-disposition"))
        part.name = decoded(options.get(b"name", b""), "")
        expected = self._form.expect(part.name)
        if part.headers.get(b"content-transfer-encoding", b"binary").lower() not in _PLAIN:
            raise ServiceError(415, "unsupported-media-type", "A part of the form must be sent as it is, not encoded.")
        if not expected.is_file:
            require_utf8(parse_options_header(part.headers.get(b"content-type"))[1])
        elif b"filename" in options:
            # The name is for people to read; one that is not UTF-8 shows its bytes.
            filename = options[b"filename"].decode(errors="backslashreplace")
            part.upload = self._form.open_file(part.name, filename, Headers(raw=list(part.headers.items())))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.upload is not None:
            part.upload.size = (part.upload.size or 0) + end - start
            part.upload.file.write(data[start:end])
            return
        self._form.make_room(end - start)
        part.text += data[start:end]

    def _end_part(self) -> None:
        part = self._part
        if part.upload is None:
            self._form.add_text(part.name, bytes(part.text))
        else:
            part.upload.file.seek(0)

    def _end(self) -> None:
        self._ended = True


def _broken(why: str) -> ServiceError:
    return ServiceError(422, "invalid-request", f"The form cannot be read: {why}.")
