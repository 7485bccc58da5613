"""Square Attack (Andriushchenko et al. 2020, arXiv 1912.00049) under L∞, for a network of which a window is computed.

Where its authors' code looks at the whole image, this looks at the square that a query changes: 5,000 of them leave
the same images, bit by bit, in a fraction of the time.
"""

from fractions import Fraction
from math import sqrt

import torch
from torch import Tensor

from gauntlet.attacks.gradient import margin
from gauntlet.attacks.windows import Window, Windowed

# The side of the first squares, as a share of the pixels, and from which query on that is divided by what (§4).
_FIRST = 0.8
_SMALLER = {11: 2, 51: 4, 201: 8, 501: 16, 1_001: 32, 2_001: 64, 4_001: 128, 6_001: 256, 8_001: 512}
# Of more pixels than these at once the layers' inputs leave the processor's cache: 20 MB for the paper's network.
_MOST_PIXELS = 48 * 32 * 32


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
    model: Windowed, clean: Tensor, labels: Tensor, start: Tensor, eps: float, queries: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which images are broken from here, positions int64 [m] in the order of time, and where, [m, c, h, w]."""
    low, high = clean - eps, clean + eps
    left = torch.arange(len(clean))
    best = margin(model.start(start), labels)
    broken, points = [], []
    for query in range(queries + 1):
        # The authors' margin is the right logit minus the others' largest: a tie is broken.
        going = best < 0
        if not bool(going.all()):
            broken.append(left[~going])
            points.append(model.images[~going])
            left, labels, best, low, high = (each[going] for each in (left, labels, best, low, high))
            model.go_on_with(going.nonzero().flatten())
        if not len(left) or query == queries:
            break
        window = _window(query, clean.shape[2], clean.shape[3], random)
        changed = window.of(model.images) + 2 * eps * _signs((clean.shape[1], 1, 1), random)
        changed = torch.minimum(torch.maximum(changed, window.of(low)), window.of(high)).clamp_(0, 1)
        margins = margin(model.look(window, changed), labels)
        better = (margins > best).nonzero().flatten()
        if len(better):
            model.keep(better)
            best[better] = margins[better]
    return torch.cat([left[:0], *broken]), torch.cat([clean[:0], *points])


def _window(query: int, height: int, width: int, random: torch.Generator) -> Window:
    divisor = max((divisor for first, divisor in _SMALLER.items() if query >= first), default=1)
    side = min(max(round(sqrt(_FIRST / divisor * height * width)), 1), height, width)
    top, left = (int(torch.rand(1, generator=random) * (size - side)) for size in (height, width))
    return Window(top, left, side, side)


def _signs(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.sign(2 * torch.rand(shape, generator=random) - 1)
