"""The kernels of a Llama pass on a CUDA card, in Triton: weights in 8 bits as bitsandbytes lays them out (those in 4:
`nf4_kernels`), 16-bit activations, sums in float32.

The few tokens of a decode step, or of guesses to be checked, go through all of them inside one captured graph, so
nothing here depends on a number that only the host knows: what the tokens are, where a sequence's keys and values lie
and how many of them a token sees is read from `state` (int64, on the card), which is laid out as the constants say.

What a token gives does not depend on the tokens beside it: however many they are, it is the same machine code over
tiles of the same shape (`tokens` is an ordinary argument, not specialized), and keys are taken in spans whose borders
have fixed places. Only this module and those that import it need Triton.

Offsets into weights, keys and values are int64: a stack of 70B has more than 2^31 / 8 numbers, keys have more.
"""

import triton
import triton.language as tl

FEW = 16  # tokens, at most, of a pass that is captured: the least that a tensor core takes
PATH = 64  # tokens, at most, of a branch
# Where in `state` what lies. The last part, the paths of branches, is only read where there is one.
START, CAPACITY, END, IDS = 0, 1, 2, 3
PLACES = IDS + FEW  # of each token in its sequence, for its rotation
SEES = PLACES + FEW  # of the keys in a row, the first so many
BEHIND = SEES + FEW  # so many keys more, numbered in its path
ADDRESSES = BEHIND + FEW  # of the keys of each layer, then of the values

# How a few tokens' products are computed: which numbers Triton must not specialize on, since then another pass would be
# other machine code, compiled at a moment when somebody waits.
PLAIN = ["tokens", "layer", "layers"]

_state_ids = tl.constexpr(IDS)
_state_places = tl.constexpr(PLACES)
_state_sees = tl.constexpr(SEES)
_state_behind = tl.constexpr(BEHIND)
_state_addresses = tl.constexpr(ADDRESSES)
_state_end = tl.constexpr(END)
_few = tl.constexpr(FEW)
_path = tl.constexpr(PATH)


@triton.jit
def _memory(state, index, kind: tl.constexpr):
    """Where the keys or values of a layer lie. torch's memory is aligned, which is said here: the address that is read
    does not show it, and numbers would be read two bytes at a time."""
    return tl.multiple_of(tl.load(state + _state_addresses + index).to(tl.pointer_type(kind)), 16)


@triton.jit
def embed(state, embeddings, x, hidden, WIDTH: tl.constexpr):
    """x [tokens, hidden], float32: the embeddings of the tokens in `state`."""
    token = tl.program_id(0)
    i = tl.arange(0, WIDTH)
    inside = i < hidden
    row = tl.load(state + _state_ids + token)
    tl.store(x + token * hidden + i, tl.load(embeddings + row * hidden + i, mask=inside).to(tl.float32), mask=inside)


