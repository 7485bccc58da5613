"""`python -m service`: the API until SIGTERM."""

import uvicorn

from service.app import create_app
from service.settings import ServiceSettings

if __name__ == "__main__":
    settings = ServiceSettings()
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, log_level="info")
