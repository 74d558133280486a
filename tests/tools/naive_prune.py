"""A slow `secateur prune` of plain loops, to test the tests: prune_agreement.py and crash_test.py run it as if it were the
binary. It shares no selection code with prune_oracle.py. NAIVE_FAULT=NAME makes it wrong in one way.

    python tests/tools/naive_prune.py prune MODEL -o OUT --sparsity 0.5 --format json [--mask FILE] [--plan FILE] ...
"""

import argparse
import fnmatch
import hashlib
import json
import math
import os
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np

FAULT = os.environ.get("NAIVE_FAULT", "")
KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
         "F8_E5M2": ml_dtypes.float8_e5m2}
FAULTS = ("tie-order", "rounding", "nan-cut", "negative-zero", "stray-byte", "mask-padding", "mask-inverted", "threshold",
          "zeros", "natural-order", "axis", "ignore-mask", "shape", "extra-file", "random-by-threads")


def parse(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["prune"])
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", type=Path, required=True)
    for name in ("engine", "mask", "plan", "from-mask", "from-plan", "memory", "threads", "format"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--sparsity", type=float)
    parser.add_argument("--pattern", default="element")
    parser.add_argument("--criterion", default="magnitude")
    parser.add_argument("--allocation", default="uniform")
    parser.add_argument("--keep", default="largest")
    parser.add_argument("--only")
    parser.add_argument("--force", action="store_true")
    return parser.parse_args(argv)


def load(path):
    """Bytes of the file and its tensors: name, dtype, shape, start, elements."""
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return data, [(name, e["dtype"], e["shape"], 8 + length + e["data_offsets"][0], math.prod(e["shape"]))
                  for name, e in header.items()]


def files_of(model):
    return sorted(model.glob("*.safetensors")) if model.is_dir() else [model]


def is_left_out(args, name, dtype, shape):
    if dtype not in KINDS:
        return True
    if args.only:
        return not fnmatch.fnmatchcase(name, args.only)
    globs = ("*embed*", "lm_head*", "*scale*", "*zero_point*", "*router*", "*.wte.*", "*.wpe.*")
    return len(shape) < 2 or "patch_embed" not in name and any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def choose(scored, k):
    """The k indices of the smallest scores among (score, index), NaN last and then dropped."""
    back = -1 if FAULT == "tie-order" else 1
    order = sorted(scored, key=lambda pair: (math.isnan(pair[0]), 0 if math.isnan(pair[0]) else pair[0], back * pair[1]))
    return [index for score, index in order[:k] if FAULT == "nan-cut" or not math.isnan(score)]


def rounded(x):
    return math.floor(x + 0.5) if FAULT == "rounding" else round(x)


def score(args, tensor, values):
    if args.criterion.startswith("random"):
        salt = args.threads if FAULT == "random-by-threads" else ""
        draw = lambda i: int.from_bytes(hashlib.sha256(f"{args.criterion} {salt} {tensor} {i}".encode()).digest()[:7])
        return [math.nan if math.isnan(v) else float(draw(i)) for i, v in enumerate(values)]
    sign = 1 if args.keep == "largest" else -1
    return [sign * abs(v) for v in values]


def select(args, tensors):
    """The indices cut of each (name, dtype, shape, values)."""
    scores = {name: score(args, name, values) for name, _, _, values in tensors}
    if ":" in args.pattern:
        n, m = map(int, args.pattern.split(":"))
        cuts = {}
        for name, _, shape, values in tensors:
            inner, cuts[name] = math.prod(shape[2:]) if FAULT != "axis" else 1, []
            step = shape[1] * inner if FAULT != "axis" else len(values)
            for base in range(len(values)):
                at, within = base % step // inner, base % inner
                if at % m == 0:
                    members = [base + j * inner for j in range(m)]
                    cuts[name] += choose([(scores[name][i], i) for i in members], m - n)
        return cuts
    if args.allocation == "global":
        natural = (lambda t: (len(t[0]), t[0])) if FAULT == "natural-order" else (lambda t: t[0].encode())
        ordered = sorted(tensors, key=natural)
        flat = [(name, i) for name, _, _, values in ordered for i in range(len(values))]
        picked = choose([(scores[name][i], rank) for rank, (name, i) in enumerate(flat)], rounded(args.sparsity * len(flat)))
        cuts = {name: [] for name in scores}
        for rank in picked:
            cuts[flat[rank][0]].append(flat[rank][1])
        return cuts
    return {name: choose([(s, i) for i, s in enumerate(scores[name])], rounded(args.sparsity * len(values)))
            for name, _, _, values in tensors}


def from_masks(args):
    data, tensors = load(Path(args.from_mask))
    return {name: [] if FAULT == "ignore-mask" else [i for i in range(words * 32) if not data[start + i // 8] >> i % 8 & 1]
            for name, _, (words,), start, _ in tensors}


def write_masks(path, tensors, cuts):
    header, body = {"__metadata__": {}}, b""
    for name, _, shape, values in tensors:
        bits = bytearray(-(-len(values) // 32) * 4)
        cut = set(cuts.get(name, ()))
        for i in range(len(bits) * 8 if FAULT == "mask-padding" else len(values)):
            if (i in cut) == (FAULT == "mask-inverted"):
                bits[i // 8] |= 1 << i % 8
        header[name] = {"dtype": "U32", "shape": [len(bits) // 4], "data_offsets": [len(body), len(body) + len(bits)]}
        header["__metadata__"][name] = json.dumps(shape[::-1] if FAULT == "shape" else shape)
        body += bits
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def main():
    args = parse(sys.argv[1:])
    if args.from_plan:
        args.__dict__.update(json.loads(Path(args.from_plan).read_text()))
    loaded = {path: load(path) for path in files_of(args.model)}
    eligible, left_out = [], []
    for path, (data, tensors) in loaded.items():
        for name, dtype, shape, start, count in tensors:
            values = []
            if dtype in KINDS:
                with np.errstate(invalid="ignore"):
                    values = np.frombuffer(bytes(data), KINDS[dtype], count, start).astype(float).tolist()
            m = int(args.pattern.split(":")[1]) if ":" in args.pattern else 1
            if is_left_out(args, name, dtype, shape) or (m > 1 and shape[1] % m):
                left_out.append({"name": name, "reason": "not eligible"})
            else:
                eligible.append((name, dtype, shape, values))
    cuts = from_masks(args) if args.from_mask else select(args, eligible)

    folder = Path(tempfile.mkdtemp(prefix=".secateur-", dir=args.o.parent))
    entries = {name: (shape, values) for name, _, shape, values in eligible}
    for path, (data, tensors) in loaded.items():
        for name, dtype, shape, start, count in tensors:
            width = np.dtype(KINDS.get(dtype, "u1")).itemsize
            for i in cuts.get(name, ()):
                if i < count:
                    at = start + i * width
                    data[at : at + width] = bytes(width)
                    if FAULT == "negative-zero" and width > 1:
                        data[at + width - 1] = 0x80
        if FAULT == "stray-byte":
            data[-1] ^= 1
        with open(folder / path.name, "wb") as file:
            for at in range(0, len(data), 4096):
                file.write(data[at : at + 4096])
                time.sleep(float(os.environ.get("NAIVE_SLOW", 0)))
    if args.model.is_dir():
        for path in args.model.iterdir():
            if path.is_dir():
                shutil.copytree(path, folder / path.name)
            elif path not in loaded:
                shutil.copyfile(path, folder / path.name)
        if FAULT == "extra-file":
            (folder / "extra").write_text("")
        if args.o.exists():
            shutil.rmtree(args.o)
        folder.rename(args.o)
    else:
        (folder / args.model.name).rename(args.o)
        folder.rmdir()

    if args.mask:
        write_masks(args.mask, eligible, cuts)
    if args.plan:
        keys = ("sparsity", "pattern", "criterion", "allocation", "keep", "only")
        Path(args.plan).write_text(json.dumps({key: getattr(args, key) for key in keys}))
    found = []
    for name, (shape, values) in entries.items():
        cut = set(i for i in cuts.get(name, ()) if i < len(values))
        zeros = sum(v == 0 for v in values)
        after = zeros + sum(values[i] != 0 for i in cut)
        largest = max((abs(values[i]) for i in cut), default=None)
        known = ":" not in args.pattern and largest is not None and math.isfinite(largest)
        found.append({"name": name, "shape": shape, "count": len(values), "cut": len(cut), "zeros_before": zeros,
                      "zeros_after": after + (FAULT == "zeros"), "threshold": largest if known else None})
        if FAULT == "threshold" and known:
            found[-1]["threshold"] *= 1.5
    count, cut = sum(e["count"] for e in found), sum(e["cut"] for e in found)
    size = sum(len(data) for data, _ in loaded.values())
    print(json.dumps({"tensors": found, "left_out": left_out, "engine": {"kind": args.engine, "name": "naive"}, "seconds": 0,
                      "total": {"count": count, "cut": cut, "sparsity": cut / count if count else 0, "bytes_before": size,
                                "bytes_after": size}}))


if __name__ == "__main__":
    main()
