"""Square Attack (Andriushchenko et al. 2020, arXiv 1912.00049) under L∞.

For a network of which a window is computed: where its authors' code looks at the whole image, this looks at the square
that a query changes, and 5,000 of them take a fraction of the time. What they leave are the same images, bit by bit
where a kernel adds a window up as it does the whole; elsewhere a square that moves a pixel by its last bit alone may be
kept here and not there (docs/decisions/0009-exact-speed.md). For any model: at those images alone where there is no
gradient to follow.
"""

from fractions import Fraction
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor

from gauntlet.attacks.gradient import margin, without_direction
from gauntlet.attacks.standing import Attacked, gradient_of, logits_of
from gauntlet.attacks.windows import Window, Windowed
from gauntlet.models.precision import Model

# The side of the first squares, as a share of the pixels, and from which query on that is divided by what (§4).
_FIRST = 0.8
_SMALLER = {11: 2, 51: 4, 201: 8, 501: 16, 1_001: 32, 2_001: 64, 4_001: 128, 6_001: 256, 8_001: 512}
# The more images at once, the less often weights are fetched: of 109 a query takes 0.93 of the time that it takes in
# three parts. What is kept of these is 55 MB for the paper's network.
_MOST_PIXELS = 128 * 32 * 32


class _InHand(Protocol):
    """Images that a model looks at, and that change window by window, as `Windowed` has them."""

    images: Tensor

    def start(self, images: Tensor) -> Tensor: ...
    def look(self, window: Window, values: Tensor) -> Tensor: ...
    def keep(self, which: Tensor) -> None: ...
    def go_on_with(self, which: Tensor) -> None: ...


class _Whole:
    """The same for any model, of which all is computed for every query."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.images = self._changed = torch.empty(0)

    def start(self, images: Tensor) -> Tensor:
        self.images = images.clone()
        return logits_of(self._model, self.images)

    def look(self, window: Window, values: Tensor) -> Tensor:
        self._changed = self.images.clone()
        window.of(self._changed).copy_(values)
        return logits_of(self._model, self._changed)

    def keep(self, which: Tensor) -> None:
        self.images[which] = self._changed[which]

    def go_on_with(self, which: Tensor) -> None:
        self.images = self.images[which]


def square_where_stuck(
    model: Model, images: Tensor, labels: Tensor, eps: Fraction, *, queries: int, generator: torch.Generator
) -> Tensor:
    """Square Attack on the images at which the margin of the logits has no gradient; any other stays as it is.

    There a network is constant: all of a layer's units are at zero, and whatever follows a gradient stands still, as it
    does where the gradient is no number at any pixel. The random numbers are the same for all images, so none's outcome
    depends on the others.

    Args:
        images: float32 [n, c, h, w] in [0, 1]; what is returned is alike. labels: int64 [n].
        generator: on the images' device.
    """
    found = images.detach().clone()
    attacked = Attacked(found, labels, labels)
    *_, gradient = gradient_of(model, found, attacked, lambda logits, right, _: margin(logits, right))
    stuck = without_direction(gradient).nonzero().flatten()
    if not len(stuck):
        return found
    clean = found[stuck]
    _, channels, _, width = clean.shape
    start = (clean + float(eps) * _signs((1, channels, 1, width), generator)).clamp_(0, 1)
    broken, points = _search(_Whole(model), clean, labels[stuck], start, float(eps), queries, generator)
    found[stuck[broken]] = points
    return found


def square(model: Windowed, images: Tensor, labels: Tensor, eps: Fraction, *, queries: int, seed: int) -> Tensor:
    """Change random squares of the image by 2 eps as long as that lowers the margin, until the model is wrong.

    The random numbers are those of the authors' code for this batch, in their order: stripes for each image first, then
    for each query a place and a sign for each channel, which all images share.

    Args:
        images: float32 [n, c, h, w] in [0, 1]; labels: int64 [n].

    Returns:
        float32 [n, c, h, w]: of a misclassified image what it is taken wrongly for, any other as it was.
    """
    random = torch.Generator().manual_seed(seed)
    found = images.clone()
    parts = -(-images[:, 0].numel() // _MOST_PIXELS)
    logits = torch.cat([model.start(part) for part in images.tensor_split(parts)])
    right = (logits.argmax(dim=1) == labels).nonzero().flatten()
    clean, at = images[right], labels[right]
    n, channels, _, width = clean.shape
    stripes = (clean + float(eps) * _signs((n, channels, 1, width), random)).clamp_(0, 1)
    state = random.get_state()
    for some in torch.arange(n).tensor_split(parts):
        random.set_state(state)
        broken, points = _search(model, clean[some], at[some], stripes[some], float(eps), queries, random)
        found[right[some[broken]]] = points
    return found


def _search(
    model: _InHand, clean: Tensor, labels: Tensor, start: Tensor, eps: float, queries: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which images are broken from here, positions int64 [m] in the order of time, and where, [m, c, h, w]."""
    low, high = clean - eps, clean + eps
    left = torch.arange(len(clean), device=clean.device)
    logits = model.start(start)
    best, wrong = margin(logits, labels), logits.argmax(dim=1) != labels
    broken, points = [], []
    for query in range(queries + 1):
        # As in the authors' code a tie ends the search, and is broken only if another class has the better of it.
        going = best < 0
        if not bool(going.all()):
            fallen = ~going & wrong
            broken.append(left[fallen])
            points.append(model.images[fallen])
            left, labels, best, wrong, low, high = (each[going] for each in (left, labels, best, wrong, low, high))
            model.go_on_with(going.nonzero().flatten())
        if not len(left) or query == queries:
            break
        window = _window(query, clean.shape[2], clean.shape[3], random)
        changed = window.of(model.images) + 2 * eps * _signs((clean.shape[1], 1, 1), random)
        changed = torch.minimum(torch.maximum(changed, window.of(low)), window.of(high)).clamp_(0, 1)
        logits = model.look(window, changed)
        margins = margin(logits, labels)
        better = (margins > best).nonzero().flatten()
        if len(better):
            model.keep(better)
            best[better] = margins[better]
            wrong[better] = logits.argmax(dim=1)[better] != labels[better]
    return torch.cat([left[:0], *broken]), torch.cat([clean[:0], *points])


def _window(query: int, height: int, width: int, random: torch.Generator) -> Window:
    divisor = max((divisor for first, divisor in _SMALLER.items() if query >= first), default=1)
    side = min(max(round(sqrt(_FIRST / divisor * height * width)), 1), height, width)
    top, left = (int(_uniform((1,), random) * (size - side)) for size in (height, width))
    return Window(top, left, side, side)


def _signs(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.sign(2 * _uniform(shape, random) - 1)


def _uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=random, device=random.device)
