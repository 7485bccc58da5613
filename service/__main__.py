"""`python -m service`: the API until SIGTERM."""

import uvicorn

from service.app import create_app
from service.settings import ServiceSettings

if __name__ == "__main__":
    settings = ServiceSettings()
    # Whoever watches a job asks several times a second, for hours. What fails is logged under its request's id.
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, log_level="info", access_log=False)
