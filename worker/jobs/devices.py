"""Which device a job computes on, and what it is called."""

import platform

import torch


def choose_device(name: str) -> torch.device:
    """The torch device a setting means; `auto` is the GPU if there is one.

    A GPU that the setting numbers becomes this process's current one, which what torch and Triton launch goes by.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device


def devices_of_a_run(first: torch.device, count: int) -> list[torch.device]:
    """The devices that a run is divided among: so many GPUs from the first on, or so many processes of a CPU."""
    if first.type == "cpu":
        return [first] * count
    return [torch.device(first.type, (first.index or 0) + number) for number in range(count)]


def describe_device(device: torch.device) -> str:
    """What the device is, such as `cuda NVIDIA H100` or `cpu x86_64, 1 thread`: what a job's seconds are seconds of."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"cpu {platform.machine()}, {threads} {'thread' if threads == 1 else 'threads'}"
