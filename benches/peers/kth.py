"""Time the k-th smallest magnitude of a tensor: torch.kthvalue, torch.topk, numpy.partition.

    python benches/peers/kth.py FILE [--rate 0.5] [--runs 5] [--threads N]
    python benches/peers/kth.py --make FILE [--count 100000000]

FILE is a .safetensors file; its largest F32 tensor is taken (--make writes one of normal weights). The magnitudes are in
memory before the clock starts, and all three must agree on the value. Prints the median and every single run.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file


def magnitudes(path):
    """Of the largest F32 tensor of a file, flat."""
    with safe_open(path, "np") as file:
        names = [name for name in file.keys() if file.get_slice(name).get_dtype() == "F32"]
        if not names:
            sys.exit(f"{path}: no F32 tensor in it")
        size = {name: np.prod(file.get_slice(name).get_shape()) for name in names}
        name = max(names, key=size.get)
        return name, np.abs(file.get_tensor(name)).ravel()


def make(path, count):
    columns = 1 << 12 if count % (1 << 12) == 0 else 1000
    rng = np.random.default_rng(0)
    weights = np.empty((count // columns, columns), np.float32)
    rng.standard_normal(dtype=np.float32, out=weights)
    weights *= np.float32(0.02)
    save_file({"w": weights}, path)
    print(f"{path}: {weights.shape} of F32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--make", action="store_true", help="write FILE first")
    parser.add_argument("--count", type=int, default=100_000_000, help="weights to make")
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", action="append", choices=["kthvalue", "topk", "partition"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.make:
        make(args.file, args.count)
    name, values = magnitudes(args.file)
    k = round(args.rate * len(values))
    if not 1 <= k <= len(values):
        sys.exit(f"--rate {args.rate} cuts {k} of {len(values)}")
    tensor = torch.from_numpy(values)
    ways = {
        "kthvalue": lambda: float(tensor.kthvalue(k).values),
        "topk": lambda: float(tensor.topk(k, largest=False, sorted=False).values.max()),
        "partition": lambda: float(np.partition(values, k - 1)[k - 1]),
    }
    ways = {way: ways[way] for way in args.only or ways}
    print(f"torch {torch.__version__}, numpy {np.__version__}, {args.threads} threads; {name!r}: {len(values):,} weights, k {k:,}")
    times, answers = {way: [] for way in ways}, set()
    for _ in range(args.runs):  # turn by turn, so that all see the same load
        for way, run in ways.items():
            start = time.perf_counter()
            answers.add(run())
            times[way].append(time.perf_counter() - start)
    for way, each in times.items():
        print(f"{way:10} median {statistics.median(each):8.3f} s   {' '.join(f'{t:.3f}' for t in each)}")
    if len(answers) != 1:
        sys.exit(f"they disagree: {answers}")
    print(f"k-th magnitude {answers.pop()!r}")


if __name__ == "__main__":
    main()
