"""What torch takes for moments, the k-th magnitude and a masked cut of weights on a device, beside a copy of the same bytes.

    python benches/peers/torch_gpu.py [--device cuda] [--size 256MiB] [--dtype f32] [--runs 20]

Run it beside `secateur bench --engine gpu --size …` on the same card, in the same session. Times are of events on the device,
medians; moments are checked against f64 once. `--device cpu` measures the CPU.
"""

import argparse
import re
import statistics
import time

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    number, unit = re.fullmatch(r"(\d+)(MiB|GiB)", text).groups()
    return int(number) * UNITS[unit]


def moments(weights):
    x = weights.float()
    mean = x.mean()
    d = x - mean
    square = d * d
    variance = square.mean()
    return mean, variance, (square * d).mean() / variance**1.5, (square * square).mean() / variance**2 - 3


def timed(work, runs, device):
    work()
    times = []
    for _ in range(runs):
        if device == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--size", type=size, default="256MiB")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    dtype = DTYPES[args.dtype]
    count = args.size // dtype.itemsize // 4096 * 4096
    weights = (torch.randn(count, generator=torch.Generator().manual_seed(0)) * 0.02).to(dtype).to(args.device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}: {count:,} weights of {args.dtype}")

    exact = [float(value) for value in moments(weights.double().cpu())]
    found = [float(value) for value in moments(weights)]
    assert all(abs(a - b) <= 1e-3 * max(1, abs(b)) for a, b in zip(found, exact)), (found, exact)

    k, other = count // 2, torch.empty_like(weights)
    mask = torch.rand(count, device=args.device) < 0.5
    work = {
        "copy": lambda: other.copy_(weights),
        "sum": lambda: weights.sum(),
        "moments": lambda: moments(weights),
        "kthvalue of |w|": lambda: weights.abs().kthvalue(k),
        "topk of |w|": lambda: weights.abs().topk(k, largest=False, sorted=False),
        "apply a mask": lambda: weights.mul_(mask),
    }
    ceiling = None
    for name, do in work.items():
        seconds = timed(do, args.runs, args.device)
        ceiling = ceiling or seconds
        rate = weights.numel() * dtype.itemsize / seconds / 1e9
        print(f"{name:16} {seconds * 1e3:9.3f} ms {rate:9.2f} GB/s {ceiling / seconds:6.3f} of a copy")


if __name__ == "__main__":
    main()
