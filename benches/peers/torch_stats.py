"""Mean, variance, skewness and kurtosis of every tensor, as a careful PyTorch user computes them.

    python benches/peers/torch_stats.py MODEL [--threads N] [--print]

MODEL is a .safetensors file. Prints the seconds of loading and computing, of the computing alone and of the whole
process with its imports.
"""

import argparse
import os
import time

start = time.perf_counter()

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402


def moments(tensor):
    x = tensor.float()
    mean = x.mean()
    d = x - mean
    square = d * d
    variance = square.mean()
    skewness = (square * d).mean() / variance**1.5
    kurtosis = (square * square).mean() / variance**2 - 3
    return [value.item() for value in (mean, variance, skewness, kurtosis)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--print", action="store_true", help="the statistics too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    loading, computing, count = time.perf_counter(), 0.0, 0
    with safe_open(args.model, "pt") as file:  # one tensor at a time: the file may be larger than memory
        for name in file.keys():
            tensor = file.get_tensor(name)
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            began = time.perf_counter()
            result = moments(tensor)
            computing += time.perf_counter() - began
            count += 1
            if args.print:
                print(name, *result)
    end = time.perf_counter()
    print(f"torch {torch.__version__}, {args.threads} threads, {count} tensors: load and compute {end - loading:.2f} s, "
          f"compute {computing:.2f} s, process {end - start:.2f} s")


if __name__ == "__main__":
    main()
