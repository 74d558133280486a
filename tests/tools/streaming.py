"""Check `secateur stats` on tensors larger than its memory, and what memory it takes.

    python tests/tools/streaming.py --secateur target/release/secateur [--mib 600] [--only NAME]

Writes one checkpoint at a time into --folder: a tensor of about --mib MiB whose shape makes a grouping hard (few giant
rows, many small ones, tall and narrow columns). Runs it with --memory 64MiB, quantiles and a histogram under each
transform, and compares with numpy in float64: of at most 40 groups spread over the tensor, and of the total. Exits
with 1 where something differs, or where the peak of resident memory is above the bound and 256 MiB.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402

QUANTILES, BINS, MEMORY_MIB, SLACK_MIB, GROUPS = (0.01, 0.5, 0.99), 10, 64, 256, 40
# name: dtype, the shape's other dimensions with None for what fills --mib, groupings
CASES = {
    "single-f32": ("F32", (None,), ("tensor",)),
    "single-bf16": ("BF16", (None,), ("tensor",)),
    "single-f64": ("F64", (None,), ("tensor",)),
    "giant-rows-f32": ("F32", (3, None), ("output", "block:1000000")),
    "giant-rows-bf16": ("BF16", (3, None), ("output",)),
    "giant-columns-f32": ("F32", (None, 3), ("input",)),
    "giant-columns-f64": ("F64", (None, 2), ("input",)),
    "many-rows-f32": ("F32", (None, 256), ("output", "block:64")),
    "matrix-f32": ("F32", (None, 4096), ("input", "block:100")),
    "matrix-bf16": ("BF16", (None, 4096), ("output", "input")),
}
TRANSFORMS = ("none", "log", "standardize")
# Started by a small process: a child's peak begins with what its parent holds.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def write(path, dtype, shape, total):
    """A tensor of normal numbers whose spread differs from place to place, and a few zeros."""
    kind = checkpoint.FLOATS[dtype]
    known = int(np.prod([n for n in shape if n]))
    shape = tuple(n or total // kind.itemsize // known for n in shape)
    count = int(np.prod(shape))
    random = np.random.default_rng(1)
    block = random.standard_normal(1 << 22, np.float32)
    block[random.integers(len(block), size=1000)] = 0
    with open(path, "wb") as file:
        file.write(checkpoint.header_bytes([("w", dtype, shape, count * kind.itemsize)], align=8))
        for start in range(0, count, len(block)):
            scale = np.float32(0.01 + 0.03 * start / count)
            file.write((block[: count - start] * scale + scale).astype(kind).tobytes())
    return shape, kind


def group(array, by, index):
    """A group of a memory map, by definition."""
    if by == "tensor":
        return array.ravel()
    if by == "output":
        return array[index].ravel()
    if by == "input":
        return array[:, index].ravel()
    size = int(by.removeprefix("block:"))
    rows = array.reshape(array.shape[0], -1)
    blocks = -(-rows.shape[1] // size)
    return rows[index // blocks, index % blocks * size :][:size]


def transformed(values, transform, tensor):
    values = np.array(values, np.float64)
    if transform == "log":
        return np.log(np.abs(values[values != 0]))
    return (values - tensor[0]) / tensor[1] if transform == "standardize" else values


def differences(found, values, transform, label):
    """A line for each statistic that is not numpy's."""
    wrong = []
    slack = 0 if transform == "none" else 2e-6
    mean, variance = values.mean(), values.var()
    z = values - mean
    scale = {"mean": max(abs(mean), variance**0.5, slack / 1e-6), "variance": variance,
             "skewness": max(1, (np.abs(z) ** 3).mean() / variance**1.5),
             "kurtosis": (z**4).mean() / variance**2}
    expected = {"mean": mean, "variance": variance, "skewness": (z**3).mean() / variance**1.5,
                "kurtosis": scale["kurtosis"] - 3}
    del z
    for field, size in scale.items():
        if not abs(found[field] - expected[field]) <= 1e-6 * size:
            wrong.append(f"{label}: {field} is {found[field]}, numpy's {expected[field]}")
    for (key, ours), theirs in zip(found["quantiles"].items(), np.quantile(values, QUANTILES)):
        if not abs(ours - theirs) <= slack * max(1, abs(theirs)):
            wrong.append(f"{label}: quantile {key} is {ours}, numpy's {theirs}")
    counts, edges = np.histogram(values, BINS)
    moved = int(np.abs(counts - found["histogram"]["counts"]).sum())
    # Transformed values at an edge may fall on its other side.
    at_edges = sum(np.count_nonzero(np.abs(values - edge) <= slack) for edge in edges[1:-1]) if slack else 0
    if moved > 2 * at_edges:
        wrong.append(f"{label}: histogram {found['histogram']['counts']}, numpy's {counts.tolist()}")
    if not np.allclose(edges, found["histogram"]["edges"], slack, slack):
        wrong.append(f"{label}: edges {found['histogram']['edges']}, numpy's {edges.tolist()}")
    return wrong


