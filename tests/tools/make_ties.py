"""Write awkward models for prune: ties everywhere, and everything that breaks a float comparison.

    python tests/tools/make_ties.py FOLDER [--scale 1]
    python tests/tools/make_ties.py --huge FILE

FOLDER gets a few small files and one folder of shards. --scale makes the tensors larger.
--huge writes one file of more than 2^32 weights that is a hole but for a few ranges: it takes a few MB of disk.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402
import prune_huge  # noqa: E402
from make_poison import BITS  # noqa: E402


class File:
    """The tensors of one file in file order."""

    def __init__(self, seed=0, scale=1):
        self.random = np.random.default_rng(seed)
        self.scale = scale
        self.tensors = []

    def add(self, name, dtype, values):
        values = np.asarray(values)
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                values = values.astype(checkpoint.FLOATS[dtype])
        self.tensors.append((name, dtype, values.shape, values.tobytes()))

    def ties(self, name, dtype, *shape, distinct=5):
        """So few magnitudes that nearly every weight has equals."""
        shape = (shape[0] * self.scale, *shape[1:])
        values = self.random.integers(0, distinct, shape) * self.random.choice([-0.25, 0.25], shape)
        self.add(name, dtype, values)

    def write(self, path, metadata=None):
        with open(path, "wb") as file:
            header = [(name, dtype, shape, len(data)) for name, dtype, shape, data in self.tensors]
            file.write(checkpoint.header_bytes(header, metadata))
            file.writelines(data for *_, data in self.tensors)


def specials(dtype, random, shape):
    """NaN of several kinds, ±inf, ±0, the extremes, subnormals, and ones between them."""
    kind, nonfinite, one, top, small = BITS[dtype]
    sign = 1 << (8 * np.dtype(kind).itemsize - 1)
    bits = nonfinite + [0, sign, one, one | sign, top, top | sign] + small + [s | sign for s in small]
    return random.choice(np.array(bits, kind), shape)


def of_dtype(dtype, scale):
    f = File(len(dtype), scale)
    f.add("odd", "U8", np.arange(3, dtype="u1"))  # what follows is unaligned
    f.ties("ties.weight", dtype, 24, 37)
    f.ties("two.weight", dtype, 33, 16, distinct=2)
    f.add("equal.weight", dtype, np.full((13 * scale, 24), -0.5))
    f.add("signed.weight", dtype, np.tile([0.5, -0.5, 0.0, -0.0], (7 * scale, 6)))
    f.add("zeros.weight", dtype, np.tile([0.0, -0.0, -0.0], (8 * scale, 8)))
    f.add("special.weight", dtype, specials(dtype, f.random, (16 * scale, 24)))
    f.add("nan.weight", dtype, np.full((4, 12), np.nan))
    mostly = np.where(f.random.random((6 * scale, 24)) < 0.6, np.nan, f.random.integers(0, 3, (6 * scale, 24)))
    f.add("mostly-nan.weight", dtype, mostly)
    f.add("one.weight", dtype, [[3.0]])
    f.add("half.weight", dtype, [[1.0, 2.0, 1.0]])  # 0.5 · 3 is no integer: 1.5 rounds to 2
    f.add("five.weight", dtype, [[1.0, 1.0, 1.0, 1.0, 1.0]])  # 2.5 rounds to 2
    f.add("bias", dtype, f.random.integers(0, 3, 24) * 0.5)
    f.add("scalar", dtype, np.array(0.25))
    f.add("empty.weight", dtype, np.zeros((0, 4)))
    f.add("hollow.weight", dtype, np.zeros((3, 0, 2)))
    f.ties("conv.weight", dtype, 6, 24, 3, 3)
    return f


def mixed(scale, with_f64):
    """One budget over every dtype: magnitudes that one dtype has and another rounds."""
    f = File(3, scale)
    for dtype in checkpoint.FLOATS:
        if dtype == "F64" and not with_f64:
            continue
        f.ties(f"{dtype}.weight", dtype, 9, 24)
        f.add(f"near.{dtype}", dtype, f.random.choice([0.1, -0.1, 0.3, 1 / 3, 0.25, 1e-3], (8 * scale, 24)))
        f.add(f"special.{dtype}", dtype, specials(dtype, f.random, (4, 24)))
    if with_f64:
        third = np.float64(np.float32(1 / 3))
        beside = [third, np.nextafter(third, 0), np.nextafter(third, 1), 5e-324, 1e-300, 1e300, 1e40]
        f.add("beside.F64", "F64", f.random.choice(beside, (8, 24)))
        f.add("third.F32", "F32", np.full((8, 24), 1 / 3))
    f.add("index.weight", "I64", np.arange(12, dtype="i8").reshape(3, 4))
    return f


def shapes(scale):
    """For N:M: an axis 1 that M divides or not, and what follows it."""
    f = File(4, scale)
    for shape in ((5, 1), (5, 2), (5, 3), (5, 4), (4, 6), (3, 8), (7, 12), (2, 24), (2, 48), (1, 25), (3, 7)):
        f.ties(f"matrix.{shape[0]}x{shape[1]}", "BF16", *shape)
    for shape in ((4, 24, 1), (4, 24, 5), (3, 24, 3, 3), (2, 48, 1, 1), (3, 23, 3, 3), (2, 24, 2, 2, 2), (2, 4, 1, 1, 1, 1)):
        f.ties("conv." + "x".join(map(str, shape)), "F16", *shape)
    f.add("depthwise", "F32", f.random.standard_normal((24, 1, 3, 3)))
    f.add("only.nan-groups", "F32", np.tile([np.nan, np.nan, np.nan, 1.0], (3, 6)))
    f.add("inf-groups", "F32", np.tile([np.inf, -np.inf, np.nan, 0.0], (3, 6)))
    return f


NAMES = ("layers.10.weight", "layers.2.weight", "layers.1.weight", "Layers.2.weight", "layers.02.weight", "été.weight",
         "層.weight", "a b.weight", "a/b.weight", "a\\b.weight", 'quote".weight', "new\nline.weight", "tab\t.weight",
         "esc\x1b[2J.weight", "", " ", "*", "[0]", "{x}", "z\U0001f333", "\ue000after-surrogates", "e\u0301t", "%s%n",
         "model.embed_tokens.weight", "lm_head.weight", "patch_embed.proj.weight", "w_scale", "zero_point.weight",
         "transformer.wte.weight", "transformer.wpe.weight", "mlp.router.weight", "mlp.gate.weight", "mlp.gate_proj.weight")


def names(scale):
    """All of one value, so that the order of names alone decides."""
    f = File(5, scale)
    for name in NAMES:
        f.add(name, "BF16", np.full((3, 24), 0.5))
    return f


def shards(folder, scale):
    """A model of three shards, with what lies beside it."""
    folder.mkdir(exist_ok=True)
    weight_map, size = {}, 0
    for i, dtype in enumerate(("BF16", "F16", "F8_E4M3")):
        f, file = File(6 + i, scale), f"model-{i + 1:05}-of-00003.safetensors"
        for layer in (2 - i, 10 + i):
            f.ties(f"layers.{layer}.weight", dtype, 12, 24)
            f.add(f"layers.{layer}.bias", dtype, np.full(24, 0.25))
        f.write(folder / file, {"format": "pt", "part": str(i)})
        weight_map |= {name: file for name, *_ in f.tensors}
        size += sum(len(data) for *_, data in f.tensors)
    index = {"metadata": {"total_size": size, "by": "make_ties.py"}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (folder / "config.json").write_text('{"model_type": "ties"}\n')
    (folder / "tokenizer.model").write_bytes(bytes(range(256)))
    (folder / "onnx").mkdir(exist_ok=True)
    (folder / "onnx/note.txt").write_text("a file of a subfolder\n")


def make(folder, scale=1):
    folder.mkdir(parents=True, exist_ok=True)
    for dtype in checkpoint.FLOATS:
        of_dtype(dtype, scale).write(folder / f"ties-{dtype.lower()}.safetensors", {"format": "pt", "kept": "as it is ✂"})
    mixed(scale, with_f64=True).write(folder / "mixed-f64.safetensors")
    mixed(scale, with_f64=False).write(folder / "mixed.safetensors")
    shapes(scale).write(folder / "shapes.safetensors")
    names(scale).write(folder / "names.safetensors")
    shards(folder / "shards", scale)
    File().write(folder / "none.safetensors", {"nothing": "in it"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--huge", type=Path, metavar="FILE")
    parser.add_argument("--weights", type=int, default=prune_huge.WEIGHTS, help="at least how many --huge has")
    parser.add_argument("--scale", type=int, default=1, help="how many times as many rows")
    args = parser.parse_args()
    if not (args.folder or args.huge):
        parser.error("FOLDER or --huge FILE")
    if args.folder:
        make(args.folder, args.scale)
    if args.huge:
        prune_huge.make(args.huge, args.weights)


if __name__ == "__main__":
    main()
