"""The tests, and what holds for all of their processes and those that they start."""

import os
import sys

# Else every process compiles every module again, and pytest every test's assertions in each of its workers.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
