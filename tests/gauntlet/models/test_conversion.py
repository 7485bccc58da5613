"""Files of `torch.save` become safetensors under our names; what could run is refused unread."""

import io
import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.checkpoints import encode_weights
from gauntlet.models.conversion import convert
from gauntlet.models.foreign_names import translate
from gauntlet.models.foreign_weights import read_foreign_weights
from gauntlet.models.network_states import empty_state
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import (
    ArchitectureSpec,
    Cnn,
    Custom,
    PreActResNet,
    ResNet,
    Torchvision,
    Vit,
    WideResNet28,
    WideResNet34,
)
from gauntlet.spec.runs.normalisation import Normalisation
from tests.gauntlet.examples import network, same_tensors

MEAN, STD = [0.25], [0.5]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """The paper's network's, for grey images of 16 × 16 and ten classes, in plain memory order."""
    return {name: tensor.contiguous() for name, tensor in network().state_dict().items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def saved(file: Path, content: Any) -> Path:
    torch.save(content, file)
    return file


@pytest.mark.parametrize("part", ["", "state_dict", "net", "model", "last.model_state"])
def test_weights_are_found_wherever_a_file_has_them(file: Path, weights: dict[str, Tensor], part: str) -> None:
    """At the top, or behind the words that training code puts them behind; what lies beside them is told."""
    content: Any = weights
    for word in reversed(part.split(".") if part else []):
        content = {"epoch": 7, word: content, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}}
    found = convert(saved(file, content))
    assert found.architecture == Cnn()
    assert (found.classes, found.image_shape[0], found.part) == (10, 1, part)
    assert set(found.beside) == ({"epoch", "optimizer"} if part else set())
    assert same_tensors(found.weights.tensors, weights)
    out = file.with_suffix(".safetensors")
    out.write_bytes(found.encoded())
    assert same_tensors(read_foreign_weights(out, Cnn(), (1, 16, 16), 10).tensors, weights)


def test_of_several_networks_one_is_to_be_named(file: Path, weights: dict[str, Tensor]) -> None:
    """Which of them is meant no file says."""
    other = {name: tensor + 1 for name, tensor in weights.items()}
    saved(file, {"last": weights, "best": other})
    with pytest.raises(CheckpointInvalid, match="2 networks, at 'last' and 'best': say which part"):
        convert(file)
    assert same_tensors(convert(file, part="best").weights.tensors, other)
    with pytest.raises(CheckpointInvalid, match="no tensors at 'worst'; it has them at 'last' and 'best'"):
        convert(file, part="worst")


@pytest.mark.parametrize(
    ("mean", "std", "before"),
    [("mu", "sigma", ""), ("normalize.mean", "normalize.std", "model."), ("0.mean", "0.std", "1.")],
)
def test_a_normalisation_in_the_file_goes_with_it(
    file: Path, weights: dict[str, Tensor], mean: str, std: str, before: str
) -> None:
    """An import must say the same: a network without its normalisation answers otherwise, and nothing shows it."""
    held = {f"module.{before}{name}": tensor for name, tensor in weights.items()}
    beside = {f"module.{mean}": torch.tensor(MEAN).view(1, 1, 1, 1), f"module.{std}": torch.tensor(STD)}
    found = convert(saved(file, beside | held))
    said = found.weights.normalisation
    assert said is not None
    assert (list(said.mean), list(said.std)) == (MEAN, STD)
    out = file.with_suffix(".safetensors")
    out.write_bytes(found.encoded())
    assert same_tensors(read_foreign_weights(out, Cnn(), (1, 16, 16), 10, said).tensors, weights)
    with pytest.raises(CheckpointInvalid, match=r"with mean \[0\.25\] and std \[0\.5\], and the card's .*is missing"):
        read_foreign_weights(out, Cnn(), (1, 16, 16), 10)
    with pytest.raises(CheckpointInvalid, match="is another"):
        read_foreign_weights(out, Cnn(), (1, 16, 16), 10, Normalisation(mean=(0.5,), std=(0.5,)))


def test_a_checkpoint_of_ours_goes_with_what_its_card_says(file: Path, weights: dict[str, Tensor]) -> None:
    """Its tensors are the network's alone: brought in again without what the card says it would answer otherwise."""
    said = Normalisation(mean=tuple(MEAN), std=tuple(STD))
    card = CheckpointCard(
        architecture=Cnn(),
        dataset=Digits(),
        classes=tuple("0123456789"),
        image_shape=(1, 16, 16),
        normalisation=said,
        origin=Imported(name="ours"),
    )
    for name, content in (("ours", encode_weights(weights, card)), ("converted", b"")):
        out = file.with_name(f"{name}.safetensors")
        out.write_bytes(content or convert(file.with_name("ours.safetensors")).encoded())
        assert same_tensors(read_foreign_weights(out, Cnn(), (1, 16, 16), 10, said).tensors, weights)
        with pytest.raises(
            CheckpointInvalid, match=r"with mean \[0\.25\] and std \[0\.5\], and the card's .*is missing"
        ):
            read_foreign_weights(out, Cnn(), (1, 16, 16), 10)
    with pytest.raises(CheckpointInvalid, match="is another"):
        read_foreign_weights(
            out.with_name("ours.safetensors"), Cnn(), (1, 16, 16), 10, Normalisation(mean=(0, 0), std=(1, 1))
        )
    plain = file.with_name("plain.safetensors")
    plain.write_bytes(encode_weights(weights, card.model_copy(update={"normalisation": None})))
    assert convert(plain).weights.normalisation is None
    none = (
        "[" * 100_000,
        '{"normalisation": {"mean": 1}}',
        "3",
        "{}",
        '{"normalisation": {"mean": [NaN], "std": [1]}}',
    )
    for header in none:
        plain.write_bytes(save(weights, metadata={"gauntlet": header}))
        assert same_tensors(read_foreign_weights(plain, Cnn(), (1, 16, 16), 10).tensors, weights)


