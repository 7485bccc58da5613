"""`python -m tests.ranges lowest|newest`: Gymnasium and Stable-Baselines3 at an end of what pyproject.toml allows."""

import re
import sys
import tomllib
from pathlib import Path

PACKAGES = ("gymnasium", "stable-baselines3")


def allowed(document: str) -> dict[str, str]:
    """The range of each, as `>=1.4,<2`."""
    project = tomllib.loads(document)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["rl"]]
    return {name: each.removeprefix(name) for each in wanted for name in PACKAGES if each.startswith(name)}


def at(end: str, ranges: dict[str, str]) -> list[str]:
    """pip's requirements: the bound itself, or the newest below the other one."""
    if end == "lowest":
        return [f"{name}=={bound}" for name, each in ranges.items() for bound in re.findall(r">=([\d.]+)", each)]
    return [f"{name}{each}" for name, each in ranges.items()]


if __name__ == "__main__":
    document = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    sys.stdout.write(" ".join(at(sys.argv[1], allowed(document))))