def run(secateur, path, by, transform):
    """The file of the answer, seconds, and the peak of resident memory in MiB."""
    out = path.with_suffix(".json")
    command = [secateur, "stats", path, "--by", by, "--transform", transform, "--engine", "cpu", "--format", "json",
               "--memory", f"{MEMORY_MIB}MiB", "--quantiles", ",".join(map(str, QUANTILES)), "--histogram", str(BINS)]
    start = time.perf_counter()
    with open(out, "w") as file:
        child = subprocess.run([sys.executable, "-c", MEASURE, *command], stdout=file, stderr=subprocess.PIPE, text=True)
    if child.returncode:
        sys.exit(f"{command} failed: {child.stderr}")
    return out, time.perf_counter() - start, int(child.stderr.split()[-1]) / 1024


def entries(path, wanted):
    """Those of the `wanted` groups and the total, without holding all of a long answer."""
    found, total = {}, None
    with open(path) as file:
        for line in file:
            line = line.strip().rstrip(",")
            if line.startswith('{"name"'):
                index = json.loads(line)
                if (index["group"] or 0) in wanted:
                    found[index["group"] or 0] = index
            elif line.startswith('"total"'):
                total = json.loads("{" + line + "}")["total"]
    return found, total


def check(args, name, dtype, shape, groupings):
    path = args.folder / f"{name}.safetensors"
    shape, kind = write(path, dtype, shape, args.mib << 20)
    offset = os.path.getsize(path) - int(np.prod(shape)) * kind.itemsize
    array = np.memmap(path, kind, "r", offset, shape)
    whole = np.asarray(array, np.float64).ravel()
    tensor, good = (whole.mean(), whole.std()), True
    del whole
    for by in groupings:
        sizes = {"tensor": 1, "output": shape[0], "input": shape[1] if len(shape) > 1 else 1}
        size = int(by.removeprefix("block:")) if by.startswith("block") else 0
        count = sizes.get(by) or shape[0] * -(-int(np.prod(shape[1:])) // size)
        wanted = set(np.linspace(0, count - 1, min(count, GROUPS)).astype(int).tolist())
        for transform in args.transform or TRANSFORMS:
            out, seconds, peak = run(args.secateur, path, by, transform)
            found, total = entries(out, wanted)
            wrong = [] if found.keys() == wanted else [f"groups {wanted - found.keys()} are missing"]
            for index, entry in found.items():
                values = transformed(group(array, by, index), transform, tensor)
                wrong += differences(entry, values, transform, f"group {index}")
            if by == groupings[0]:
                wrong += differences(total, transformed(array.ravel(), transform, tensor), transform, "total")
            if peak > MEMORY_MIB + SLACK_MIB:
                wrong.append(f"peak of {peak:.0f} MiB")
            print(f"{name:18} {str(shape):16} {by:9} {transform:11} {seconds:7.2f} s {peak:5.0f} MiB",
                  "ok" if not wrong else f"{len(wrong)} WRONG", flush=True)
            for line in wrong[:5]:
                print("   ", line)
            good &= not wrong
            out.unlink()
    path.unlink()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", default=str(ROOT / "target/release/secateur"))
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--mib", type=int, default=600)
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--transform", action="append", choices=TRANSFORMS)
    args = parser.parse_args()
    results = [check(args, name, *CASES[name]) for name in args.only or CASES]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
