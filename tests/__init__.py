"""The tests, and what holds for all of their processes and those that they start."""

import os
import sys

from tests import scratch

# Else every process compiles every module again, and pytest every test's assertions in each of its workers.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if (memory := scratch.memory()) is not None:
    # pytest's own name for the folder above all `tmp_path`.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
