"""Time `secateur stats` beside `cat` and PyTorch on the same page-cached files, turn by turn, whole processes.

    python benches/peers/compare.py --secateur target/release/secateur FILE... [--runs 11] [--torch-runs 3] -o FILE.json

Prints medians and ratios, and writes every single time. Run it on an idle machine; the load before and after is kept.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def seconds(command):
    """Wall-clock time of a whole process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - start, done.stdout.decode()


def timed(command):
    """The same with the output thrown away by the kernel, as `cat FILE >/dev/null`."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(path, args):
    """All times of one file."""
    times = {"cat": [], "secateur": [], "torch, whole process": [], "torch, load and compute": []}
    ours = [args.secateur, "stats", path, "--engine", "cpu", "--format", "json", "--quiet"]
    timed(["cat", path])
    timed(ours)
    for _ in range(args.runs):
        times["cat"].append(timed(["cat", path]))
        times["secateur"].append(timed(ours))
    for _ in range(args.torch_runs):
        whole, said = seconds([sys.executable, str(HERE / "torch_stats.py"), path, "--threads", str(os.cpu_count())])
        times["torch, whole process"].append(whole)
        inner = re.search(r"load and compute ([0-9.]+) s", said)
        if inner:
            times["torch, load and compute"].append(float(inner.group(1)))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--torch-runs", type=int, default=3)
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    result = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load before": os.getloadavg()}
    result["files"] = {}
    for path in args.files:
        times = measure(path, args)
        result["files"][Path(path).name] = {"bytes": os.path.getsize(path), "seconds": times}
        print(Path(path).name)
        ours = statistics.median(times["secateur"])
        for name, each in times.items():
            if each:
                median = statistics.median(each)
                print(f"  {name:26} {median:8.3f} s   {median / ours:6.2f} x secateur   ({len(each)} runs)")
    result["load after"] = os.getloadavg()
    Path(args.output).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
