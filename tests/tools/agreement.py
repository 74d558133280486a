"""Compare `secateur stats` with numpy and scipy on every checkpoint of some folders.

    python tests/tools/agreement.py --secateur target/release/secateur [--engine cpu|gpu] [MODEL | FOLDER ...]

A folder stands for every .safetensors file below it (default: examples/data). For each file and each grouping
(tensor, output, input, axis:2 where a tensor has it, block:16) and each transform (none, log, standardize) every entry is compared with
tests/data/oracle.py: the moments, l1 and l2 within --tol (1e-6 on the CPU, 3e-6 on a GPU), counts, extremes, quantiles
and histograms exactly, or as tests/data/README.md says of transformed values. --by and --transform limit what is
tried. Prints the largest error of each model and exits with 1 where one is beyond the tolerance or something exact
differs.

Errors are relative to: mean, max(|mean|, σ); variance, l1 and l2, themselves; skewness, max(1, mean |z|³);
kurtosis, mean z⁴.
"""

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402
import oracle  # noqa: E402

TOLERANCE = {"cpu": 1e-6, "gpu": 3e-6}
GROUPINGS = ("tensor", "output", "input", "axis:2", "block:16")
TRANSFORMS = ("none", "log", "standardize")
QUANTILES, BINS = (0, 0.01, 0.5, 0.99, 1), 8
COUNTED = ("count", "nan", "inf", "zeros")
VALUED = ("min", "max", "abs_max", "quantiles", "histogram")
EPSILON = sys.float_info.epsilon
SCALES = {
    # A variance beyond f64 is null: σ is at most the largest magnitude.
    "mean": lambda e: max(abs(e["mean"]), e["abs_max"] if e["variance"] is None else math.sqrt(e["variance"])),
    "variance": lambda e: e["variance"],
    "skewness": lambda e: max(1, e["mean_abs_z3"]),
    "kurtosis": lambda e: e["mean_z4"],
    "l1": lambda e: e["l1"],
    "l2": lambda e: e["l2"],
}


def offsets(model):
    """|mean|/σ of each tensor where that is more than 1: its standardised values lose as much."""
    ratios = {}
    for entry in oracle.stats(model, "tensor", "none")["tensors"]:
        defined = entry["mean"] is not None and entry["variance"]
        ratios[entry["name"]] = max(1, abs(entry["mean"]) / math.sqrt(entry["variance"])) if defined else 1
    return ratios


def groupings(model):
    """Without tensors of three dimensions, axis 2 is the tensor once more."""
    deep = any(len(tensor.shape) > 2 for tensor in checkpoint.read(model))
    return [by for by in GROUPINGS if deep or by != "axis:2"]


def values_differ(field, ours, theirs, allowed, at_edges=0):
    """Whether extremes, quantiles or histograms differ by more than `allowed`, a function of a value."""
    if ours == theirs:
        return False
    if ours is None or theirs is None:
        return True
    if field == "quantiles":
        return ours.keys() != theirs.keys() or any(values_differ("", ours[p], theirs[p], allowed) for p in theirs)
    if field == "histogram":
        if len(ours["edges"]) != len(theirs["edges"]) or sum(ours["counts"]) != sum(theirs["counts"]):
            return True
        slack = max(map(allowed, theirs["edges"]))
        moved = sum(abs(a - b) for a, b in zip(ours["counts"], theirs["counts"]))
        return any(abs(a - b) > slack for a, b in zip(ours["edges"], theirs["edges"])) or moved > 2 * at_edges
    return abs(ours - theirs) > allowed(theirs)


def errors(found, expected, offset):
    """Relative error of each float of an entry: inf where only one side is defined, absent where both are null."""
    result = {}
    for field, scale in SCALES.items():
        ours, theirs = found.get(field), expected[field]
        if ours is None or theirs is None:
            if ours is not theirs:
                result[field] = math.inf
        elif ours == theirs:
            result[field] = 0.0
        else:
            # Standardised means are differences of means, in units of σ, and so are what squares sum up to.
            least = {"mean": offset, "l2": offset * math.sqrt(expected["count"])}.get(field, 0)
            size = max(scale(expected), least)
            result[field] = abs(ours - theirs) / size if size else math.inf
    return result


