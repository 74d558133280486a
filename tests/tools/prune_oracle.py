"""What `secateur prune` must cut and write, by numpy: argsort, no cleverness.

    score = |w| as float64 (exact for every dtype), or −|w| for --keep smallest
    cut   = numpy.argsort(score, kind="stable")[:k] without its NaN, which sort last;  k = round-half-even(rate · n)

`uniform` does that tensor by tensor, `global` over all tensors one after the other in the bytewise order of their names;
`N:M` cuts M − N of every M neighbours along axis 1. A cut weight becomes all-zero bits, every other byte stays.
"""

import fnmatch
import json
import math
import struct
from dataclasses import dataclass, field

import numpy as np

import checkpoint

LEFT_OUT = ("*embed*", "lm_head*", "*scale*", "*zero_point*", "*router*")
LEFT_OUT_PARTS = {"wte", "wpe"}
UNCLEAR = ("*.gate.weight", "gate.weight", "*.lm_head*", "*wte*", "*wpe*")


def left_out_by_name(name):
    """Whether a tensor is left out unless --only names it; None where what was written down leaves it open."""
    def matches(name, globs):
        return any(fnmatch.fnmatchcase(name, glob) for glob in globs)

    rest = name.replace("patch_embed", "patch")
    if LEFT_OUT_PARTS & set(name.split(".")):
        return True
    if matches(name, UNCLEAR) or (rest != name and matches(rest, LEFT_OUT)):
        return None
    return matches(rest, LEFT_OUT)


@dataclass
class Weights:
    """A tensor's magnitudes, and the orders in which they are cut."""

    tensor: checkpoint.Tensor
    magnitude: np.ndarray = None
    nan: np.ndarray = None
    orders: dict = field(default_factory=dict)

    def __post_init__(self):
        self.magnitude = np.abs(self.tensor.values())
        self.nan = np.isnan(self.magnitude)

    @property
    def name(self):
        return self.tensor.name

    @property
    def zeros(self):
        return int((self.magnitude == 0).sum())

    def order(self, keep):
        if keep not in self.orders:
            self.orders[keep] = ascending(self.magnitude, keep)
        return self.orders[keep]


def ascending(magnitude, keep):
    """The order of cutting."""
    return np.argsort(magnitude if keep == "largest" else -magnitude, kind="stable")


def asked(rate, count):
    """How many weights a rate asks for."""
    return round(rate * count)


def uniform(weights, rate, keep):
    """Which weights are cut: a boolean array for each name."""
    result = {}
    for w in weights:
        cut = np.zeros(len(w.magnitude), bool)
        cut[w.order(keep)[: asked(rate, len(cut))]] = True
        result[w.name] = cut & ~w.nan
    return result


class Global:
    """Every tensor as one, sorted once for all rates."""

    def __init__(self, weights):
        self.weights = sorted(weights, key=lambda w: w.name.encode())
        self.magnitude = np.concatenate([w.magnitude for w in self.weights] or [np.zeros(0)])
        self.orders = {}

    def cut(self, rate, keep):
        if keep not in self.orders:
            self.orders[keep] = ascending(self.magnitude, keep)
        cut = np.zeros(len(self.magnitude), bool)
        cut[self.orders[keep][: asked(rate, len(cut))]] = True
        cut &= ~np.isnan(self.magnitude)
        ends = np.cumsum([len(w.magnitude) for w in self.weights])
        return {w.name: part for w, part in zip(self.weights, np.split(cut, ends[:-1]))}


def takes_pattern(shape, m):
    """Whether N:M can run along axis 1."""
    return len(shape) >= 2 and shape[1] % m == 0


def n_of_m(w, n, m, keep):
    """Which weights of one tensor N:M cuts."""
    shape = w.tensor.shape
    if not math.prod(shape):
        return np.zeros(0, bool)
    # [rows, groups, M, what follows axis 1] with M last: one row of a matrix for each group.
    inner = math.prod(shape[2:])
    split = (shape[0], shape[1] // m, m, inner)
    groups = np.moveaxis(w.magnitude.reshape(split), 2, 3).reshape(-1, m)
    order = np.argsort(groups if keep == "largest" else -groups, axis=1, kind="stable")[:, : m - n]
    cut = np.zeros(groups.shape, bool)
    np.put_along_axis(cut, order, True, axis=1)
    cut = np.moveaxis(cut.reshape(shape[0], shape[1] // m, inner, m), 3, 2).reshape(-1)
    return cut & ~w.nan


def mask_bytes(cut):
    """1 = kept; bit i % 32 of little-endian word i / 32; padding 0."""
    packed = np.packbits(~cut, bitorder="little").tobytes()
    return packed + b"\0" * (-len(packed) % 4)


def written(path, cuts, tensors):
    """The bytes of one file after the cut."""
    data = np.fromfile(path, np.uint8)
    for tensor in tensors:
        cut = cuts.get(tensor.name)
        if cut is not None and cut.any():
            width = checkpoint.FLOATS[tensor.dtype].itemsize
            elements = data[tensor.start : tensor.start + tensor.bytes].reshape(-1, width)
            elements[cut] = 0
    return data.tobytes()


def summary(w, cut, with_threshold):
    """The entry of one tensor in the JSON summary."""
    largest = float(w.magnitude[cut].max()) if cut.any() else None
    return {
        "name": w.name,
        "shape": w.tensor.shape,
        "count": len(cut),
        "cut": int(cut.sum()),
        "zeros_before": w.zeros,
        "zeros_after": int(((w.magnitude == 0) | cut).sum()),
        # JSON has no infinity.
        "threshold": largest if with_threshold and largest is not None and math.isfinite(largest) else None,
    }


def header(path):
    """The parsed header of a safetensors file and the offset of its data."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)), 8 + length
