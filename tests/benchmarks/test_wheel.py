"""The library from its wheel, where nothing else of this repository is."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.wheel import ROOT, build, install, installed, requirements

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]

_DIGITS, _FEW_DIGITS = '{"name": "digits"}', '{"name": "digits", "train_samples": 96}'
_USED = """if True:
    import sys
    from contextlib import redirect_stdout
    from importlib.util import find_spec
    from io import StringIO
    from pathlib import Path

    others = ("cli", "service", "store", "worker", "migrations", "tests", "benchmarks", "client")
    heavy = ("celery", "fastapi", "matplotlib", "optuna", "pyarrow", "sqlalchemy", "stable_baselines3", "uvicorn")
    assert not [name for name in (*others, *heavy) if find_spec(name)]

    import gauntlet.client
    assert "site-packages" in gauntlet.__file__
    assert not sys.modules.keys() & {"torch", "numpy", "gymnasium"}
    with gauntlet.client.GauntletClient("http://127.0.0.1:9"):
        pass

    import torch
    torch.set_num_threads(1)
    with redirect_stdout(StringIO()) as told:
        exec(sys.argv[1], {})
    assert "ranks it nowhere" in told.getvalue()
    exec(sys.argv[2])
    assert "<table" in Path("report.html").read_text()

    import gymnasium
    environment = gymnasium.make("gauntlet.envs:gauntlet/ImageClassification-v0", dataset="digits")
    environment.reset(seed=0)
    assert environment.step(0)[1] in (-1, 1)

    agent = run.model_copy(update={"objective": gauntlet.spec.runs.objectives.Ppo()})
    try:
        list(gauntlet.train(agent, data, device="cpu"))
    except gauntlet.errors.PackageMissing as error:
        print(error)
"""


def test_the_wheel_is_the_library_alone(tmp_path: Path) -> None:
    """It puts one name among the packages and brings nothing of the server's. There docs/library.md's examples come to
    results and a report, an environment steps, there is a client, and what needs an extra says which."""
    wheel = build(tmp_path)
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"gauntlet"}
    python = install(wheel, tmp_path / "bare")
    library = installed(next((tmp_path / "bare/lib").iterdir()) / "site-packages")
    assert not library.entry_points

    brought = {package.metadata["Name"].lower() for package in requirements(library, ["server"])}
    assert {"celery", "fastapi", "optuna", "pyarrow", "sqlalchemy", "stable_baselines3"} <= brought

    page = (ROOT / "docs/library.md").read_text()
    elsewhere, example = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example.count(_DIGITS) == 1
    tiny = example.replace(_DIGITS, _FEW_DIGITS)
    command = [python, "-I", "-c", _USED, elsewhere, tiny]
    used = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert used.returncode == 0, used.stderr
    assert used.stdout == (
        "Training by PPO, A2C or DQN needs the package stable_baselines3, which is not there: "
        "pip install 'gauntlet[rl]' brings it.\n"
    )
