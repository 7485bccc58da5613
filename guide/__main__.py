"""`python -m guide [--strict]`: docs/ as a site of plain files in build/guide, which the service shows at /guide/."""

import argparse
import sys

from sphinx.cmd.build import main as sphinx_build

from guide.places import CONFIGURATION, SOURCES, STATE
from service.routes.documents import SITE


def build(*, strict: bool) -> int:
    """Write what has changed since the last time; the exit status. With `strict` a warning is an error."""
    SITE.parent.mkdir(exist_ok=True)
    arguments = ["-q", "-b", "html", "-c", str(CONFIGURATION), "-d", str(STATE)]
    # All that is wrong, not the first alone.
    arguments += ["-W"] if strict else []
    return sphinx_build([*arguments, str(SOURCES), str(SITE)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m guide", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="end with status 1 where anything is amiss")
    sys.exit(build(strict=parser.parse_args().strict))
