"""Networks before and after channels were deleted, and what onnxsim makes of the same channels set to zero.

    python benches/peers/onnx_before_after.py --secateur target/release/secateur MODEL.onnx ... [--rate 0.3 --rate 0.5]
        [--round-to 8]

For each model and rate a row for secateur, by variance (others with --round-to, as runtimes like some widths), and one for
onnxsim: a network in which the same channels are zero, simplified by it. Parameters, MACs, bytes of the file, and
milliseconds of onnxruntime for 1,000 inputs (in batches of --batch where the model takes any), the median of --repeats
turns, all files in turn on --threads threads. Use an idle machine: where others take its cores, threads wait for each other,
and times mean nothing. Before anything is timed, networks are compared with the one with zeros. Prints a table in Markdown;
exits with 1 where one differs.

Beside tests/tools/requirements.txt: pip install onnxsim==0.8.1
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
import onnxsim

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/tools"))
import channel_oracle as oracle  # noqa: E402
import onnx_run  # noqa: E402


def cost(path):
    """Parameters, MACs, bytes."""
    model = onnx.load(path)
    macs = oracle.macs(model).values()
    total = "?" if None in macs else f"{sum(macs):,}"
    return f"{oracle.count(model, oracle.parameters(model)):,}", total, f"{path.stat().st_size:,}"


def prune(binary, model, out, rate, round_to=1):
    """The plan of a cut by variance."""
    plan = out.with_suffix(".json")
    command = [binary, "prune", model, "-o", out, "--pattern", "channel", "--criterion", "variance", "--sparsity", rate, "--round-to", round_to]
    subprocess.run([str(part) for part in [*command, "--plan", plan, "--quiet"]], check=True, stdout=subprocess.DEVNULL)
    return json.loads(plan.read_text())


def milliseconds(paths, args):
    """Of each file, for 1,000 inputs; all in turn."""
    sessions = [onnx_run.session(str(path), args.threads) for path in paths]
    inputs = [onnx_run.feeds(onnx.load(path), 0, batch=args.batch) for path in paths]
    count = len(next(iter(inputs[0].values())))
    times = [[] for _ in paths]
    for _ in range(args.repeats + 1):
        for session, feeds, found in zip(sessions, inputs, times):
            runs = max(1, round(args.batch / count))
            start = time.perf_counter()
            for _ in range(runs):
                session.run(None, feeds)
            found.append(1e6 * (time.perf_counter() - start) / (runs * count))
    # The first turn warms up.
    return [statistics.median(found[1:]) for found in times]


def differs(path, reference):
    """How far a network's results are from another's, relative to the largest."""
    inputs = onnx_run.feeds(reference, 1)
    expected, found = onnx_run.run(reference, inputs), onnx_run.run(onnx.load(path), inputs)
    return max(abs(expected[name] - found[name]).max() / abs(expected[name]).max() for name in expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--round-to", type=int, action="append", default=[], help="also with widths that are multiples of it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    args = parser.parse_args()

    print("| network | what | channels deleted | parameters | MACs | bytes | ms / 1,000 | faster |\n|---|---|---:|---:|---:|---:|---:|---:|")
    wrong = 0
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            rows = [("as it is", "", model)]
            for rate in args.rate or [0.3, 0.5]:
                small, zeros, simple = (Path(folder) / f"{kind}-{rate}.onnx" for kind in ("small", "zeros", "simple"))
                plan = prune(args.secateur, model, small, rate)
                reference = oracle.zeroed(onnx.load(model), plan)
                onnx.save(reference, zeros)
                simplified, _ = onnxsim.simplify(reference)
                onnx.save(simplified, simple)
                cut = sum(len(group["cut"]) for group in plan["classes"])
                channels = f"{cut} of {sum(group['channels'] for group in plan['classes'])}"
                kinds = {f"secateur {rate:.0%}": (channels, small), f"zeros {rate:.0%}": ("0", zeros),
                         f"zeros {rate:.0%}, onnxsim": ("0", simple)}
                for label, (channels, path) in kinds.items():
                    if (difference := differs(path, reference)) > 1e-4:
                        wrong += 1
                        print(f"{model.name} {label}: differs by {difference:.2g}", file=sys.stderr)
                    rows.append((label, channels, path))
                for to in args.round_to:
                    wide = Path(folder) / f"wide-{rate}-{to}.onnx"
                    plan = prune(args.secateur, model, wide, rate, to)
                    cut = sum(len(group["cut"]) for group in plan["classes"])
                    rows.append((f"secateur {rate:.0%}, widths multiples of {to}", str(cut), wide))
            times = milliseconds([path for *_, path in rows], args)
            for (label, channels, path), taken in zip(rows, times):
                cells = [model.stem, label, channels, *cost(path), f"{taken:.1f}", f"{times[0] / taken:.2f}"]
                print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
