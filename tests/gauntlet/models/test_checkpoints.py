import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from gauntlet.data.datasets import Dataset
from gauntlet.errors import CheckpointInvalid
from gauntlet.models.checkpoints import (
    TrainingState,
    capture,
    encode_training_state,
    encode_weights,
    environment,
    load_model,
    load_training_state,
    restore,
)
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.training.steps.optimizers import build_optimizer
from gauntlet.training.steps.tally import empty_tally
from tests.gauntlet.examples import CPU, finished, network, run_spec, same_tensors

SPEC = run_spec(adversary={"eps": "0.031"}, objective={"kind": "policy_gradient", "entropy_bonus": 0.1})
CARD = CheckpointCard(
    architecture=Cnn(),
    dataset=Digits(),
    classes=tuple("0123456789"),
    image_shape=(1, 16, 16),
    origin=Trained(spec=SPEC, epoch=3),
)


@pytest.fixture(scope="module")
def state(few: Dataset) -> TrainingState:
    found = finished(run_spec(training={"epochs": 1}), few)
    return dataclasses.replace(found, warnings=("one_class", "overconfident"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


def reversed_order(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[name].clone() for name in reversed(tensors)}


def test_a_weights_file_gives_back_model_and_card(state: TrainingState, file: Path) -> None:
    """A weights file alone gives the model, in eval mode and frozen, and all that its card says."""
    file.write_bytes(encode_weights(state.model, CARD))
    loaded = load_model(file, CPU)
    assert loaded.card == CARD
    assert same_tensors(dict(loaded.model.state_dict()), state.model)
    assert not any(module.training for module in loaded.model.modules())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    images = torch.rand(3, 1, 16, 16)
    model = network()
    model.load_state_dict(state.model)
    assert torch.equal(loaded.model(images), model(images))


def test_a_file_is_named_by_a_text_too(state: TrainingState, file: Path) -> None:
    """As by a path, also where it is refused."""
    file.write_bytes(encode_weights(state.model, CARD))
    assert load_model(str(file), "cpu").card == CARD
    with pytest.raises(CheckpointInvalid, match=file.name):
        load_training_state(str(file))
    file.write_bytes(encode_training_state(state))
    assert load_training_state(str(file)).epoch == state.epoch


def test_a_normalising_model_takes_plain_images(state: TrainingState, file: Path) -> None:
    """Its tensors have the plain network's names, and what it computes is the network of (image − mean) / std."""
    behind = {"normalisation": Normalisation(mean=(0.3,), std=(0.5,))}
    card = CARD.model_copy(update=behind | {"origin": Trained(spec=SPEC.model_copy(update=behind), epoch=3)})
    file.write_bytes(encode_weights(state.model, card))
    images = torch.rand(3, 1, 16, 16)
    model = network()
    model.load_state_dict(state.model)
    assert torch.equal(load_model(file, CPU).model(images), model((images - 0.3) / 0.5))


def test_a_training_state_survives_its_file(state: TrainingState, file: Path) -> None:
    """Epoch, weights, optimiser tensors, warnings and environment are read back as they were."""
    file.write_bytes(encode_training_state(state))
    loaded = load_training_state(file)
    assert same_tensors(loaded.model, state.model)
    assert same_tensors(loaded.optimizer, state.optimizer)
    assert len(loaded.optimizer) >= len(list(network().parameters()))
    assert torch.equal(loaded.totals, state.totals)
    assert (loaded.epoch, loaded.batch) == (1, 0)
    assert (loaded.warnings, loaded.environment) == (state.warnings, environment(CPU, compiled=False))


def test_equal_states_are_equal_bytes(state: TrainingState) -> None:
    """The bytes depend on the content alone, not on the order in which the tensors are held."""
    other = dataclasses.replace(state, model=reversed_order(state.model), optimizer=reversed_order(state.optimizer))
    assert encode_training_state(other) == encode_training_state(state)
    assert encode_weights(other.model, CARD) == encode_weights(state.model, CARD)


def test_unequal_states_are_unequal_bytes(state: TrainingState) -> None:
    """One changed weight, moment, warning or epoch changes the bytes."""
    name, moment = next(iter(state.model)), next(iter(state.optimizer))
    changed = [
        dataclasses.replace(state, model=state.model | {name: state.model[name] + 1}),
        dataclasses.replace(state, optimizer=state.optimizer | {moment: state.optimizer[moment] + 1}),
        dataclasses.replace(state, warnings=()),
        dataclasses.replace(state, epoch=2),
        dataclasses.replace(state, environment="elsewhere"),
    ]
    assert len({encode_training_state(each) for each in [state, *changed]}) == len(changed) + 1
    assert encode_weights(state.model, CARD.model_copy(update={"classes": tuple("abcdefghij")})) != encode_weights(
        state.model, CARD
    )


def refused(file: Path) -> None:
    with pytest.raises(CheckpointInvalid, match=file.name):
        load_model(file, CPU)
    with pytest.raises(CheckpointInvalid, match=file.name):
        load_training_state(file)


def test_a_truncated_file_is_refused(state: TrainingState, file: Path) -> None:
    """Cut off anywhere, a checkpoint is invalid."""
    for whole in (encode_weights(state.model, CARD), encode_training_state(state)):
        for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            refused(file)


def test_a_longer_file_is_refused(state: TrainingState, file: Path) -> None:
    """Bytes after the end make a checkpoint invalid."""
    file.write_bytes(encode_weights(state.model, CARD) + b"\0")
    refused(file)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        b"\xff" * 200,
        json.dumps({"spec": {}}).encode(),
        save({"a": torch.zeros(2)}),
        save({"a": torch.zeros(2)}, metadata={"format": "pt"}),
        save({"a": torch.zeros(2)}, metadata={"gauntlet": "no json"}),
        save({"a": torch.zeros(2)}, metadata={"gauntlet": "[1]"}),
        save({"a": torch.zeros(2)}, metadata={"gauntlet": "{}"}),
        save({"a": torch.zeros(2)}, metadata={"gauntlet": '{"epoch": "x", "warnings": [], "environment": ""}'}),
    ],
    ids=["picture", "noise", "json", "no header", "another's header", "no json", "a list", "empty", "wrong type"],
)
def test_a_foreign_file_is_refused(file: Path, content: bytes) -> None:
    """What another program wrote is no checkpoint."""
    file.write_bytes(content)
    refused(file)


