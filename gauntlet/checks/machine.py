"""What a job will be computed on, as far as it is known before it is."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import NamedTuple

# NVIDIA's and AMD's.
GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


class Machine(NamedTuple):
    """Whether there is a GPU, and a C++ compiler for the steps of a CPU, and which networks of a team's own there are.

    None where that is not known.
    """

    gpu: bool | None = None
    compiler: bool | None = None
    networks: frozenset[str] | None = None


UNKNOWN = Machine()


def this_machine() -> Machine:
    """Without a driver there is no GPU; with one it may still be out of use."""
    return Machine(gpu=None if any(driver.exists() for driver in GPU_DRIVERS) else False, compiler=compiler_present())


def compiler_present() -> bool:
    """Whether what torch's compiler for CPUs calls is here, and the header that its code includes."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return compiler is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()
