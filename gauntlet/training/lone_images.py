"""A look at a network before it is trained: whether it takes one image by itself where a batch comes to that."""

import torch
from torch import nn
from torch.func import functional_call

from gauntlet import seeding
from gauntlet.attacks.gradient import mode
from gauntlet.checks.lone_images import MENDED, lone_image
from gauntlet.errors import GauntletError, ModelUnfit
from gauntlet.models.memory import is_out_of_memory
from gauntlet.spec.experiment import RunSpec


def try_lone_image(spec: RunSpec, network: nn.Module, image_shape: tuple[int, int, int], images: int) -> None:
    """Try the network, on the CPU, on one image in train mode where an epoch over so many images has such a pass.

    Its statistics and all random states are left as they were.

    Raises:
        ModelUnfit: it fails on it, as batch normalisation does on one number per channel.
    """
    told = lone_image(spec, images)
    if told is None:
        return
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.no_grad(), mode(network, training=True), seeding.own_randomness(torch.device("cpu")):
        try:
            functional_call(network, buffers, (torch.zeros(1, *image_shape),))
        except GauntletError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            failed = f"{type(error).__name__}: {str(error).rstrip('.')}"[:500]
            raise ModelUnfit(f"{told} It fails on that ({failed}); {MENDED}") from error
