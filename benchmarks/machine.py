"""What the numbers were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch


def describe_machine() -> dict[str, Any]:
    """Processor, cores, what speeds up bf16 there, GPU if there is one, and versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    flags = {flag for name, value in fields.items() if name.strip() == "flags" for flag in value.split()}
    models = [value.strip() for name, value in fields.items() if name.strip() == "model name"]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "bf16_instructions": sorted(flags & {"amx_bf16", "avx512_bf16"}),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
