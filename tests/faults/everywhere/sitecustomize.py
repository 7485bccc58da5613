"""Arms every process of a system under test: Python imports it at its start where PYTHONPATH has this folder."""

import os
from pathlib import Path

from tests.faults.arming import arm

arm(Path(os.environ["FAILPOINTS"]))