def test_a_missing_file_is_refused(file: Path) -> None:
    """A file that is not there, or is a folder, is an invalid checkpoint, too."""
    refused(file)
    refused(file.parent)


def test_the_two_kinds_are_not_mixed_up(state: TrainingState, file: Path) -> None:
    """A training state is not served as weights, nor weights resumed from."""
    file.write_bytes(encode_training_state(state))
    with pytest.raises(CheckpointInvalid, match="does not describe a checkpoint"):
        load_model(file, CPU)
    file.write_bytes(encode_weights(state.model, CARD))
    with pytest.raises(CheckpointInvalid, match="does not describe a training state"):
        load_training_state(file)


def test_tensors_must_fit_the_architecture(state: TrainingState, file: Path) -> None:
    """A missing tensor, one too many, or one of another shape is refused."""
    name = next(iter(state.model))
    less = {key: tensor for key, tensor in state.model.items() if key != name}
    for tensors in (less, state.model | {"more": torch.zeros(1)}, state.model | {name: torch.zeros(1)}):
        file.write_bytes(encode_weights(tensors, CARD))
        with pytest.raises(CheckpointInvalid, match="does not fit"):
            load_model(file, CPU)


def test_a_captured_state_is_a_copy() -> None:
    """What is captured does not change when training goes on, and what is restored is as captured."""
    model = network()
    optimizer = build_optimizer(RmsProp(lr=0.1), model)
    images = torch.rand(4, 1, 16, 16)

    def step() -> None:
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()

    step()
    captured = capture(model, optimizer)
    weights, moments = ({name: tensor.clone() for name, tensor in part.items()} for part in captured)
    step()
    after = capture(model, optimizer)
    assert same_tensors(captured[0], weights)
    assert same_tensors(captured[1], moments)
    assert not same_tensors(after[0], weights)
    assert all(tensor.is_contiguous() for part in captured for tensor in part.values())

    totals, kept = empty_tally(CPU), torch.arange(6.0, dtype=torch.float64)
    restore(TrainingState(1, 0, *captured, kept, (), ""), model, optimizer, totals)
    assert torch.equal(totals, kept)
    assert all(map(same_tensors, capture(model, optimizer), (weights, moments)))
    step()
    assert all(map(same_tensors, capture(model, optimizer), after))


def test_a_state_of_another_architecture_is_not_restored(state: TrainingState) -> None:
    """Weights of other shapes are refused."""
    model = network(classes=3)
    with pytest.raises(CheckpointInvalid, match="another architecture"):
        restore(state, model, build_optimizer(RmsProp(), model), empty_tally(CPU))


def test_the_environment_names_what_bits_depend_on() -> None:
    """Torch's version, the device, the number of threads and compiling are all told."""
    told = environment(CPU, compiled=True)
    assert environment(CPU, compiled=False) != told
    assert f"numpy {np.__version__}" in environment(CPU, compiled=True, packages=("numpy",))
    assert torch.__version__ in told
    assert "cpu" in told
    assert f"{torch.get_num_threads()} threads" in told


@pytest.mark.parametrize(
    "change",
    [
        {"image_shape": [1, 10**9, 16]},
        {"image_shape": [1, -16, 16]},
        {"image_shape": [0, 16, 16]},
        {"classes": ["only"]},
        {"origin": {"kind": "trained", "spec": SPEC.model_dump(mode="json"), "epoch": -1}},
        {"origin": {"kind": "found"}},
        {"normalisation": {"mean": [0.5, 0.5], "std": [0.2, 0.2]}},
        {"normalisation": {"mean": [0.5], "std": [0]}},
        # Its run was trained without one: the network would answer otherwise than it was measured to.
        {"normalisation": {"mean": [0.5], "std": [0.2]}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_an_impossible_card_is_refused(state: TrainingState, file: Path, change: dict[str, object]) -> None:
    """A header with sizes no model has is refused before a model is built from it."""
    header = json.loads(CARD.model_dump_json()) | change
    file.write_bytes(save(state.model, metadata={"gauntlet": json.dumps(header)}))
    with pytest.raises(CheckpointInvalid):
        load_model(file, CPU)


@pytest.mark.parametrize(
    "header", ['{"epoch": Infinity, "batch": 0, "warnings": [], "environment": ""}', "[" * 100_000]
)
def test_a_hostile_header_is_refused(state: TrainingState, file: Path, header: str) -> None:
    """Infinite epochs and endless nesting are a damaged file, not a crash."""
    file.write_bytes(save(state.model, metadata={"gauntlet": header}))
    with pytest.raises(CheckpointInvalid):
        load_training_state(file)
