"""Write a large checkpoint of random weights, about as fast as the disk, in bounded memory.

    python tests/tools/generate.py --bytes 4GiB --dtype bf16 --tensors 300 -o model.safetensors
    python tests/tools/generate.py --bytes 1TiB --dtype f32 --tensors 1000 --shards 200 --sparse -o FOLDER

Names and shapes are those of a llama-style transformer. The weights come from one cached 64 MiB block of normal
numbers, whose eight parts have standard deviations from 0.005 to 0.04: a tensor repeats one part from a random
offset. --sparse writes headers only and leaves the weights a hole in the file: zeros that take no space.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402

BLOCK_BYTES, PARTS = 64 << 20, 8
FP8_SCALE = 2048  # a quantised checkpoint fills its range: largest weight about 448


def size(text):
    """Bytes of `4GiB`, `64MiB`, `1000`."""
    for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)):
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


def transformer(elements, tensors):
    """(name, shape) of a llama-style model of about so many weights in about so many tensors."""
    layers = max(1, round((tensors - 3) / 9))
    hidden = max(16, int(math.sqrt(0.9 * elements / (10.5 * layers))) // 16 * 16)
    vocabulary = max(1, (elements - layers * int(10.5 * hidden * hidden)) // (2 * hidden))
    wide, narrow = 8 * hidden // 3, hidden // 4
    shapes = [("model.embed_tokens.weight", (vocabulary, hidden))]
    for i in range(layers):
        shapes += [(f"model.layers.{i}.{name}.weight", shape) for name, shape in (
            ("input_layernorm", (hidden,)), ("mlp.down_proj", (hidden, wide)), ("mlp.gate_proj", (wide, hidden)),
            ("mlp.up_proj", (wide, hidden)), ("post_attention_layernorm", (hidden,)),
            ("self_attn.k_proj", (narrow, hidden)), ("self_attn.o_proj", (hidden, hidden)),
            ("self_attn.q_proj", (hidden, hidden)), ("self_attn.v_proj", (narrow, hidden)))]
    return shapes + [("model.norm.weight", (hidden,)), ("lm_head.weight", (vocabulary, hidden))]


def equal(elements, tensors):
    """Square matrices of one size."""
    side = max(1, math.isqrt(elements // tensors))
    return [(f"tensor.{i}", (side, side)) for i in range(tensors)]


class Weights:
    """The cached block, and the bytes of any tensor from it."""

    def __init__(self, dtype, seed):
        self.kind = checkpoint.FLOATS[dtype]
        self.scale = FP8_SCALE if self.kind.itemsize == 1 else 1
        self.random = np.random.default_rng(seed)
        count = BLOCK_BYTES // PARTS // self.kind.itemsize
        self.parts = [memoryview(self.encode(self.scale * deviation * self.random.standard_normal(count, np.float32)))
                      for deviation in np.geomspace(0.005, 0.04, PARTS)]

    def encode(self, values):
        limit = 448 if self.kind.itemsize == 1 else np.inf
        return np.clip(values, -limit, limit).astype(self.kind).view(np.uint8)

    def write(self, file, shape):
        if len(shape) == 1:  # the gain of a norm
            file.write(self.encode(1 + 0.1 * self.random.standard_normal(shape, np.float32)))
            return
        part = self.parts[self.random.integers(PARTS)]
        start = self.random.integers(len(part) // self.kind.itemsize) * self.kind.itemsize
        left = math.prod(shape) * self.kind.itemsize
        while left:
            piece = part[start : start + left]
            file.write(piece)
            left -= len(piece)
            start = 0


def write_file(path, tensors, dtype, weights):
    """One file; without weights, a header and a hole."""
    width = checkpoint.FLOATS[dtype].itemsize
    entries = [(name, dtype, shape, math.prod(shape) * width) for name, shape in tensors]
    header = checkpoint.header_bytes(entries, {"format": "pt"}, align=8)
    length = sum(entry[3] for entry in entries)
    with open(path, "wb") as file:
        file.write(header)
        if weights:
            for _, shape in tensors:
                weights.write(file, shape)
        else:
            file.truncate(len(header) + length)
    return length


def shard(tensors, count):
    """Consecutive runs of tensors of about the same number of weights."""
    total = sum(math.prod(shape) for _, shape in tensors)
    shards, seen = [[] for _ in range(count)], 0
    for name, shape in tensors:
        shards[min(count - 1, seen * count // total)].append((name, shape))
        seen += math.prod(shape)
    return [part for part in shards if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=size, default="1GiB")
    parser.add_argument("--dtype", choices=[name.lower() for name in checkpoint.FLOATS], default="f32")
    parser.add_argument("--tensors", type=int, default=300, help="about how many")
    parser.add_argument("--shape-like", choices=["transformer", "equal"], default="transformer")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a file, or with --shards a folder")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    start = time.perf_counter()
    dtype = args.dtype.upper()
    shapes = {"transformer": transformer, "equal": equal}[args.shape_like]
    tensors = shapes(args.bytes // checkpoint.FLOATS[dtype].itemsize, args.tensors)
    weights = None if args.sparse else Weights(dtype, args.seed)
    if args.shards == 1:
        total = write_file(args.output, tensors, dtype, weights)
    else:
        args.output.mkdir(parents=True, exist_ok=True)
        parts, weight_map, total = shard(tensors, args.shards), {}, 0
        for i, part in enumerate(parts, 1):
            name = f"model-{i:05}-of-{len(parts):05}.safetensors"
            total += write_file(args.output / name, part, dtype, weights)
            weight_map |= {tensor: name for tensor, _ in part}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (args.output / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    print(f"{len(tensors)} tensors, {total:,} bytes, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
