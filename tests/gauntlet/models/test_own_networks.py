"""Networks of a team's own, from a package that is installed beside ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from gauntlet.errors import ModelUnfit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import encode_weights, environment, load_model
from gauntlet.models.own_networks import own_networks, take_from
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits
from gauntlet.spec.presets import QUICKSTART, overlay
from gauntlet.spec.runs.architectures import Custom
from tests.own_networks import SETTING, installed

CPU = torch.device("cpu")
SHAPE = (1, 16, 16)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with installed(tmp_path / "site", monkeypatch) as setting:
        yield setting


@pytest.mark.usefixtures("package")
def test_a_network_is_built_from_its_package() -> None:
    """With its options, its weights of the seed alone, and the package's version in what bit-identity rests on."""
    assert {name: network.package for name, network in own_networks().items()} == dict.fromkeys(
        ("linear", "softmax", "short", "narrow"), "team-nets 1.2"
    )
    spec = Custom(name="linear", options={"width": 5})
    weights = []
    for seed in (0, 0, 1):
        model = build_model(spec, SHAPE, 10)
        initialise(model, seed)
        weights.append(model.state_dict()["network.1.weight"])
    assert weights[0].shape == (5, 256)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert environment(CPU, compiled=False, network=spec).endswith("eager, team-nets 1.2")


@pytest.mark.usefixtures("package")
def test_a_checkpoint_of_one_is_read_back(tmp_path: Path) -> None:
    """Though its code computes with tensors while it builds; where the package is not, that is what is told."""
    spec = Custom(name="linear")
    model = build_model(spec, SHAPE, 10)
    card = CheckpointCard(
        architecture=spec,
        dataset=Digits(),
        classes=tuple("0123456789"),
        image_shape=SHAPE,
        origin=Imported(name="x"),
        package="team-nets 1.2",
    )
    file = tmp_path / "weights.safetensors"
    file.write_bytes(encode_weights(model.state_dict(), card))
    loaded = load_model(file, CPU)
    images = torch.rand(2, *SHAPE)
    assert loaded.card.package == "team-nets 1.2"
    assert torch.equal(loaded.model(images), model.eval()(images))
    take_from("")
    with pytest.raises(ModelUnfit, match=r"No network is called 'linear'.* there: none"):
        load_model(file, CPU)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (Custom(name="other"), "there: linear, narrow, short, softmax"),
        (Custom(name="linear", options={"depth": 2}), "TypeError: got an unexpected keyword argument 'depth'"),
        (Custom(name="linear", options={"width": -1}), "of team-nets 1.2 could not be built: RuntimeError"),
    ],
)
def test_what_cannot_be_built_is_told(spec: Custom, told: str) -> None:
    """In a sentence of ours, with what its code said."""
    with pytest.raises(ModelUnfit, match=told):
        build_model(spec, SHAPE, 10)


@pytest.mark.usefixtures("package")
def test_other_answers_than_logits_are_told() -> None:
    """Of another number of classes here; what else may be wrong the worker looks for before it trains."""
    with pytest.raises(ModelUnfit, match=r"'short' of team-nets 1.2 answers with \[2, 9\] and not logits of \[2, 10\]"):
        build_model(Custom(name="short"), SHAPE, 10)(torch.rand(2, *SHAPE))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("nowhere_to_be_found:builders", "cannot be imported here: ModuleNotFoundError"),
        ("json:nothing", "cannot be imported here: AttributeError"),
        ("json:dumps", "must map names to functions"),
        (f"{SETTING}, {SETTING}", "is there twice"),
    ],
)
@pytest.mark.usefixtures("package")
def test_what_the_setting_names_must_be_there(setting: str, told: str) -> None:
    """A mapping from names to functions, in something that can be imported; each name once."""
    take_from(setting)
    with pytest.raises(ModelUnfit, match=told):
        own_networks()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": {"kind": "custom", "name": "os.system; x"}}, "This must be a name of letters"),
        ({"architecture": {"kind": "custom", "name": "x", "options": {"a": [1]}}}, "valid"),
        ({"architecture": {"kind": "custom", "name": "x"}, "training": {"compile": "on"}}, "take auto or off"),
        (
            {"architecture": {"kind": "custom", "name": "x"}, "objectives": [{"kind": "ppo"}]},
            "cannot train a network of your own",
        ),
    ],
)
def test_a_request_names_it_and_no_code(changes: dict[str, object], told: str) -> None:
    """Whatever a request says, it is a name that is looked up, with plain values beside it."""
    with pytest.raises(ValidationError, match=told):
        ExperimentSpec.model_validate(overlay(QUICKSTART, changes))
