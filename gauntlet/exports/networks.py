"""A checkpoint's network for other runtimes: ONNX, and torch's own exported programs.

Both take `images`, float32 [n, channels, height, width] in [0, 1] for any n from 1, and answer with `logits`, float32
[n, classes]: the normalisation is inside. Both carry the checkpoint's card as JSON under the name `gauntlet`, so that a
file alone says what it is.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gauntlet.errors import NotExportable
from gauntlet.extras import needed
from gauntlet.models.checkpoints import LoadedModel
from gauntlet.spec.checkpoint_card import CheckpointCard

CARD = "gauntlet"
_CARD_FILE = f"{CARD}.json"
# Two, as torch takes a batch of one for a constant.
_TRACED = 2


def save_onnx(loaded: LoadedModel, path: Path) -> None:
    """Write the network as ONNX.

    Raises:
        PackageMissing: the extra `onnx` is not installed.
        NotExportable: the network, as one of a team's own may, does what cannot be written down.
    """
    with needed("onnx", "Writing ONNX"):
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter wants it, and says so less plainly
    with _exporting("ONNX"):
        program = torch.onnx.export(
            _traced(loaded), dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
        )
    assert program is not None
    document = program.model_proto
    onnx.helper.set_model_props(document, {CARD: loaded.card.model_dump_json()})
    onnx.save(document, path)


def read_onnx_card(path: Path) -> CheckpointCard:
    """The card in a file of `save_onnx`.

    Raises:
        PackageMissing: the extra `onnx` is not installed.
    """
    with needed("onnx", "Reading ONNX"):
        import onnx
    properties = onnx.load(path, load_external_data=False).metadata_props
    return CheckpointCard.model_validate_json(next(each.value for each in properties if each.key == CARD))


def save_program(loaded: LoadedModel, path: Path) -> None:
    """Write the network as a program of `torch.export`, which `torch.export.load` reads without Gauntlet.

    Raises:
        NotExportable: as for `save_onnx`.
    """
    content = io.BytesIO()
    with _exporting("a torch.export program"):
        torch.export.save(_traced(loaded), content, extra_files={_CARD_FILE: loaded.card.model_dump_json()})
    # Apart from torch, which warns of a name that ends otherwise than in .pt2, and calls a full disk by its own words.
    path.write_bytes(content.getvalue())


def load_program(path: Path) -> LoadedModel:
    """The network in a file of `save_program`, and its card.

    The file is a program: load only what you trust.
    """
    found = {_CARD_FILE: ""}
    program: Any = torch.export.load(path, extra_files=found).module()
    return LoadedModel(program, CheckpointCard.model_validate_json(found[_CARD_FILE]))


def _traced(loaded: LoadedModel) -> torch.export.ExportedProgram:
    images = torch.zeros(_TRACED, *loaded.card.image_shape)
    model = loaded.model.to("cpu")
    return torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))


@contextmanager
def _exporting(form: str) -> Iterator[None]:
    """Without what torch says on the way, and with one error for all that it can raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (torch._dynamo.exc.TorchDynamoException, torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:  # noqa: SLF001  # all that export raises
        (first, *_) = str(error).splitlines() or [type(error).__name__]
        raise NotExportable(f"The network cannot be written as {form}: {first[:300]}") from error
    finally:
        logger.setLevel(level)
