"""`python -m service`: the API until SIGTERM."""

from service.server import serve
from service.settings import ServiceSettings

if __name__ == "__main__":
    serve(ServiceSettings())