def test_a_normalisation_of_pixels_up_to_255_is_brought_to_ours(file: Path, weights: dict[str, Tensor]) -> None:
    """(255 x − 51) / 102 is (x − 0.2) / 0.4."""
    said = convert(saved(file, weights | {"mean": torch.tensor([51.0]), "std": torch.tensor([102.0])}))
    assert said.weights.normalisation == Normalisation(mean=(0.2,), std=(0.4,))


def test_a_normalisation_of_another_number_of_channels_is_refused(file: Path, weights: dict[str, Tensor]) -> None:
    """Before it is read: a file may claim that a mean has any number of numbers."""
    many = torch.zeros(1).expand(1 << 30)
    with pytest.raises(CheckpointInvalid, match="'mu' and 'sigma' are no normalisation of 1 channels"):
        convert(saved(file, weights | {"mu": many, "sigma": many}))


def names(architecture: ArchitectureSpec, side: int = 32) -> set[str]:
    return set(empty_state(architecture, (3, side, side), 10))


@pytest.mark.parametrize(
    ("architecture", "theirs"),
    [
        # As TRADES and RobustBench write them: a first block that is never called.
        (WideResNet28(), {"sub_block1.layer.0.bn1.weight", "sub_block1.layer.3.conv2.weight"}),
        (WideResNet34(), {"sub_block1.layer.0.bn1.weight"}),
        (Vit(width=16, depth=1, heads=2), set[str]()),
        # As the package `robustness` writes them: what it attacks, once more.
        (PreActResNet(), {"attacker.model.conv1.weight", "attacker.normalize.new_mean"}),
    ],
)
@pytest.mark.parametrize("before", ["", "module.model."])
def test_what_is_never_called_is_left_out(architecture: ArchitectureSpec, theirs: set[str], before: str) -> None:
    """Every tensor of the network stands under our name, and the others are told with a reason."""
    ours = names(architecture)
    found = translate([before + name for name in ours | theirs], architecture, ours)
    assert found.known == {name: before + name for name in ours}
    assert set(found.idle) == {before + name for name in theirs}


def test_what_others_count_beside_the_weights_is_left_out(file: Path, weights: dict[str, Tensor]) -> None:
    """How many weights torch's AveragedModel took, on one GPU or several, and what `thop` leaves in each module."""
    averaged = AveragedModel(network()).state_dict()
    operations = {name: torch.zeros(1, dtype=torch.float64) for name in ("total_ops", "0.0.total_params")}
    for content, beside in (
        (averaged, {"n_averaged"}),
        ({f"module.{name}": each for name, each in averaged.items()}, {"module.n_averaged"}),
        (weights | operations, set(operations)),
    ):
        found = convert(saved(file, content))
        assert found.architecture == Cnn()
        assert same_tensors(found.weights.tensors, weights)
        assert set(found.weights.names.idle) == beside


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("densenet121", (r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.")),
        ("vit_b_32", (r"\.mlp\.0\.", ".mlp.linear_1.")),
    ],
)
def test_torchvisions_older_names_are_understood(name: Any, changed: tuple[str, str]) -> None:
    """The files that it offers for download have them still; none has its place in a network of ours."""
    architecture = Torchvision(name=name)
    wanted = names(architecture, 224)
    theirs = {own: re.sub(*changed, own.removeprefix("network.")) for own in wanted}
    assert sum(re.search(changed[0], own) is not None for own in wanted) > 20
    assert translate(theirs.values(), architecture, wanted).known == theirs


def test_a_network_that_has_a_holders_word_itself_keeps_it() -> None:
    """A word before all names is taken off only if the names fit then."""
    wanted = {"network.net.weight", "network.net.bias"}
    own = Custom(name="mine")
    assert set(translate(["net.weight", "net.bias"], own, wanted).known) == wanted
    assert set(translate(["module.net.weight", "module.net.bias"], own, wanted).known) == wanted


