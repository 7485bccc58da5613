"""Every block for a shell in the documents is run by a test, or says beside it why it is not."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import torch
from PIL import Image

from gauntlet.models.architectures import build_model
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.architectures import Cnn
from service.settings import ServiceSettings
from tests.documents.blocks import blocks
from tests.documents.shell import Shell, shell
from tests.packing import class_folders
from tests.smallest import SMALLEST

pytestmark = [pytest.mark.long(seconds=20), pytest.mark.thorough]

# Pages whose blocks are run as a whole by tests of their own.
ELSEWHERE: Final = {
    "docs/tutorial.md": "tests/e2e/test_tutorial.py",
    "docs/api.md": "tests/service/test_documented_requests.py",
}
# That Make's targets are there is held in tests/cli/test_documented_commands.py; CI, or whoever measures, runs them.
_MAKE: Final = re.compile(r"(?:make [a-z-]+ +#.*\n)+")
HERE: Final = ("docs/howto/experiment.md", "docs/practitioner.md", "docs/team.md", "docs/operations.md")
# What a reader has done already, or waits for longer than a test may: the same is run with less of it.
LESS: Final = {
    ". .venv/bin/activate\n": "",
    "submit quickstart": "submit tiny.yaml",
    "kind: resnet18": "kind: cnn",
    "--architecture resnet18": "--architecture cnn",
    "epochs: 30": "epochs: 1",
    "--samples 1000": "--samples 10",
    "--attack fast --eps 8/255 --watch": "--attack fast --eps 8/255 --samples 4 --watch",
    "--attack fast --eps 2/255 --eps 8/255 --samples 100": "--attack fgsm --eps 2/255 --eps 8/255 --samples 4",
    "protocol: fast, eps: [2/255, 8/255], samples: 100": "protocol: fast, eps: [2/255, 8/255], samples: 4",
}


def test_every_block_is_run_or_says_why_not() -> None:
    """Here, by another test, or by Make; and what says why not is not run. Benchmarks take hours, or want a GPU."""
    for block in blocks():
        if block.page.startswith("benchmarks/"):
            continue
        known = block.page in {*HERE, *ELSEWHERE} or block.why or _MAKE.fullmatch(block.text)
        assert known, f"{block.page}: nobody runs\n{block.text}Put `<!-- not run: why -->` before it, or run it."
    assert all((Path(__file__).parents[2] / test).is_file() for test in ELSEWHERE.values())


def script(page: str, names: Mapping[str, str] | None = None) -> str:
    """A page's blocks one after the other, with less to wait for, and ids in the place of the words for them."""
    text = "".join(block.text for block in blocks() if block.page == page and not block.why)
    for more, less in LESS.items():
        text = text.replace(more, less)
    for word, identifier in (names or {}).items():
        text = re.sub(rf"\b{word}\b", identifier, text)
    return text


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> ServiceSettings:
    return ServiceSettings(
        home=tmp_path / "home", database_url=sqlite_url, broker_url="redis+socket:///nonexistent/broker.sock"
    )


def own_files(folder: Path, tiny: ExperimentSpec) -> None:
    """What a reader brings."""
    document = json.dumps(tiny.model_dump(mode="json") | {"architecture": SMALLEST})
    (folder / "tiny.yaml").write_text(document)
    (folder / "mine.yaml").write_text(document)
    Image.new("L", (16, 16), 200).save(folder / "PICTURE.png")
    for name, content in class_folders(("cat", "dog", "fox", "owl"), 5).items():
        (folder / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pets" / name).write_bytes(content)
    torch.save(build_model(Cnn(), (3, 32, 32), 4).state_dict(), folder / "model.pt")


def done_before(opened: Shell) -> dict[str, str]:
    """What a reader has when the page names an experiment, a run, …; two runs wait, of which one is cancelled."""
    told = opened.run(
        'first() { grep -o "$1_[0-9a-z]*" | head -1; }\n'
        "experiment=$(gauntlet submit tiny.yaml); gauntlet watch $experiment >&2\n"
        "run=$(gauntlet runs $experiment --json | first run)\n"
        "checkpoint=$(gauntlet checkpoints $run --json | first ckpt)\n"
        "evaluation=$(gauntlet evaluate $checkpoint --attack fgsm --eps 8/255 --samples 4 --keep-images 2)\n"
        "gauntlet watch $evaluation >&2\n"
        "waiting=$(gauntlet runs $(gauntlet submit tiny.yaml) --json | first run)\n"
        "cancelled=$(gauntlet runs $(gauntlet submit tiny.yaml) --json | first run)\n"
        "gauntlet cancel $cancelled >&2\n"
        "echo $experiment $run $checkpoint $evaluation $waiting $cancelled\n"
    )
    words = ("EXPERIMENT", "RUN", "CHECKPOINT", "EVALUATION", "WAITING", "CANCELLED")
    return dict(zip(words, told.splitlines()[-1].split(), strict=True))


def test_experiments_and_the_practitioners_tutorial(
    settings: ServiceSettings, tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    """docs/howto/experiment.md: a report is written, and pictures that others can check. docs/practitioner.md: pictures
    and a model of one's own, attacked, looked at, and trained anew."""
    quick = tiny_spec.training.model_copy(update={"epochs": 1, "checkpoint_every": 1})
    with shell(tmp_path / "here", settings) as opened:
        own_files(opened.folder, tiny_spec.model_copy(update={"training": quick}))
        names = done_before(opened)
        (weights,) = settings.home.rglob("*.safetensors")
        (opened.folder / "model.safetensors").write_bytes(weights.read_bytes())
        opened.run(script("docs/howto/experiment.md", names))
        assert "<svg" in (opened.folder / "report.html").read_text()
        assert (opened.folder / "kept.npz").is_file()
        told = opened.run(script("docs/practitioner.md"))
        assert "FGSM" in told
        assert any((opened.folder / "attacked").iterdir())
        assert "robust pets" in (opened.folder / "robust.html").read_text()


def test_the_teams_tutorial_and_operations(
    settings: ServiceSettings, tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    """docs/team.md with logins; docs/operations.md, whose drill restores the backup that it made into an empty home."""
    here = {
        "GAUNTLET_HOME=$PWD/home": f"GAUNTLET_HOME={settings.home}",
        "gauntlet doctor\n": "gauntlet doctor || true\n",
    }
    drill = "export GAUNTLET_HOME=$PWD/drill; unset GAUNTLET_DATABASE_URL; mv gauntlet-*.tar gauntlet.tar\n"
    with shell(tmp_path / "here", settings.model_copy(update={"auth": "on"})) as opened:
        own_files(opened.folder, tiny_spec)
        for page in ("docs/team.md", "docs/operations.md"):
            text = script(page).replace("export GAUNTLET_HOME=/tmp/drill\n", drill)
            for typed, run in here.items():
                text = text.replace(typed, run)
            told = opened.run(text)
            for made in opened.folder.glob("gauntlet-*.tar"):
                made.unlink()
        assert "is whole" in told
        assert (opened.folder / "drill").is_dir()
