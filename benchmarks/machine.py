"""What the numbers were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch


def describe_machine() -> dict[str, Any]:
    """Processor with its generation's numbers, cores, what speeds up bf16 there, GPU if there is one, and versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = (line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines}
    flags = set(fields.get("flags", "").split())
    # Virtual machines name the maker's line alone, "AMD EPYC": its generations differ by a factor of two.
    generation = [
        f"{name} {fields[key]}" for name, key in (("family", "cpu family"), ("model", "model")) if key in fields
    ]
    processor = fields.get("model name", platform.processor())
    return {
        "processor": f"{processor} ({', '.join(generation)})" if generation else processor,
        "cores": os.cpu_count(),
        "bf16_instructions": sorted(flags & {"amx_bf16", "avx512_bf16"}),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
