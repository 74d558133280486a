"""More than 2^32 weights, nearly all of them zeros in a hole of the file: what prune must cut follows without sorting them.

    python tests/tools/make_ties.py --huge FILE [--weights N]
    python tests/tools/prune_agreement.py --secateur target/release/secateur --huge FILE

Zeros go first, by name and index; where they are not enough, or --keep smallest turns the order round, the few weights that
are not zero are sorted. The header's metadata say which bytes hold data. Output, masks and summary are compared in pieces.
"""

import json
import math
import tempfile
from pathlib import Path

import numpy as np

import checkpoint
import prune_oracle as oracle

CHUNK = 1 << 24
WEIGHTS = (1 << 32) + (1 << 16)
RANGE = 1 << 17


def make(path, weights=WEIGHTS):
    """Bytewise order of names: a, big, layers.10, layers.2. `big` alone has so many weights."""
    rng = np.random.default_rng(9)
    columns = 1 << 16 if weights >= 1 << 24 else 64
    small = max(2, min(64, weights // columns // 8))
    shapes = {"layers.2.weight": ("BF16", small), "big.weight": ("F8_E4M3", math.ceil(weights / columns)),
              "layers.10.weight": ("F8_E5M2", small), "a.weight": ("BF16", small)}
    entries = [(name, dtype, [rows, columns], rows * columns * checkpoint.FLOATS[dtype].itemsize)
               for name, (dtype, rows) in shapes.items()]
    ranges, offset = [], 0
    for name, dtype, shape, length in entries:
        count, width = math.prod(shape), checkpoint.FLOATS[dtype].itemsize
        size = min(RANGE, count // 16)
        # Around the places where 31 and 32 bits end, or the same of a smaller tensor.
        for middle in (size // 2, min(1 << 31, count // 2), min(1 << 32, count * 3 // 4), count - size // 2):
            begin = max(0, min(middle - size // 2, count - size))
            ranges.append((offset + begin * width, offset + (begin + size) * width))
        offset += length
    with open(path, "wb") as file:
        head = checkpoint.header_bytes(entries, {"data": json.dumps(ranges)}, align=8)
        file.write(head)
        file.truncate(len(head) + offset)
        for (begin, end), entry in zip(ranges, [entry for entry in entries for _ in range(4)]):
            kind = checkpoint.FLOATS[entry[1]]
            count = (end - begin) // kind.itemsize
            values = rng.integers(-6, 7, count) * 0.25
            values[rng.random(count) < 0.01] = np.nan
            values[rng.random(count) < 0.01] = -0.0
            file.seek(len(head) + begin)
            file.write(values.astype(kind).tobytes())
    print(f"{path}: {sum(math.prod(shape) for _, _, shape, _ in entries):,} weights, {path.stat().st_blocks // 2048} MiB on disk")


class Sparse:
    """A tensor of zeros, but for some ranges."""

    def __init__(self, tensor, ranges):
        self.tensor, self.count = tensor, tensor.count
        self.kind = checkpoint.FLOATS[tensor.dtype]
        width = self.kind.itemsize
        self.ranges = sorted({(a // width, b // width) for a, b in ranges if 0 <= a < b <= tensor.bytes})
        source = np.memmap(tensor.path, self.kind, "r", tensor.start, (tensor.count,))
        # Ranges may overlap: every place once.
        self.at = np.unique(np.concatenate([np.arange(*r) for r in self.ranges] or [np.zeros(0, int)]))
        with np.errstate(invalid="ignore"):
            self.magnitude = np.abs(source[self.at].astype(np.float64))
        self.source = source
        self.weight = self.magnitude > 0  # neither zero nor NaN
        self.zeros = self.count - int((self.magnitude != 0).sum())


def choose(group, k, keep):
    """For each tensor of a group: how many of its first zeros are cut, and which places of the others."""
    places = [(rank, w.at[w.weight]) for rank, w in enumerate(group)]
    ranks = np.concatenate([np.full(len(at), rank) for rank, at in places])
    where = np.concatenate([at for _, at in places])
    magnitude = np.concatenate([w.magnitude[w.weight] for w in group])
    zeros = sum(w.zeros for w in group)
    from_zeros = min(k, zeros) if keep == "largest" else min(max(0, k - len(magnitude)), zeros)
    from_others = min(k - from_zeros, len(magnitude))
    chosen = oracle.ascending(magnitude, keep)[:from_others]
    result = {}
    for rank, w in enumerate(group):
        mine = min(from_zeros, w.zeros)
        from_zeros -= mine
        result[w.tensor.name] = mine, np.sort(where[chosen[ranks[chosen] == rank]])
    return result


def pieces(w, zeros_cut, others):
    """(begin, end, cut) over a tensor; `cut` is one bool where all is zero and treated alike."""
    for begin in range(0, w.count, CHUNK):
        end = min(begin + CHUNK, w.count)
        first, last = np.searchsorted(w.at, (begin, end))
        zero = np.ones(end - begin, bool) if last > first or 0 < zeros_cut < end - begin else None
        if zero is None:
            yield begin, end, zeros_cut > 0
            zeros_cut -= min(zeros_cut, end - begin)
            continue
        zero[w.at[first:last][w.magnitude[first:last] != 0] - begin] = False
        here = int(zero.sum())
        cut = zero if zeros_cut >= here else zero & (np.cumsum(zero) <= zeros_cut)
        zeros_cut -= min(zeros_cut, here)
        cut = cut.copy()
        a, b = np.searchsorted(others, (begin, end))
        cut[others[a:b] - begin] = True
        yield begin, end, cut


def compare(w, plan, out, mask, offset):
    """What is wrong with a tensor in the output and in the masks, whose words start at `offset`."""
    wrong, width = [], w.kind.itemsize
    for begin, end, cut in pieces(w, *plan):
        out.seek(w.tensor.start + begin * width)
        found = np.frombuffer(out.read((end - begin) * width), np.uint8).reshape(-1, width)
        same = not found.any()
        if not isinstance(cut, bool):
            expected = w.source[begin:end].view(np.uint8).reshape(-1, width).copy()
            expected[cut] = 0
            same = np.array_equal(found, expected)
        if not same:
            wrong.append(f"{w.tensor.name!r}: output differs in {begin}..{end}")
        flags = np.full(end - begin, cut) if isinstance(cut, bool) else cut
        mask.seek(offset + begin // 8)
        expected = oracle.mask_bytes(flags)
        if mask.read(len(expected)) != expected:
            wrong.append(f"{w.tensor.name!r}: masks differ in {begin}..{end}")
    return wrong


def cases(weights):
    """Cut only zeros; all zeros and half the others; tensor by tensor; the largest; zeros after the largest."""
    count, others = sum(w.count for w in weights), sum(int(w.weight.sum()) for w in weights)
    zeros = sum(w.zeros for w in weights)
    yield "global", 0.5, "largest"
    yield "global", (zeros + others // 2) / count, "largest"
    yield "uniform", 0.99995, "largest"
    yield "global", others / 2 / count, "smallest"
    yield "global", 0.9, "smallest"


def check(binary, path, how, number, run):
    """One line a case; runs and failures. `run` is prune_agreement's Run."""
    ranges = json.loads(oracle.header(path)[0]["__metadata__"]["data"])
    start = oracle.header(path)[1]
    weights = [Sparse(t, [(a - t.start + start, b - t.start + start) for a, b in ranges]) for t in checkpoint.read(path)]
    weights.sort(key=lambda w: w.tensor.name.encode())
    runs = failures = 0
    for allocation, rate, keep in cases(weights):
        with tempfile.TemporaryDirectory(prefix="prune-huge-", dir=path.parent) as folder:
            arguments = ["--sparsity", number(rate), "--allocation", allocation, "--keep", keep]
            done = run(binary, path, Path(folder), arguments, how, products=True)
            wrong = [f"exit status {done.status}: {done.error}"] if done.status else inspect(done, weights, allocation, rate, keep)
        print(f"{path.name[:28]:28} {allocation} {rate:.6f} {keep:9} {' '.join(how)} {done.seconds:7.2f} s ",
              "ok" if not wrong else f"{len(wrong)} WRONG", *(f"\n    {text}" for text in wrong[:9]), flush=True)
        runs, failures = runs + 1, failures + bool(wrong)
    return runs, failures


def inspect(done, weights, allocation, rate, keep):
    """What is wrong with one run."""
    groups = [weights] if allocation == "global" else [[w] for w in weights]
    plan = {}
    for group in groups:
        plan |= choose(group, oracle.asked(rate, sum(w.count for w in group)), keep)
    header, start = oracle.header(done.mask)
    header.pop("__metadata__", None)
    wrong = [] if header.keys() == plan.keys() else [f"masks of {sorted(header)}"]
    entries = {entry["name"]: entry for entry in done.summary["tensors"]}
    source = weights[0].tensor.path
    if oracle.header(done.out) != oracle.header(source) or done.out.stat().st_size != source.stat().st_size:
        wrong.append("another header or length")
    with open(done.out, "rb") as out, open(done.mask, "rb") as mask:
        for w in weights:
            name = w.tensor.name
            zeros_cut, others = plan[name]
            if name in header:
                wrong += compare(w, plan[name], out, mask, start + header[name]["data_offsets"][0])
            # Zeros that are cut stay zeros; the others become some.
            magnitude = w.magnitude[np.searchsorted(w.at, others)]
            largest = float(magnitude.max()) if len(others) else 0.0 if zeros_cut else None
            wanted = {"count": w.count, "cut": zeros_cut + len(others), "zeros_before": w.zeros,
                      "zeros_after": w.zeros + len(others), "threshold": largest}
            wrong += [f"{name!r}: {key} is {entries.get(name, {}).get(key)}, expected {value}"
                      for key, value in wanted.items() if entries.get(name, {}).get(key) != value]
    return wrong
