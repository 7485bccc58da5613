"""The library as its users get it: its wheel, installed with what it asks for and nothing else; its size, its imports.

    python -m benchmarks.wheel --out benchmarks/results/wheel.json

Nothing is fetched: what the wheel requires is linked from the environment that runs this, package by package. So what
it does not require is not there, and an import of it fails as it does for a user.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from benchmarks.machine import describe_machine

ROOT = Path(__file__).parents[1]
REPEATS = 7
# What a program imports that asks for values, that talks to a service, that trains, and that evaluates.
IMPORTS = ("gauntlet", "gauntlet.client", "gauntlet.training.loop", "gauntlet.evaluation.loop")
EXTRAS = ("rl", "parquet", "sweeps", "onnx", "tensorboard", "server")
_TORCH = ("torch", "torchvision")


def build(into: Path) -> Path:
    """Build the wheel into a folder, without a network; its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603  # our own arguments
    (wheel,) = into.glob("*.whl")
    return wheel


def install(wheel: Path, into: Path, extras: Iterable[str] = ()) -> Path:
    """Install the wheel in a new environment in `into`, beside what it requires; the environment's interpreter."""
    python, packages = into / "bin/python", into / f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    for command in (
        ["-m", "venv", "--without-pip", str(into)],
        ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
    ):
        subprocess.run([sys.executable, *command], check=True)  # noqa: S603  # our own arguments
    site = packages / "site-packages"
    for required in requirements(installed(site), extras):
        for path in _top(required):
            link = site / path.name
            if not link.exists():
                link.symlink_to(path)
    return python


def installed(site: Path) -> Distribution:
    """The library among the packages of an environment."""
    (metadata,) = site.glob("gauntlet-*.dist-info")
    return PathDistribution(metadata)


def requirements(library: Distribution, extras: Iterable[str] = ()) -> list[Distribution]:
    """All that pip would install with it, as the environment that runs this has it, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(library, frozenset(extras))]
    met = set()
    while waiting:
        asking, chosen = waiting.pop()
        for requirement in map(Requirement, asking.requires or ()):
            wanted = any((requirement.marker is None, *_applies(requirement, chosen)))
            key = (_normal(requirement.name), frozenset(requirement.extras))
            if wanted and key not in met:
                met.add(key)
                found[key[0]] = distribution(requirement.name)
                waiting.append((found[key[0]], key[1]))
    return [found[name] for name in sorted(found)]


def _applies(requirement: Requirement, extras: frozenset[str]) -> Iterator[bool]:
    for extra in extras or {""}:
        yield requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top(package: Distribution) -> set[Path]:
    """What the package has put into the folder of packages, but for caches."""
    names = {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}
    return {Path(str(package.locate_file(name))) for name in names}


def _bytes(package: Distribution) -> int:
    paths = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


def _megabytes(packages: Iterable[Distribution]) -> float:
    return round(sum(map(_bytes, packages)) / 1e6, 1)


def _import_seconds(python: Path, module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    # Away from the checkout, which would be imported instead; a wheel is compiled when it is installed.
    command = [str(python), "-I", "-c", code]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")  # noqa: S603  # as above
    return float(told.stdout)


def measure(home: Path) -> dict[str, Any]:
    """Sizes in megabytes (10⁶ bytes, without compiled bytecode), and seconds of imports in new processes."""
    wheel = build(home)
    python = install(wheel, home / "bare")
    library = installed(next((home / "bare/lib").iterdir()) / "site-packages")
    base = requirements(library)
    names = {package.metadata["Name"] for package in base}
    seconds: dict[str, list[float]] = {module: [] for module in IMPORTS}
    for repeat in range(REPEATS + 1):
        for module in IMPORTS:
            took = _import_seconds(python, module)
            if repeat:  # the first round fills the disk's cache
                seconds[module].append(round(took, 3))
    return {
        "machine": describe_machine(),
        "wheel_kilobytes": round(wheel.stat().st_size / 1e3),
        "megabytes": {
            "gauntlet": _megabytes([library]),
            "torch and torchvision": _megabytes(p for p in base if p.metadata["Name"] in _TORCH),
            "everything else it requires": _megabytes(p for p in base if p.metadata["Name"] not in _TORCH),
            "more with an extra": {
                extra: _megabytes(p for p in requirements(library, [extra]) if p.metadata["Name"] not in names)
                for extra in EXTRAS
            },
        },
        "packages": {p.metadata["Name"]: p.version for p in base},
        "import_seconds": {
            module: {"median": statistics.median(found), "all": sorted(found)} for module, found in seconds.items()
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where to write the results")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    out.write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))
