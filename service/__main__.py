"""`python -m service`: the API until SIGTERM."""

import logging
import sys
from collections.abc import Sequence

from store.loading import without_collections

with without_collections(freezing=__name__ == "__main__"):
    import gauntlet
    from gauntlet.settings import SettingsInvalid, require_no_arguments
    from service.callers.access import AccessUnsafe
    from service.settings import ServiceSettings
    from service.transport.server import serve
    from store import logs
    from store.texts import masked


def main(arguments: Sequence[str] = ()) -> None:
    """Serve on the environment's settings."""
    try:
        require_no_arguments(arguments)
        settings = ServiceSettings.from_environment()
    except SettingsInvalid as error:
        sys.exit(str(error))
    logs.configure("api", settings.log_format)
    logging.getLogger(__name__).info("Gauntlet %s, on %s.", gauntlet.__version__, masked(settings.database_url))
    try:
        serve(settings)
    except (AccessUnsafe, SettingsInvalid) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
