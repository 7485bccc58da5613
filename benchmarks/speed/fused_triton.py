"""The paper's network, many runs at once, by the kernels of `benchmarks.speed.fused_kernels` and batched products."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import fused_kernels as kernels

# Rows of a tile, warps, stages of the pipeline.
Config = tuple[int, int, int]
CONFIGS: dict[str, tuple[Config, ...]] = {
    "forward": ((128, 4, 3), (64, 4, 3), (128, 8, 2)),
    "input": ((128, 4, 3), (64, 4, 3), (128, 8, 2)),
    "weight": ((64, 4, 3), (128, 4, 2), (128, 8, 3)),
}
_WAVES = 2 * 132
_RHO, _EPSILON = 0.9, 1e-7
# Where the linear layers' weights begin among the parameters; before them are weight and bias of each convolution.
_HEAD = 8
# Images of fewer channels are unfolded whole.
_FEW = 16


class TritonProgram:
    """Weights [runs, …] as torch has them for one run, in the order of the network's parameters."""

    def __init__(self, weights: list[Tensor], images: int, side: int, dtype: torch.dtype, precision: str) -> None:
        self.runs, self.images, self.side, self.dtype = len(weights[0]), images, side, dtype
        self.device = weights[0].device
        self._precision = precision
        second = (side - 2) // 2
        # Side, padding, channels in and out, pooled or not.
        self.layers = [
            (side, 1, 3, 32, False),
            (side, 0, 32, 32, True),
            (second, 1, 32, 64, False),
            (second, 0, 64, 64, True),
        ]
        self.last = (second - 2) // 2
        self.masters = [own.contiguous().float() for own in self._own(weights)]
        self.squares = [torch.zeros_like(weight) for weight in self.masters]
        self.copies = [weight.to(dtype) for weight in self.masters]
        self.rates = torch.full((self.runs,), 1e-4, device=self.device)
        self.seeds = torch.arange(self.runs, device=self.device, dtype=torch.int32)
        self.classes = torch.arange(10, device=self.device)
        self.dropout = True
        self.configs = dict.fromkeys([(kind, i) for kind in CONFIGS for i in range(4)], 0)
        self._make_buffers()

    def _own(self, weights: list[Tensor]) -> list[Tensor]:
        own = []
        for i, weight in enumerate(weights):
            if i < _HEAD and i % 2 == 0:
                own.append(weight.permute(0, 3, 4, 2, 1))
            elif i == _HEAD:
                split = weight.unflatten(2, (64, self.last, self.last))
                own.append(split.permute(0, 3, 4, 2, 1).flatten(1, 3))
            else:
                own.append(weight.transpose(1, 2) if i % 2 == 0 else weight)
        return own

    def as_torch(self, gradients: list[Tensor]) -> list[Tensor]:
        """Gradients in this program's layout, as torch has the parameters."""
        found = []
        for i, gradient in enumerate(gradients):
            own = self.masters[i]
            whole = gradient.float().reshape(self.runs, -1, own[0].numel()).sum(1).view(own.shape)
            if i < _HEAD and i % 2 == 0:
                found.append(whole.permute(0, 4, 3, 1, 2))
            elif i == _HEAD:
                found.append(whole.unflatten(1, (self.last, self.last, 64)).permute(0, 4, 3, 1, 2).flatten(2))
            else:
                found.append(whole.transpose(1, 2) if i % 2 == 0 else whole)
        return found

    def _make_buffers(self) -> None:
        def empty(*shape: int, dtype: torch.dtype = self.dtype) -> Tensor:
            return torch.zeros(self.runs, *shape, device=self.device, dtype=dtype)

        n = self.images
        self.inputs = empty(n, self.side, self.side, 3)
        self.attacked = empty(n, self.side, self.side, 3)
        self.outputs, self.codes, self.gradients_at, self.parts, self.bias_parts = [], [], [], [], []
        for side, pad, ins, outs, pooled in self.layers:
            out = side + 2 * pad - 2
            kept = out // 2 if pooled else out
            self.outputs.append(empty(n, kept, kept, outs))
            self.codes.append(empty(n, kept, kept, outs, dtype=torch.int8) if pooled else empty(1, dtype=torch.int8))
            self.gradients_at.append(empty(n, kept, kept, outs))
            rows = 3 if ins >= _FEW else 1
            splits = max(1, min(math.ceil(_WAVES / (rows * self.runs)), n * out * out // 64))
            self.parts.append(empty(splits, 9 * ins, outs, dtype=torch.float32))
            self.bias_parts.append(empty(splits, outs, dtype=torch.float32))

    def _config(self, kind: str, layer: int) -> dict[str, int]:
        block, warps, stages = CONFIGS[kind][self.configs[kind, layer]]
        return {"BLOCK": block, "STAGES": stages, "num_warps": warps}

    def _geometry(self, layer: int) -> dict[str, Any]:
        side, pad, ins, outs, pooled = self.layers[layer]
        return {
            "images": self.images,
            "HEIGHT": side,
            "WIDTH": side,
            "PAD": pad,
            "IN": ins,
            "OUT": outs,
            "POOLED": pooled,
            "PRECISION": self._precision,
        }

    def forward_layer(self, layer: int, x: Tensor, *, dropped: bool) -> None:
        side, pad, _, _, pooled = self.layers[layer]
        out = side + 2 * pad - 2
        rows = self.images * ((out // 2) ** 2 * 4 if pooled else out * out)
        config = self._config("forward", layer)
        kernels.conv_forward[-(-rows // config["BLOCK"]), self.runs](
            x, self.copies[2 * layer], self.copies[2 * layer + 1], self.outputs[layer], self.codes[layer], self.seeds,
            DROPPED=0.25 if dropped and pooled else 0.0, **self._geometry(layer), **config,
        )  # fmt: skip

    def input_layer(self, layer: int, x: Tensor, out: Tensor, epilogue: str, scale: float) -> None:
        side = self.layers[layer][0]
        config = self._config("input", layer)
        kernels.conv_input_gradient[-(-self.images * side * side // config["BLOCK"]), self.runs](
            self.gradients_at[layer], self.codes[layer], self.copies[2 * layer], x, out, scale,
            EPILOGUE=epilogue, **self._geometry(layer), **config,
        )  # fmt: skip

    def weight_layer(self, layer: int, x: Tensor) -> None:
        rows = 3 if self.layers[layer][2] >= _FEW else 1
        splits = self.parts[layer].shape[1]
        kernels.conv_weight_gradient[splits, rows, self.runs](
            x, self.gradients_at[layer], self.codes[layer], self.parts[layer], self.bias_parts[layer],
            **self._geometry(layer), **self._config("weight", layer),
        )  # fmt: skip

    def features(self, x: Tensor, *, dropped: bool) -> Tensor:
        for layer in range(4):
            self.forward_layer(layer, x, dropped=dropped)
            x = self.outputs[layer]
        return x.flatten(2)

    def head(self, features: Tensor, *, dropped: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden values after dropout, what their gradient is multiplied by, logits."""
        w1, b1, w2, b2 = self.copies[_HEAD:]
        before = torch.baddbmm(b1[:, None], features, w1)
        passes = (before > 0).to(self.dtype)
        if dropped:
            passes = passes * torch.empty_like(passes).bernoulli_(0.5).mul_(2)
        hidden = before * passes
        return hidden, passes, torch.baddbmm(b2[:, None], hidden, w2)

    def wrongness(self, logits: Tensor, labels: Tensor, scale: float) -> Tensor:
        """The gradient of cross-entropy by the logits."""
        return ((logits.float().softmax(2) - (labels[..., None] == self.classes).float()) * scale).to(self.dtype)

    def back_to_images(self, x: Tensor, by_features: Tensor, epilogue: str, scale: float, *, dropped: bool) -> Tensor:
        """From the gradient of the features; `dropped` fills all layers' gradients too, which weights need."""
        share = 1 / 0.75 if dropped else 1.0
        self.gradients_at[3].copy_((by_features * share).view_as(self.gradients_at[3]))
        self.input_layer(3, self.outputs[2], self.gradients_at[2], "relu", 1.0)
        self.input_layer(2, self.outputs[1], self.gradients_at[1], "scaled", share)
        self.input_layer(1, self.outputs[0], self.gradients_at[0], "relu", 1.0)
        if epilogue:
            self.input_layer(0, x, self.attacked, epilogue, scale)
        return self.attacked

    def attack(self, labels: Tensor, epilogue: str = "ascended", scale: float = 8 / 255) -> Tensor:
        _, passes, logits = self.head(self.features(self.inputs, dropped=False), dropped=False)
        by_hidden = torch.bmm(self.wrongness(logits, labels, 1.0), self.copies[10].transpose(1, 2)) * passes
        by_features = torch.bmm(by_hidden, self.copies[8].transpose(1, 2))
        self.back_to_images(self.inputs, by_features, epilogue, scale, dropped=False)
        return logits

    def learn(self, x: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits, and gradients in the program's layout, those of convolutions in parts."""
        dropped = self.dropout
        features = self.features(x, dropped=dropped)
        hidden, passes, logits = self.head(features, dropped=dropped)
        by_logits = self.wrongness(logits, labels, 1 / self.images)
        by_hidden = torch.bmm(by_logits, self.copies[10].transpose(1, 2)) * passes
        self.back_to_images(x, torch.bmm(by_hidden, self.copies[8].transpose(1, 2)), "", 0.0, dropped=dropped)
        found: list[Tensor] = []
        for layer in range(4):
            self.weight_layer(layer, x if layer == 0 else self.outputs[layer - 1])
            found += [self.parts[layer], self.bias_parts[layer]]
        found += [torch.bmm(features.transpose(1, 2), by_hidden), by_hidden.sum(1)]
        return logits, [*found, torch.bmm(hidden.transpose(1, 2), by_logits), by_logits.sum(1)]

    def update(self, gradients: list[Tensor]) -> None:
        for weight, square, copy, gradient in zip(self.masters, self.squares, self.copies, gradients, strict=True):
            size = weight[0].numel()
            kernels.rmsprop[-(-size // 1024), self.runs](
                weight,
                square,
                gradient,
                copy,
                self.rates,
                size,
                gradient[0].numel() // size,
                _RHO,
                _EPSILON,
                BLOCK=1024,
            )

    def step(self, images: Tensor, labels: Tensor) -> None:
        self.inputs.copy_(images.permute(0, 1, 3, 4, 2))
        self.attack(labels)
        self.update(self.learn(self.attacked, labels)[1])

    def check(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Without dropout: logits, the images' gradient of the summed loss, the weights' of each run's mean."""
        self.dropout = False
        self.inputs.copy_(images.permute(0, 1, 3, 4, 2))
        self.attack(labels, "plain")
        by_images = self.attacked.float().permute(0, 1, 4, 2, 3).clone()
        logits, gradients = self.learn(self.inputs, labels)
        self.dropout = True
        return logits.float(), by_images, self.as_torch(gradients)

    def operations(self) -> dict[tuple[str, int], Callable[[], None]]:
        """Every kernel of the convolutions by itself."""
        found: dict[tuple[str, int], Callable[[], None]] = {}
        for layer in range(4):
            x = self.inputs if layer == 0 else self.outputs[layer - 1]
            out = self.attacked if layer == 0 else self.gradients_at[layer - 1]
            epilogue = ("ascended", "relu", "scaled", "relu")[layer]
            found["forward", layer] = partial(self.forward_layer, layer, x, dropped=True)
            found["input", layer] = partial(self.input_layer, layer, x, out, epilogue, 0.01)
            found["weight", layer] = partial(self.weight_layer, layer, x)
        return found

    def compile(self, share: int, shares: int, configs: int) -> list[str]:
        """Compile one share of what a step launches, in so many configurations; returns what failed."""
        launches = [(kind, layer, i, "") for i in range(configs) for kind in CONFIGS for layer in range(4)]
        launches += [("forward", layer, i, "kept") for i in range(configs) for layer in (1, 3)]
        launches.append(("input", 0, 0, "plain"))
        # The slowest to compile first: that spreads them.
        launches.sort(
            key=lambda launch: (launch[0] != "forward" or launch[1] % 2 == 0, launch[0] != "weight", -launch[1])
        )
        failed = []
        for kind, layer, i, variant in launches[share::shares]:
            self.configs[kind, layer] = i
            try:
                if variant == "kept":
                    self.forward_layer(layer, self.outputs[layer - 1], dropped=False)
                elif variant == "plain":
                    self.input_layer(0, self.inputs, self.attacked, "plain", 0.01)
                else:
                    self.operations()[kind, layer]()
            except Exception as error:  # noqa: BLE001  # a kernel that does not compile is a finding
                failed.append(f"{kind} {layer} {CONFIGS[kind][i]}: {type(error).__name__}: {str(error)[:500]}")
        return failed
