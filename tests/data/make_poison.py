"""Write poison.safetensors: small tensors with everything that breaks naive statistics.

    python tests/data/make_poison.py tests/data/poison.safetensors

NaN, ±inf, ±0, subnormals and the extremes of every dtype; constant tensors; means of 1000 σ; magnitudes whose fourth
powers leave f32 or f64; heavy tails; nothing finite, one element, no element; names that sort naturally or need
escaping; and every dtype that is skipped. Data starts at odd offsets, as the format allows.
"""

import argparse

import numpy as np

import checkpoint

# Bits of: quiet NaN, NaN with sign and payload, inf, -inf; one, max; least and greatest subnormal, least normal.
BITS = {
    "F64": ("u8", [0x7FF8 << 48, (0xFFF0 << 48) + 1, 0x7FF0 << 48, 0xFFF0 << 48], 0x3FF0 << 48, (0x7FF0 << 48) - 1,
            [1, (1 << 52) - 1, 1 << 52]),
    "F32": ("u4", [0x7FC00000, 0xFF800001, 0x7F800000, 0xFF800000], 0x3F800000, 0x7F7FFFFF, [1, 0x7FFFFF, 0x800000]),
    "F16": ("u2", [0x7E00, 0xFC01, 0x7C00, 0xFC00], 0x3C00, 0x7BFF, [1, 0x3FF, 0x400]),
    "BF16": ("u2", [0x7FC0, 0xFF81, 0x7F80, 0xFF80], 0x3F80, 0x7F7F, [1, 0x7F, 0x80]),
    "F8_E4M3": ("u1", [0x7F, 0xFF], 0x38, 0x7E, [1, 7, 8]),
    "F8_E5M2": ("u1", [0x7E, 0xFD, 0x7C, 0xFC], 0x3C, 0x7B, [1, 3, 4]),
}
SKIPPED = {  # dtype: (shape, bytes)
    "BOOL": ([5], 5), "U8": ([3], 3), "I8": ([3], 3), "I16": ([2, 2], 8), "U16": ([2], 4), "I32": ([2], 8),
    "U32": ([2], 8), "I64": ([], 8), "U64": ([2], 16), "C64": ([2, 1], 16), "F4": ([4, 3], 6), "F6_E2M3": ([4], 3),
    "F6_E3M2": ([2, 4], 6), "F8_E8M0": ([4], 4), "F8_E4M3FNUZ": ([3], 3), "F8_E5M2FNUZ": ([3], 3),
}


