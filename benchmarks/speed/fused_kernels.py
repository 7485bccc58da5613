"""Triton kernels for many small networks at once: 3 × 3 convolutions as implicit matrix products, one grid row per run.

Images and activations are [runs, images, height, width, channels], weights [runs, 3, 3, in, out], both in the type that
is multiplied; sums are fp32. A pooled layer keeps of each 2 × 2 window its greatest value and a byte that says which
corner it was: 4 where nothing passes back, since ReLU or dropout took it. So neither the unpooled activations nor their
gradient are ever written.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803  # Triton types them, and a constant is a parameter in capitals

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


@triton.jit
def conv_forward(
    x,
    w,
    b,
    y,
    code,
    seeds,
    images,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    PAD: tl.constexpr,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    POOLED: tl.constexpr,
    DROPPED: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Convolution, bias and ReLU; where pooled, also the greatest of each 2 × 2 window and dropout of rate DROPPED."""
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
    acc = tl.maximum(acc + tl.load(b + run * OUT + co)[None, :].to(tl.float32), 0.0)
    y += run * (rows // 4 * OUT if POOLED else rows * OUT)
    if POOLED:
        best, corner = tl.max(tl.reshape(acc, (BLOCK // 4, 4, OUT)), axis=1, return_indices=True)
        q = tl.program_id(0) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
        at = q[:, None] * OUT + co[None, :]
        passes = best > 0
        if DROPPED > 0:
            kept = tl.rand(tl.load(seeds + run), at) >= DROPPED
            passes = passes & kept
            best = tl.where(kept, best * (1 / (1 - DROPPED)), 0.0)
        there = (q < rows // 4)[:, None]
        tl.store(y + at, best.to(y.dtype.element_ty), mask=there)
        tl.store(code + run * (rows // 4 * OUT) + at, tl.where(passes, corner, 4).to(tl.int8), mask=there)
    else:
        tl.store(y + m[:, None] * OUT + co[None, :], acc.to(y.dtype.element_ty), mask=inside[:, None])


@triton.jit
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
    EPILOGUE: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """The gradient of a layer's input from that of its output.

    EPILOGUE: "relu" is that before the ReLU whose output is `x`; "scaled" times `scale`; "ascended" is no gradient but
    the image `x` moved by `scale` along its sign, within [0, 1].
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
    if EPILOGUE == "relu":
        acc = tl.where(tl.load(x + at, mask=there, other=0) > 0, acc, 0.0)
    elif EPILOGUE == "scaled":
        acc = acc * scale
    elif EPILOGUE == "ascended":
        sign = (acc > 0).to(tl.float32) - (acc < 0).to(tl.float32)
        moved = tl.load(x + at, mask=there, other=0).to(tl.float32) + scale * sign
        acc = tl.minimum(tl.maximum(moved, 0.0), 1.0)
    tl.store(out + at, acc.to(out.dtype.element_ty), mask=there)


@triton.jit
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
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Gradients of weights and bias in parts to be added up: [runs, parts, 9 · IN, OUT] and [runs, parts, OUT].

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
    if IN >= _LEAST:
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
        at = parts + ky * (3 * IN * OUT) + tl.arange(0, IN)[:, None] * OUT + co[None, :]
        tl.store(at, left)
        tl.store(at + IN * OUT, middle)
        tl.store(at + 2 * IN * OUT, right)
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
        tl.store(parts + k[:, None] * OUT + co[None, :], acc, mask=(k < 9 * IN)[:, None])
    if ky == 0:
        tl.store(bias_parts + (run * splits + split) * OUT + co, bias)


@triton.jit
def rmsprop(weights, squares, gradients, copy, rates, size, splits, rho, epsilon, BLOCK: tl.constexpr):
    """RMSprop without momentum on fp32 `weights` [runs, size], of whose gradients `splits` parts are added up.

    Each run has its own rate. `copy` takes the weights in the type that is multiplied.
    """
    run = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = i < size
    gradient = tl.zeros((BLOCK,), tl.float32)
    for split in range(splits):
        gradient += tl.load(gradients + (run * splits + split) * size + i, mask=there, other=0).to(tl.float32)
    at = run * size + i
    square = rho * tl.load(squares + at, mask=there, other=0) + (1 - rho) * gradient * gradient
    moved = tl.load(rates + run) * gradient / (tl.sqrt(square) + epsilon)
    weight = tl.load(weights + at, mask=there, other=0) - moved
    tl.store(squares + at, square, mask=there)
    tl.store(weights + at, weight, mask=there)
    tl.store(copy + at, weight.to(copy.dtype.element_ty), mask=there)