@triton.jit(do_not_specialize=PLAIN)
def product(
    x,
    weight,
    scale,
    y,
    tokens,
    depth,
    rows,
    ROWS: tl.constexpr,
    DEPTH: tl.constexpr,
    TOKENS: tl.constexpr,
    PARTS: tl.constexpr,
    GATED: tl.constexpr,
):
    """y [PARTS, tokens, rows]: x [tokens, depth] times weight [rows, depth]^T, int8 with a float32 scale [rows].

    The depth, a multiple of DEPTH, is dealt out to PARTS programs, whose sums lie side by side for the next kernel to
    add: always in the same order, as atomic additions would not be. GATED: weight [2 rows, depth] holds gates, then
    values; y = silu(gate) * value.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(1)
    token = tl.program_id(2) * TOKENS + tl.arange(0, TOKENS)
    k = part * DEPTH + tl.arange(0, DEPTH)
    mine = row < rows
    here = token < tokens
    at = weight + row.to(tl.int64)[:, None] * depth + k[None, :]
    xs = x + token[None, :] * depth + k[:, None]
    sums = tl.zeros((ROWS, TOKENS), tl.float32)
    if GATED:
        others = tl.zeros((ROWS, TOKENS), tl.float32)
        second = at + rows.to(tl.int64) * depth
    for _ in range(part * DEPTH, depth, PARTS * DEPTH):
        given = tl.load(xs, mask=here[None, :], other=0.0)
        # To the activations' type, not to float32, for which Triton has no quick conversion.
        sums = tl.dot(tl.load(at, mask=mine[:, None], other=0).to(given.dtype), given, sums)
        if GATED:
            others = tl.dot(tl.load(second, mask=mine[:, None], other=0).to(given.dtype), given, others)
            second += PARTS * DEPTH
        at += PARTS * DEPTH
        xs += PARTS * DEPTH
    sums *= tl.load(scale + row, mask=mine, other=0.0)[:, None]
    if GATED:
        others *= tl.load(scale + rows + row, mask=mine, other=0.0)[:, None]
        sums = sums * tl.sigmoid(sums) * others
    to = y + (part * tokens + token)[None, :].to(tl.int64) * rows + row[:, None]
    tl.store(to, sums.to(y.dtype.element_ty), mask=mine[:, None] & here[None, :])


@triton.jit(do_not_specialize=PLAIN)
def add_norm(x, parts, weight, y, tokens, hidden, eps, PARTS: tl.constexpr, WIDTH: tl.constexpr):
    """x [tokens, hidden] += parts [PARTS, tokens, hidden]; y = x over its root mean square, times weight [hidden]."""
    token = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, WIDTH)
    inside = i < hidden
    row = tl.load(x + token * hidden + i, mask=inside, other=0.0)
    for part in tl.static_range(PARTS):
        row += tl.load(parts + (part * tokens + token) * hidden + i, mask=inside, other=0.0)
    if PARTS:
        tl.store(x + token * hidden + i, row, mask=inside)
    factor = tl.rsqrt(tl.sum(row * row) / hidden + eps)
    normed = row * factor * tl.load(weight + i, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + token * hidden + i, normed.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=PLAIN)
def place(
    parts,
    cosines,
    sines,
    queries,
    state,
    tokens,
    layer,
    layers,
    heads,
    kv_heads,
    PARTS: tl.constexpr,
    SIZE: tl.constexpr,
    IN_A_ROW: tl.constexpr,
):
    """Rotate queries and keys, from the sums of their product, parts [PARTS, tokens, (heads + 2 kv_heads) SIZE]:
    queries [tokens, heads, SIZE] go to a buffer, keys and values into the sequence's own, [kv_heads, capacity, SIZE].

    cosines, sines: float32 [places, SIZE / 2]. IN_A_ROW: the tokens of a prompt, whose places are not in `state`.
    """
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    slot = tl.load(state) + token
    place_of = slot
    if not IN_A_ROW:
        place_of = tl.load(state + _state_places + token)
    half: tl.constexpr = SIZE // 2
    i = tl.arange(0, half)
    width = (heads + 2 * kv_heads) * SIZE
    first = tl.zeros((half,), tl.float32)
    second = tl.zeros((half,), tl.float32)
    for part in tl.static_range(PARTS):
        at = parts + (part * tokens + token) * width + head * SIZE + i
        first += tl.load(at)
        second += tl.load(at + half)
    kind = queries.dtype.element_ty
    if head < heads + kv_heads:
        cosine = tl.load(cosines + place_of * half + i)
        sine = tl.load(sines + place_of * half + i)
        turned = first * cosine - second * sine
        second = second * cosine + first * sine
        first = turned
    if head < heads:
        to = queries + (token * heads + head) * SIZE + i
    else:
        number = head - heads
        index = layer
        if number >= kv_heads:
            number -= kv_heads
            index = layer + layers
        to = _memory(state, index, kind) + (number * tl.load(state + 1) + slot) * SIZE + i
    tl.store(to, first.to(kind))
    tl.store(to + half, second.to(kind))


@triton.jit(do_not_specialize=PLAIN)
def attend(
    queries,
    state,
    taken,
    most,
    total,
    tokens,
    layer,
    layers,
    heads,
    factor,
    GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    KEYS: tl.constexpr,
    SPAN: tl.constexpr,
):
    """What the queries of one key-value head, GROUP for each token, take from one span of the keys in a row.

    taken [spans, FEW, heads, SIZE], with the greatest score and the sum of the weights, [spans, FEW, heads]. ROWS has
    room for FEW tokens, always: another number of rows could be other instructions, which round otherwise.
    """
    kv_head, span = tl.program_id(0), tl.program_id(1)
    capacity, end = tl.load(state + 1), tl.load(state + _state_end)
    first = span * SPAN
    if first < end:
        kind = queries.dtype.element_ty
        keys = _memory(state, layer, kind) + kv_head * capacity * SIZE
        values = _memory(state, layers + layer, kind) + kv_head * capacity * SIZE
        r = tl.arange(0, ROWS)
        d = tl.arange(0, SIZE)
        token = r // GROUP
        which = token * heads + kv_head * GROUP + r % GROUP
        real = token < tokens
        sees = tl.load(state + _state_sees + token, mask=real, other=0)
        query = tl.load(queries + which[:, None] * SIZE + d[None, :], mask=real[:, None], other=0.0)
        best = tl.full((ROWS,), -1e30, tl.float32)
        weights = tl.zeros((ROWS,), tl.float32)
        sums = tl.zeros((ROWS, SIZE), tl.float32)
        last = tl.minimum(first + SPAN, end)
        for at in range(first, last, KEYS):
            k = at + tl.arange(0, KEYS)
            there = k < end
            key = tl.load(keys + k[None, :] * SIZE + d[:, None], mask=there[None, :], other=0.0)
            scores = tl.dot(query, key) * factor
            scores = tl.where(k[None, :] < sees[:, None], scores, -1e30)
            now = tl.maximum(best, tl.max(scores, axis=1))
            share = tl.where(scores > -1e29, tl.exp(scores - now[:, None]), 0.0)
            fade = tl.exp(best - now)
            value = tl.load(values + k[:, None] * SIZE + d[None, :], mask=there[:, None], other=0.0)
            sums = tl.dot(share.to(kind), value, sums * fade[:, None])
            weights = weights * fade + tl.sum(share, axis=1)
            best = now
        where = span * _few * heads + which
        tl.store(taken + where[:, None] * SIZE + d[None, :], sums, mask=real[:, None])
        tl.store(most + where, best, mask=real)
        tl.store(total + where, weights, mask=real)


@triton.jit(do_not_specialize=PLAIN)
def gather(
    taken,
    most,
    total,
    queries,
    state,
    y,
    layer,
    layers,
    heads,
    group,
    factor,
    SIZE: tl.constexpr,
    KEYS: tl.constexpr,
    SPAN: tl.constexpr,
):
    """y [tokens, heads, SIZE]: from the spans of `attend`, each token's own and no more, and from its path.

    A path's keys lie anywhere; they are taken in the path's order, in blocks of KEYS, so that it does not matter where.
    """
    token, head = tl.program_id(0), tl.program_id(1)
    kind = queries.dtype.element_ty
    d = tl.arange(0, SIZE)
    which = token * heads + head
    best = tl.full((), -1e30, tl.float32)
    weights = tl.zeros((), tl.float32)
    sums = tl.zeros((SIZE,), tl.float32)
    for span in range(0, tl.cdiv(tl.load(state + _state_sees + token), SPAN)):
        where = span * _few * heads + which
        theirs = tl.load(most + where)
        now = tl.maximum(best, theirs)
        fade, share = tl.exp(best - now), tl.exp(theirs - now)
        sums = sums * fade + share * tl.load(taken + where * SIZE + d)
        weights = weights * fade + share * tl.load(total + where)
        best = now
    behind = tl.load(state + _state_behind + token)
    if behind > 0:
        path = state + _state_addresses + 2 * layers + token * _path
        beginning = (head // group) * tl.load(state + 1) * SIZE
        keys = _memory(state, layer, kind) + beginning
        values = _memory(state, layers + layer, kind) + beginning
        query = tl.load(queries + which * SIZE + d).to(tl.float32)
        for at in range(0, behind, KEYS):
            k = at + tl.arange(0, KEYS)
            there = k < behind
            slot = tl.load(path + k, mask=there, other=0)
            key = tl.load(keys + slot[:, None] * SIZE + d[None, :], mask=there[:, None], other=0.0).to(tl.float32)
            scores = tl.where(there, tl.sum(key * query[None, :], axis=1) * factor, -1e30)
            now = tl.maximum(best, tl.max(scores, axis=0))
            share = tl.where(there, tl.exp(scores - now), 0.0)
            fade = tl.exp(best - now)
            value = tl.load(values + slot[:, None] * SIZE + d[None, :], mask=there[:, None], other=0.0)
            sums = sums * fade + tl.sum(share[:, None] * value.to(tl.float32), axis=0)
            weights = weights * fade + tl.sum(share, axis=0)
            best = now
    tl.store(y + which * SIZE + d, (sums / weights).to(y.dtype.element_ty))