def compare(found, expected, tol, ratios):
    """Largest error by field over every entry and the total, and a line for each thing that is wrong."""
    worst, wrong = dict.fromkeys(SCALES, 0.0), []

    def identity(entry):
        return entry["name"], entry["dtype"], entry["shape"], entry["group"]

    ours, theirs = [list(map(identity, answer["tensors"])) for answer in (found, expected)]
    if ours != theirs:
        i = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        return worst, [f"{len(ours)} entries, expected {len(theirs)}; entry {i} is "
                       f"{ours[i:i + 1]}, expected {theirs[i:i + 1]}"]
    ours, theirs = [[(s["name"], s["dtype"]) for s in answer["skipped"]] for answer in (found, expected)]
    if sorted(ours) != sorted(theirs):
        wrong.append(f"skipped {ours}, expected {theirs}")

    pairs = [(f"{e['name']!r} group {e['group']}", f, e) for f, e in zip(found["tensors"], expected["tensors"])]
    for label, f, e in [*pairs, ("total", found["total"], expected["total"])]:
        offset = 0
        if expected["transform"] == "standardize":
            offset = min(1000, max(ratios.values())) if label == "total" else ratios[e["name"]]
        allowed = {
            "none": lambda value: 0,
            # What is interpolated has the error of the values it is between.
            "log": lambda value: 8 * EPSILON * max(1, e["abs_max"] or 0),
            "standardize": lambda value: tol * (offset + abs(value)),
        }[expected["transform"]]
        for field in COUNTED:
            if f[field] != e[field]:
                wrong.append(f"{label}: {field} is {f[field]}, expected {e[field]}")
        for field in VALUED:
            if field not in f or values_differ(field, f[field], e[field], allowed, e.get("at_edges", 0)):
                wrong.append(f"{label}: {field} is {f.get(field, 'absent')}, expected {e[field]}")
        for field, error in errors(f, e, offset).items():
            worst[field] = max(worst[field], error)
            if not error <= tol:
                wrong.append(f"{label}: {field} is {f.get(field)}, expected {e[field]}, error {error:.1e}")
    return worst, wrong


def run(secateur, engine, model, by, transform):
    command = [secateur, "stats", str(model), "--by", by, "--transform", transform, "--engine", engine, "--format", "json",
               "--quantiles", ",".join(map(str, QUANTILES)), "--histogram", str(BINS)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, f"exit status {done.returncode}: {done.stderr.strip()}"
    return json.loads(done.stdout), None


def check(args, model):
    """One line a grouping; the largest errors, and whether all is well."""
    overall, good = dict.fromkeys(SCALES, 0.0), True
    ratios = offsets(model)
    for by, transform in itertools.product(args.by or groupings(model), args.transform or TRANSFORMS):
        start = time.perf_counter()
        found, failure = run(args.secateur, args.engine, model, by, transform)
        seconds = time.perf_counter() - start
        worst, wrong = dict.fromkeys(SCALES, 0.0), [failure]
        if found:
            worst, wrong = compare(found, oracle.stats(model, by, transform, QUANTILES, BINS), args.tol, ratios)
            if found["engine"]["kind"] != args.engine:
                wrong.append(f"ran on {found['engine']['kind']}, not on {args.engine}")
        print(f"{model.name[:34]:34} {by:8} {transform:11}", line(worst), f"{seconds:6.2f} s", "ok" if not wrong else f"{len(wrong)} WRONG")
        for text in wrong[: args.show]:
            print("   ", text)
        overall = {field: max(overall[field], worst[field]) for field in SCALES}
        good &= not wrong
    return overall, good


def line(worst):
    return " ".join(f"{error:9.1e}" for error in worst.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[ROOT / "examples/data"])
    parser.add_argument("--secateur", default=str(ROOT / "target/release/secateur"))
    parser.add_argument("--engine", choices=TOLERANCE, default="cpu")
    parser.add_argument("--by", action="append", help="only this grouping (repeatable)")
    parser.add_argument("--transform", action="append", choices=TRANSFORMS, help="only this transform (repeatable)")
    parser.add_argument("--tol", type=float, help="instead of the engine's tolerance")
    parser.add_argument("--show", type=int, default=5, help="how many differences of a run to print")
    args = parser.parse_args()
    args.tol = args.tol or TOLERANCE[args.engine]

    files = [file for path in args.models for file in (sorted(path.rglob("*.safetensors")) if path.is_dir() else [path])]
    if not files:
        sys.exit("no .safetensors file found")
    print(f"{'model':34} {'by':8} {'transform':11}", " ".join(f"{field:>9}" for field in SCALES))
    results = [check(args, file) for file in files]
    overall = {field: max(worst[field] for worst, _ in results) for field in SCALES}
    print(f"{'largest':34} {'':20}", line(overall), f"tolerance {args.tol:.0e}, {len(files)} files")
    sys.exit(0 if all(good for _, good in results) else 1)


if __name__ == "__main__":
    main()
