"""The library from its wheel, where nothing else of this repository is."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.wheel import build, install, installed, requirements

pytestmark = pytest.mark.long

_USED = """if True:
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    others = ("cli", "service", "store", "worker", "migrations", "tests", "benchmarks", "client")
    heavy = ("celery", "fastapi", "matplotlib", "optuna", "pyarrow", "sqlalchemy", "stable_baselines3", "uvicorn")
    assert not [name for name in (*others, *heavy) if find_spec(name)]

    import gauntlet.client
    assert "site-packages" in gauntlet.__file__
    assert not sys.modules.keys() & {"torch", "numpy", "gymnasium"}
    with gauntlet.client.GauntletClient("http://127.0.0.1:9"):
        pass

    import gymnasium
    import torch
    from gauntlet.data.datasets import Dataset, digest, load_dataset
    from gauntlet.errors import PackageMissing
    from gauntlet.evaluation.loop import evaluate
    from gauntlet.events import CheckpointReady, EpochFinished
    from gauntlet.models.architectures import build_model
    from gauntlet.rendering import render
    from gauntlet.report.report import assemble
    from gauntlet.report.report_row import report_row
    from gauntlet.results.outcome import Measured, summarise
    from gauntlet.spec.experiment import ExperimentSpec
    from gauntlet.training.loop import train

    torch.set_num_threads(1)
    asked = {
        "dataset": {"name": "digits"},
        "objectives": [{"kind": "cross_entropy"}, {"kind": "ppo", "n_steps": 1}],
        "adversary": {"kind": "fgsm", "eps": "32/255"},
        "training": {"epochs": 1, "batch_size": 32, "optimizer": {"kind": "rmsprop", "lr": 1e-3}},
        "evaluation": {"attacks": [{"kind": "fgsm", "eps": "32/255"}], "samples": 16, "masking": None},
    }
    spec = ExperimentSpec.model_validate(asked)
    (objective, run), (_, agent) = spec.runs()
    whole = load_dataset(run.dataset, Path("unused"))
    few = Dataset(whole.train.take(72), whole.test.take(24), whole.classes)
    events = list(train(run, few, device=torch.device("cpu")))
    (epoch,) = [event for event in events if isinstance(event, EpochFinished)]
    (ready,) = [event for event in events if isinstance(event, CheckpointReady)]
    model = build_model(run.architecture, few.image_shape, len(few.classes))
    model.load_state_dict(ready.state.model)
    attacks = spec.evaluation.of_one()
    batches = evaluate(model, few.test, attacks, len(few.classes), device="cpu")
    outcome = summarise(attacks, batches, Measured("", "digits", digest(few.test, few.classes), few.classes))
    row = report_row(objective=objective, seed=run.seed, run="1", checkpoint="1", epoch=1, selection="last",
                     metrics=epoch.metrics, outcome=outcome)
    report = assemble(experiment="1", name="tiny", status="succeeded", complete=True, spec=spec, rows=[row])
    assert "<svg" in render(report, "html")

    environment = gymnasium.make("gauntlet.envs:gauntlet/ImageClassification-v0", dataset="digits")
    environment.reset(seed=0)
    assert environment.step(0)[1] in (-1, 1)

    try:
        list(train(agent, few, device=torch.device("cpu")))
    except PackageMissing as error:
        print(error)
"""


def test_the_wheel_is_the_library_alone(tmp_path: Path) -> None:
    """It puts one name among the packages and brings nothing of the server's; with that it trains, evaluates, reports,
    steps an environment and has a client, and what needs an extra says which."""
    wheel = build(tmp_path)
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"gauntlet"}
    python = install(wheel, tmp_path / "bare")
    library = installed(next((tmp_path / "bare/lib").iterdir()) / "site-packages")
    assert not library.entry_points

    brought = {package.metadata["Name"].lower() for package in requirements(library, ["server"])}
    assert {"celery", "fastapi", "optuna", "pyarrow", "sqlalchemy", "stable_baselines3"} <= brought

    used = subprocess.run([python, "-I", "-c", _USED], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert used.returncode == 0, used.stderr
    assert used.stdout == (
        "Training by PPO, A2C or DQN needs the package stable_baselines3, which is not there: "
        "pip install 'gauntlet[rl]' brings it.\n"
    )
