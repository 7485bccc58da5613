"""Triton kernels for many small networks at once: 3 × 3 convolutions as implicit matrix products, one grid row per run.

Images and activations are [runs, images, height, width, channels], weights [runs, 3, 3, in, out], both in the type that
is multiplied (bfloat16 or float32); biases are float32, and so are all sums. A pooled layer keeps of each 2 × 2 window
its greatest value and a byte that says which corner it was: 4 where nothing passes back, since ReLU or dropout took it.
So neither the unpooled activations nor their gradient are ever written. NaN stays NaN, as in torch's own layers.

`gauntlet.training.fused.features` launches them; importing this module takes Triton.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803  # Triton types them, and a constant is a parameter in capitals
# ruff: noqa: PLR0124, PLR0915, SIM108  # only NaN is not itself; a kernel is one function, whose branches are compiled away

from typing import Final

import triton
import triton.language as tl

_NOTHING_PASSES = tl.constexpr(4)
# A dimension of a product that a tensor core does is at least that long.
_LEAST = tl.constexpr(16)


@triton.jit
def _place(m, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, POOLED: tl.constexpr):
    """Image, row and column of pixel m; where pooled, the four pixels of a window follow each other."""
    if POOLED:
        half: tl.constexpr = WIDTH // 2
        windows: tl.constexpr = (HEIGHT // 2) * half
        q = m // 4
        r = q % windows
        return q // windows, (r // half) * 2 + m % 4 // 2, (r % half) * 2 + m % 2
    area: tl.constexpr = HEIGHT * WIDTH
    r = m % area
    return m // area, r // WIDTH, r % WIDTH


@triton.jit
def _windows(x, n, oy, ox, inside, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, PAD: tl.constexpr, IN: tl.constexpr):
    """The 3 × 3 windows of images of few channels, [m, 32], of which 9 · IN are used."""
    k = tl.arange(0, 32)
    tap = k // IN
    iy = oy[:, None] + (tap // 3)[None, :] - PAD
    ix = ox[:, None] + (tap % 3)[None, :] - PAD
    there = inside[:, None] & (k < 9 * IN)[None, :] & (iy >= 0) & (iy < HEIGHT) & (ix >= 0) & (ix < WIDTH)
    at = ((n[:, None] * HEIGHT + iy) * WIDTH + ix) * IN + (k % IN)[None, :]
    return tl.load(x + at, mask=there, other=0)


@triton.jit
def _pixels(x, n, iy, ix, inside, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, IN: tl.constexpr):
    """Pixels [m, IN], zero outside of the image."""
    there = inside & (iy >= 0) & (iy < HEIGHT) & (ix >= 0) & (ix < WIDTH)
    at = ((n * HEIGHT + iy) * WIDTH + ix) * IN
    return tl.load(x + at[:, None] + tl.arange(0, IN)[None, :], mask=there[:, None], other=0)


@triton.jit
def _gradient_at(
    g, code, n, oy, ox, inside, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, OUT: tl.constexpr, POOLED: tl.constexpr
):
    """The gradient of a layer before ReLU, [m, OUT], at its pixels; of a pooled one from its windows' gradient."""
    co = tl.arange(0, OUT)
    if POOLED:
        there = inside & (oy >= 0) & (oy < HEIGHT // 2 * 2) & (ox >= 0) & (ox < WIDTH // 2 * 2)
        at = ((n * (HEIGHT // 2) + oy // 2) * (WIDTH // 2) + ox // 2) * OUT
        where = at[:, None] + co[None, :]
        values = tl.load(g + where, mask=there[:, None], other=0)
        corner = tl.load(code + where, mask=there[:, None], other=_NOTHING_PASSES)
        return tl.where(corner == (oy % 2 * 2 + ox % 2)[:, None], values, tl.zeros_like(values))
    there = inside & (oy >= 0) & (oy < HEIGHT) & (ox >= 0) & (ox < WIDTH)
    at = ((n * HEIGHT + oy) * WIDTH + ox) * OUT
    return tl.load(g + at[:, None] + co[None, :], mask=there[:, None], other=0)


@triton.jit(do_not_specialize=["first_word", "words_of_a_run", "images"])
def conv_forward(
    x,
    w,
    b,
    y,
    code,
    words,
    first_word,
    words_of_a_run,
    images,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    PAD: tl.constexpr,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    POOLED: tl.constexpr,
    DROPPED: tl.constexpr,
    LEAST_KEPT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Convolution, bias and ReLU; where pooled, also the greatest of each 2 × 2 window and dropout of rate DROPPED.

    Of what is dropped, element i of a run is kept if the int32 i after `first_word` of its `words` is at least
    LEAST_KEPT.
    """
    run = tl.program_id(1).to(tl.int64)
    height: tl.constexpr = HEIGHT + 2 * PAD - 2
    width: tl.constexpr = WIDTH + 2 * PAD - 2
    rows = images * ((height // 2) * (width // 2) * 4 if POOLED else height * width)
    x += run * (images * HEIGHT * WIDTH * IN)
    w += run * (9 * IN * OUT)
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = m < rows
    n, oy, ox = _place(m, height, width, POOLED)
    co = tl.arange(0, OUT)
    acc = tl.zeros((BLOCK, OUT), tl.float32)
    if IN >= _LEAST:
        ci = tl.arange(0, IN)
        for tap in tl.range(0, 9, num_stages=STAGES):
            xs = _pixels(x, n, oy + tap // 3 - PAD, ox + tap % 3 - PAD, inside, HEIGHT, WIDTH, IN)
            ws = tl.load(w + tap * (IN * OUT) + ci[:, None] * OUT + co[None, :])
            acc = tl.dot(xs, ws, acc, input_precision=PRECISION)
    else:
        k = tl.arange(0, 32)
        xs = _windows(x, n, oy, ox, inside, HEIGHT, WIDTH, PAD, IN)
        ws = tl.load(w + k[:, None] * OUT + co[None, :], mask=(k < 9 * IN)[:, None], other=0)
        acc = tl.dot(xs, ws, acc, input_precision=PRECISION)
    acc += tl.load(b + run * OUT + co)[None, :]
    # As a maximum it would make 0 of NaN.
    acc = tl.where(acc < 0, 0.0, acc)
    y += run * (rows // 4 * OUT if POOLED else rows * OUT)
    if POOLED:
        window = tl.reshape(acc, (BLOCK // 4, 4, OUT))
        # What is greater than NaN is nobody's promise, but a sum with it is NaN.
        best, corner = tl.max(tl.where(window == window, window, 0.0), axis=1, return_indices=True)
        total = tl.sum(window, axis=1)
        best = tl.where(total == total, best, total)
        q = tl.program_id(0) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
        at = q[:, None] * OUT + co[None, :]
        there = (q < rows // 4)[:, None]
        passes = best > 0
        if DROPPED > 0:
            kept = tl.load(words + run * words_of_a_run + first_word + at, mask=there, other=0) >= LEAST_KEPT
            passes = passes & kept
            best = tl.where(kept, best * (1 / (1 - DROPPED)), 0.0)
        tl.store(y + at, best.to(y.dtype.element_ty), mask=there)
        tl.store(code + run * (rows // 4 * OUT) + at, tl.where(passes, corner, 4).to(tl.int8), mask=there)
    else:
        tl.store(y + m[:, None] * OUT + co[None, :], acc.to(y.dtype.element_ty), mask=inside[:, None])


@triton.jit(do_not_specialize=["images"])
def conv_input_gradient(
    g,
    code,
    w,
    x,
    out,
    scale,
    images,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    PAD: tl.constexpr,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    POOLED: tl.constexpr,
    RELU: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """The gradient of a layer's input from that of its output.

    With RELU it is that before the ReLU whose output is `x`, otherwise times `scale`.
    """
    run = tl.program_id(1).to(tl.int64)
    height: tl.constexpr = HEIGHT + 2 * PAD - 2
    width: tl.constexpr = WIDTH + 2 * PAD - 2
    rows = images * HEIGHT * WIDTH
    given = images * OUT * ((height // 2) * (width // 2) if POOLED else height * width)
    columns: tl.constexpr = max(IN, 16)
    g += run * given
    code += run * given
    w += run * (9 * IN * OUT)
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = m < rows
    n, iy, ix = _place(m, HEIGHT, WIDTH, False)
    co = tl.arange(0, OUT)
    ci = tl.arange(0, columns)
    acc = tl.zeros((BLOCK, columns), tl.float32)
    for tap in tl.range(0, 9, num_stages=STAGES):
        gs = _gradient_at(g, code, n, iy + PAD - tap // 3, ix + PAD - tap % 3, inside, height, width, OUT, POOLED)
        ws = tl.load(w + tap * (IN * OUT) + ci[None, :] * OUT + co[:, None], mask=(ci < IN)[None, :], other=0)
        acc = tl.dot(gs, ws, acc, input_precision=PRECISION)
    at = run * (rows * IN) + m[:, None] * IN + ci[None, :]
    there = inside[:, None] & (ci < IN)[None, :]
    if RELU:
        acc = tl.where(tl.load(x + at, mask=there, other=0) > 0, acc, 0.0)
    else:
        acc = acc * scale
    tl.store(out + at, acc.to(out.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["images"])
def conv_weight_gradient(
    x,
    g,
    code,
    parts,
    bias_parts,
    images,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    PAD: tl.constexpr,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    POOLED: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Gradients of weights and bias in parts to be added up: [runs, parts, OUT, 9 · IN] and [runs, parts, OUT].

    The grid is (parts, 3, runs), the second the window's row; (parts, 1, runs) for images of few channels.
    """
    split = tl.program_id(0)
    ky = tl.program_id(1)
    run = tl.program_id(2).to(tl.int64)
    height: tl.constexpr = HEIGHT + 2 * PAD - 2
    width: tl.constexpr = WIDTH + 2 * PAD - 2
    rows = images * height * width
    given = images * OUT * ((height // 2) * (width // 2) if POOLED else height * width)
    splits = tl.num_programs(0)
    blocks = (rows + BLOCK - 1) // BLOCK
    share = (blocks + splits - 1) // splits
    x += run * (images * HEIGHT * WIDTH * IN)
    g += run * given
    code += run * given
    co = tl.arange(0, OUT)
    bias = tl.zeros((OUT,), tl.float32)
    parts += (run * splits + split) * (9 * IN * OUT)
    if WIDE:
        # The window's row at once, 3 · IN values that lie together: a product of as many rows as wgmma wants.
        k = tl.arange(0, 4 * IN)
        acc = tl.zeros((4 * IN, OUT), tl.float32)
        for block in tl.range(split * share, (split + 1) * share, num_stages=STAGES):
            m = block * BLOCK + tl.arange(0, BLOCK)
            inside = m < rows
            n, oy, ox = _place(m, height, width, False)
            gs = _gradient_at(g, code, n, oy, ox, inside, height, width, OUT, POOLED)
            iy = oy + ky - PAD
            ix = (ox - PAD)[:, None] + (k // IN)[None, :]
            there = (inside & (iy >= 0) & (iy < HEIGHT))[:, None] & (k < 3 * IN)[None, :] & (ix >= 0) & (ix < WIDTH)
            at = ((n * HEIGHT + iy) * WIDTH + ox - PAD) * IN
            xs = tl.load(x + at[:, None] + k[None, :], mask=there, other=0)
            acc = tl.dot(tl.trans(xs), gs, acc, input_precision=PRECISION)
            bias += tl.sum(gs.to(tl.float32), axis=0)
        at = parts + ky * (3 * IN) + k[:, None] + co[None, :] * (9 * IN)
        tl.store(at, acc, mask=(k < 3 * IN)[:, None])
    elif IN >= _LEAST:
        left = tl.zeros((IN, OUT), tl.float32)
        middle = tl.zeros((IN, OUT), tl.float32)
        right = tl.zeros((IN, OUT), tl.float32)
        for block in tl.range(split * share, (split + 1) * share, num_stages=STAGES):
            m = block * BLOCK + tl.arange(0, BLOCK)
            inside = m < rows
            n, oy, ox = _place(m, height, width, False)
            gs = _gradient_at(g, code, n, oy, ox, inside, height, width, OUT, POOLED)
            iy = oy + ky - PAD
            xs = _pixels(x, n, iy, ox - PAD, inside, HEIGHT, WIDTH, IN)
            left = tl.dot(tl.trans(xs), gs, left, input_precision=PRECISION)
            xs = _pixels(x, n, iy, ox + 1 - PAD, inside, HEIGHT, WIDTH, IN)
            middle = tl.dot(tl.trans(xs), gs, middle, input_precision=PRECISION)
            xs = _pixels(x, n, iy, ox + 2 - PAD, inside, HEIGHT, WIDTH, IN)
            right = tl.dot(tl.trans(xs), gs, right, input_precision=PRECISION)
            bias += tl.sum(gs.to(tl.float32), axis=0)
        at = parts + ky * (3 * IN) + tl.arange(0, IN)[:, None] + co[None, :] * (9 * IN)
        tl.store(at, left)
        tl.store(at + IN, middle)
        tl.store(at + 2 * IN, right)
    else:
        acc = tl.zeros((32, OUT), tl.float32)
        for block in tl.range(split * share, (split + 1) * share, num_stages=STAGES):
            m = block * BLOCK + tl.arange(0, BLOCK)
            inside = m < rows
            n, oy, ox = _place(m, height, width, False)
            gs = _gradient_at(g, code, n, oy, ox, inside, height, width, OUT, POOLED)
            xs = _windows(x, n, oy, ox, inside, HEIGHT, WIDTH, PAD, IN)
            acc = tl.dot(tl.trans(xs), gs, acc, input_precision=PRECISION)
            bias += tl.sum(gs.to(tl.float32), axis=0)
        k = tl.arange(0, 32)
        tl.store(parts + k[:, None] + co[None, :] * (9 * IN), acc, mask=(k < 9 * IN)[:, None])
    if ky == 0:
        tl.store(bias_parts + (run * splits + split) * OUT + co, bias)


@triton.jit
def draw(words, seeds, count, BLOCK: tl.constexpr):
    """Random int32 [runs, count] by each run's own seed, an int64 (Philox, as Triton has it); 4 divides `count`."""
    run = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a, b, c, d = tl.randint4x(tl.load(seeds + run), i)
    there = i < count // 4
    at = words + run * count + i
    tl.store(at, a.to(tl.int32, bitcast=True), mask=there)
    tl.store(at + count // 4, b.to(tl.int32, bitcast=True), mask=there)
    tl.store(at + count // 4 * 2, c.to(tl.int32, bitcast=True), mask=there)
    tl.store(at + count // 4 * 3, d.to(tl.int32, bitcast=True), mask=there)


@triton.jit
def rmsprop(weights, squares, gradients, constants, blocks, size, BLOCK: tl.constexpr):
    """RMSprop without momentum on float32 `weights` and `squares` [runs, size], in place.

    `constants` float32 [blocks, 5] are rate, ρ, 1 − ρ, ε and weight decay; `blocks` int32 [runs] says which are a
    run's.
    """
    run = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = i < size
    at = run * size + i
    own = constants + tl.load(blocks + run) * 5
    rate, rho, rest = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    epsilon, decay = tl.load(own + 3), tl.load(own + 4)
    weight = tl.load(weights + at, mask=there, other=0)
    gradient = tl.load(gradients + at, mask=there, other=0).to(tl.float32) + decay * weight
    square = rho * tl.load(squares + at, mask=there, other=0) + rest * gradient * gradient
    tl.store(squares + at, square, mask=there)
    tl.store(weights + at, weight - rate * gradient / (tl.sqrt(square) + epsilon), mask=there)


# With TRITON_INTERPRET=1 in the environment they are computed by NumPy, on a CPU.
INTERPRETED: Final = not isinstance(draw, triton.JITFunction)