class Evil:
    """What runs a command where a pickle of it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "whole"])
def test_what_could_run_is_refused_unread(file: Path, tmp_path: Path, form: str) -> None:
    """In every form in which torch writes, a program is refused in one sentence that says what to do, and never run."""
    mark = tmp_path / "ran"
    content = {"state_dict": {"0.weight": torch.zeros(2)}, "epoch": Evil(mark)}
    match form:
        case "zip":
            torch.save(content, file)
        case "legacy":
            torch.save(content, file, _use_new_zipfile_serialization=False)
        case "pickle":
            file.write_bytes(pickle.dumps({"epoch": Evil(mark)}, protocol=2))
        case _:
            torch.save(nn.Sequential(nn.Linear(2, 2)), file)
    with pytest.raises(CheckpointInvalid, match=r"holds more than tensors.*could run code.*state_dict\(\)") as told:
        convert(file)
    assert "\n" not in str(told.value)
    assert not mark.exists()


def scripted() -> bytes:
    content = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), content)
    return content.getvalue()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(50), "it is damaged"),
        (b"\x80\x02}q\x00.", "no tensors that have names|it is damaged"),
        (scripted, "program"),
        (b"<html></html>", "neither what torch.save writes nor a safetensors file.*web page"),
        (b"\x1f\x8b\x08\x08" + b"\x11" * 50, "neither what torch.save writes nor a safetensors file.*compressed"),
        (b"", "neither what torch.save writes nor a safetensors file"),
    ],
    ids=["cut", "empty dict", "script", "html", "gzip", "empty"],
)
def test_what_holds_no_weights_is_told(file: Path, content: Any, said: str) -> None:
    """In our words alone: torch warns of a program that it should be called otherwise."""
    file.write_bytes(content() if callable(content) else content)
    with (
        warnings.catch_warnings(record=True, action="always") as warned,
        pytest.raises(CheckpointInvalid, match=said),
    ):
        convert(file)
    assert not warned


def test_weights_without_numbers_are_told(file: Path, weights: dict[str, Tensor]) -> None:
    """As a model has them on torch's device meta."""
    name = max(weights)
    torch.save(weights | {name: weights[name].to("meta")}, file)
    with pytest.raises(CheckpointInvalid, match=f"'{name}' has a shape and no numbers"):
        convert(file)


def test_what_a_network_was_taken_for_is_told_where_it_does_not_fit(file: Path) -> None:
    """torchvision's ResNet-18 has the names of ours, and another first layer."""
    theirs = empty_state(Torchvision(name="resnet18"), (3, 224, 224), 7)
    torch.save({name.removeprefix("network."): tensor for name, tensor in theirs.items()}, file)
    told = r"'conv1.weight' has the shape \[64, 3, 7, 7\].* taken for a resnet18: .* such as torchvision/resnet18\."
    with pytest.raises(CheckpointInvalid, match=told):
        convert(file)
    with pytest.raises(CheckpointInvalid, match=r"instead of \[64, 3, 3, 3\]\.$"):
        convert(file, ResNet())


def test_what_is_known_to_compute_otherwise_is_told(file: Path) -> None:
    """DeepMind's Wide ResNets have tensors of the same shapes, and another padding."""
    theirs = ("init_conv.weight", "layer.0.block.0.conv_0.weight", "logits.weight")
    saved(file, dict.fromkeys(theirs, torch.zeros(2, 2)))
    with pytest.raises(CheckpointInvalid, match=r"none of cnn, resnet18, .*DeepMind's Wide ResNets, which pad"):
        convert(file)
    with pytest.raises(CheckpointInvalid, match="names of its own code"):
        convert(file, Custom(name="mine"))


def test_a_tensor_that_claims_much_is_not_written_out(file: Path, weights: dict[str, Tensor]) -> None:
    """One number in the file, four gigabytes in memory: its shape is looked at first."""
    wide = torch.zeros(1).expand(32, 1, 3, 3, 1 << 22)
    with pytest.raises(CheckpointInvalid, match=r"'0\.0\.weight' has the shape"):
        convert(saved(file, weights | {"0.0.weight": wide}), Cnn())


def test_names_are_converted_in_a_safetensors_file_too(file: Path, weights: dict[str, Tensor]) -> None:
    file.write_bytes(save({f"module.{name}": tensor.half() for name, tensor in weights.items()}))
    found = convert(file)
    assert found.weights.names.renamed["module.4.bias"] == "4.bias"
    assert same_tensors(found.weights.tensors, {name: tensor.half().float() for name, tensor in weights.items()})


def test_a_vits_images_are_read_off_its_places(file: Path) -> None:
    """Which patches and heads it has is to be said; how many classes, and of which images, its tensors say."""
    spec = Vit(patch=2, width=16, depth=1, heads=2)
    state = {name: torch.ones(tensor.shape) for name, tensor in empty_state(spec, (1, 8, 8), 3).items()}
    found = convert(saved(file, state), spec)
    assert (found.image_shape, found.classes) == ((1, 8, 8), 3)


def test_a_regnet_is_built_without_memory() -> None:
    """It reckons its widths with tensors while it builds, which have to have numbers."""
    assert "regnet_y_400mf" in get_args(Torchvision.model_fields["name"].annotation)
    state = empty_state(Torchvision(name="regnet_y_400mf"), (3, 64, 64), 10)
    assert state["network.fc.weight"].shape == (10, 440)
    assert all(tensor.is_meta for name, tensor in state.items() if name.endswith(".weight"))
