"""What the fork server loads before the first job: torch, and all that a job's process runs.

No garbage is looked for meanwhile, which would take a sixth of the time. Afterwards what was loaded counts as permanent
(`gc.freeze`): a job's own collections leave it alone, and its memory stays shared with the fork server's.
"""

import gc
import importlib

gc.disable()
importlib.import_module("worker.jobs.child")
# What the library loads only where it is asked for.
importlib.import_module("gauntlet.training.agents")
# What torch loads with a process's first step of an optimizer, compiled or not: two seconds of every run.
importlib.import_module("torch._dynamo")
gc.freeze()
gc.enable()