class Poison:
    """The tensors in file order, and one random generator for all."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.tensors = []

    def add(self, name, dtype, values):
        values = np.asarray(values)
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                values = values.astype(checkpoint.FLOATS[dtype])
        self.tensors.append((name, dtype, values.shape, values.tobytes()))

    def normal(self, *shape):
        return self.random.standard_normal(shape)


def by_dtype(p, dtype):
    """The same cases in each dtype."""
    kind, nonfinite, one, top, small = BITS[dtype]
    sign = 1 << (8 * np.dtype(kind).itemsize - 1)
    bits = nonfinite + [0, sign, one, one | sign, top, top | sign] + small + [s | sign for s in small]
    p.add(f"special.{dtype}", dtype, np.array(bits, kind))
    p.add(f"extremes.{dtype}", dtype, np.array([[top, top | sign] * 3, [top] * 6], kind))
    scale = 20 if kind == "u1" else 0.02
    p.add(f"normal.{dtype}", dtype, scale * p.normal(9, 37))
    conv = scale * p.normal(7, 5, 3, 3)
    conv[1] = np.nan
    conv[2] = scale * 0.75
    conv[3] = [[[-0.0]], [[0]], [[0]], [[-0.0]], [[0]]]
    conv[4:, 2] = np.inf if len(nonfinite) > 2 else np.nan
    conv[0, 1, 1, 1] = conv[6, 4, 2, 2] = np.nan
    conv[:, 3][conv[:, 3] > scale] = 0
    p.add(f"conv.{dtype}", dtype, conv)


def magnitudes(p):
    """Means far from zero, and powers out of range."""
    p.add("offset.F32", "F32", 1 + 0.001 * p.normal(5000))
    p.add("offset.F16", "F16", -1 + 0.001 * p.normal(16, 16))
    p.add("offset.F64", "F64", 1e-3 * (1000 + p.normal(4, 33)))
    p.add("near1e-10.F32", "F32", 1e-10 * p.normal(10, 24))
    p.add("near1e-10.BF16", "BF16", 1e-10 * p.normal(10, 24))
    p.add("near1e-6.F16", "F16", 1e-6 * p.normal(10, 24))
    p.add("near1e-42.F32", "F32", 1e-42 * p.normal(8, 16))
    p.add("near1e30.F32", "F32", 1e30 * p.normal(10, 24))
    p.add("near1e30.BF16", "BF16", 1e30 * (1 + p.normal(10, 24)))
    p.add("near5e37.F32", "F32", 5e37 * p.normal(8, 16))
    for exponent in (100, 200, 307, -100, -200, -315):
        p.add(f"near1e{exponent}.F64", "F64", 10.0**exponent * p.normal(4, 16))
    p.add("two-scales.F32", "F32", np.where(np.arange(64).reshape(8, 8) % 2, 1e-20, 1e18) * p.normal(8, 8))


def shapes_of_distributions(p):
    p.add("heavy.F32", "F32", 0.01 * p.random.standard_t(2, (20, 50)))
    p.add("heavy.BF16", "BF16", 0.01 * p.random.standard_t(2, (20, 25)))
    outlier = np.full((32, 64), 0.5)
    outlier[17, 40] = 448
    p.add("outlier.F8_E4M3", "F8_E4M3", outlier)
    p.add("sparse.BF16", "BF16", p.normal(8, 64) * (p.random.random((8, 64)) < 0.1))
    p.add("ties.F32", "F32", np.tile([0.5, -0.5], (8, 4)))
    p.add("ties.F16", "F16", np.tile([0.1, 0.2, 0.1, -0.3], (5, 3)))
    p.add("two-values.F32", "F32", [1.0, np.nextafter(np.float32(1), np.float32(2))])
    p.add("every.F8_E4M3", "F8_E4M3", np.arange(256, dtype="u1").reshape(16, 16))
    p.add("every.F8_E5M2", "F8_E5M2", np.arange(256, dtype="u1").reshape(16, 16))


def degenerate(p):
    p.add("constant.F32", "F32", np.full((4, 9), 0.1))
    p.add("constant-large.F32", "F32", np.full((3, 3), 1e30))
    p.add("constant.F64", "F64", np.full((2, 3), 1e300))
    p.add("constant.BF16", "BF16", np.full(48, -3.0))
    p.add("constant.F8_E4M3", "F8_E4M3", np.full((2, 2), 448.0))
    p.add("zeros.F16", "F16", np.zeros((4, 4)))
    p.add("zeros-signed.F32", "F32", np.tile([0.0, -0.0], (2, 3)))
    p.add("nan.F32", "F32", np.full((3, 4), np.nan))
    p.add("nan.F8_E4M3", "F8_E4M3", np.full(5, np.nan))
    p.add("inf.F32", "F32", np.array([np.inf, -np.inf, np.inf]))
    p.add("one-finite.F32", "F32", np.array([[np.nan, np.inf], [2.5, np.nan]]))
    p.add("single.F32", "F32", [0.25])
    p.add("single.BF16", "BF16", np.full((1, 1, 1, 1), -7.0))
    p.add("scalar.F32", "F32", np.array(1.5))
    p.add("scalar.F64", "F64", np.array(-1e-300))
    p.add("scalar.F8_E5M2", "F8_E5M2", np.array(0.0))
    p.add("empty.F32", "F32", np.zeros(0))
    p.add("empty.F16", "F16", np.zeros((3, 0, 2)))
    p.add("empty.BF16", "BF16", np.zeros((0, 4)))
    p.add("vector.F32", "F32", p.normal(19))


def names(p):
    for name in ("layers.10.weight", "layers.9.weight", "layers.9.bias", "layers2.weight", "layers.010.weight"):
        p.add(name, "F16", p.normal(2, 3))
    p.add('odd näme, "quoted"\t/\n*\x1b[31m', "F32", [1.0, 2.0, 4.0])
    for dtype, (shape, length) in SKIPPED.items():
        p.tensors.append((f"skipped.{dtype}", dtype, shape, bytes(range(length))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    args = parser.parse_args()
    p = Poison(seed=0)
    p.add("first", "F8_E5M2", [1.0, 2.0, 3.0])  # three bytes: everything after it is unaligned
    for dtype in BITS:
        by_dtype(p, dtype)
    magnitudes(p)
    shapes_of_distributions(p)
    degenerate(p)
    names(p)
    with open(args.output, "wb") as file:
        header = [(name, dtype, shape, len(data)) for name, dtype, shape, data in p.tensors]
        file.write(checkpoint.header_bytes(header, {"made-by": "make_poison.py"}))
        for *_, data in p.tensors:
            file.write(data)


if __name__ == "__main__":
    main()
