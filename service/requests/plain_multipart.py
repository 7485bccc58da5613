"""A short form that is written as clients write one, taken apart at once, on the event loop.

`multipart` goes through a form as it comes, part by part in Python: 1.5 ms of 64 small pictures, where this takes a
fifth. What is not of the plainest kind, or refused for how it is written, is that one's to read.
"""

import re

from starlette.datastructures import Headers

from service.requests.forms import Form

# As the HTTP libraries, curl and browsers write it. A name that has more in it than these is read by `multipart`.
_HEAD = re.compile(
    rb'\r\nContent-Disposition: (form-data; name="(\w+)"(?:; filename="(\w(?:[\w .()+@,-]*[\w)])?)")?)'
    rb"(?:\r\nContent-Type: (\w[\w.+-]*/[\w.+-]+))?\r\n\r\n"
)
_LONGEST_BOUNDARY = 70  # RFC 2046, 5.1.1


def read_plain(boundary: bytes, content: bytes, form: Form) -> bool:
    """Fill a form with all of its content, as `MultipartReader` would; False, and nothing is done, if it is not plain.

    Raises:
        ServiceError: what the form refuses.
    """
    line = b"--" + boundary
    most = sum(field.most for field in form.fields.values())
    is_short = 0 < len(boundary) <= _LONGEST_BOUNDARY and content.count(line) <= most + 1
    if not (is_short and content.startswith(line) and content.endswith(b"\r\n" + line + b"--\r\n")):
        return False
    *parts, _ = content[len(line) :].split(b"\r\n" + line)
    heads = [_HEAD.match(part) for part in parts]
    if not all(heads):
        return False
    text_bytes = 0
    for part, head in zip(parts, filter(None, heads), strict=True):
        said, its_name, filename, kind = head.groups()
        name, held = its_name.decode(), part[head.end() :]
        if form.expect(name).is_file and filename is not None:
            headers = [(b"content-disposition", said), *([] if kind is None else [(b"content-type", kind)])]
            upload = form.open_file(name, filename.decode(), Headers(raw=headers))
            upload.size = upload.file.write(held)
            upload.file.seek(0)
            continue
        text_bytes += len(held)
        form.require_room(text_bytes)
        form.add_text(name, held)
    return True
