"""A server that answers whatever a store is asked as S3 answers whom it refuses, with words that are no user's."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCOUNT, USER, BUCKET = "123456789012", "trainer-of-teams", "homes"
SENTENCE = (
    f"User: arn:aws:iam::{ACCOUNT}:user/{USER} is not authorized to perform: s3:GetObject on resource: "
    f'"arn:aws:s3:::{BUCKET}/one" because no identity-based policy allows the s3:GetObject action'
)


@contextmanager
def refusing_store(
    status: int, code: str, *, heads: int | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Its address; requests are answered with this status and a body, those for a head with `heads` and none."""
    body = f"<Error><Code>{code}</Code><Message>{SENTENCE.replace(chr(34), '&quot;')}</Message></Error>".encode()

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(heads or status if self.command == "HEAD" else status)
            self.send_header("Content-Type", "application/xml")
            told = b"" if self.command == "HEAD" else body
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  # the server's names for them

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what matters is what the one who asks logs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
