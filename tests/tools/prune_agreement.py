"""Compare `secateur prune` with numpy's stable argsort, byte for byte.

    python tests/tools/prune_agreement.py --secateur target/release/secateur --engine cpu [--engine gpu]
        [--memory 64MiB ...] [MODEL | FOLDER ...]

A folder with an index is one sharded model, any other stands for every model below it (default: examples/data). Each
model is pruned by element (uniform and global, rates 0, 1/n, 0.3, 0.5, 0.9 and just below 1), 2:4, 4:8 and 1:3, keeping
largest and smallest, also with --only '*', and at random. Of every run are compared: every byte of the output, the
masks, the JSON summary; that --from-mask and --from-plan give the same bytes again; and that every engine, --memory and,
at random, --threads give the same output, masks and plan. One line a case; exits with 1 where anything differs, at the
end. --self-test runs all that on a naive implementation, and on that implementation made wrong in each of its ways.

prune_oracle.py says what is expected. Names of which the rules do not say whether they are eligible are taken as the
binary takes them.
"""

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402
import prune_oracle as oracle  # noqa: E402

BELOW_ONE = math.nextafter(1, 0)


@dataclass
class Case:
    """One way of pruning, and what it must cut: `cuts(model)` gives a boolean array for each name, or nothing at random."""

    label: str
    arguments: list
    weights: list
    cuts: object = None
    rate: float = None
    pattern: bool = False


class Model:
    """A model's tensors, and the weights that are eligible."""

    def __init__(self, path, binary):
        self.path = Path(path)
        self.tensors = checkpoint.read(path)
        self.files = sorted({tensor.path for tensor in self.tensors}) or [self.path]
        self.floats = [oracle.Weights(t) for t in self.tensors if t.dtype in checkpoint.FLOATS]
        unclear = [w for w in self.floats if len(w.tensor.shape) >= 2 and oracle.left_out_by_name(w.name) is None]
        taken = self.taken(binary) if unclear else set()
        self.eligible = [w for w in self.floats if len(w.tensor.shape) >= 2
                         and (oracle.left_out_by_name(w.name) is False or w.name in taken)]

    def taken(self, binary):
        """What the binary prunes."""
        with tempfile.TemporaryDirectory() as folder:
            run = Run(binary, self.path, Path(folder), ["--sparsity", "0"], [])
            return {entry["name"] for entry in (run.summary or {"tensors": []})["tensors"]}


class Run:
    """One run of the binary, and what it left."""

    def __init__(self, binary, model, folder, arguments, how, products=False):
        self.out = folder / ("out" if model.is_dir() else "out.safetensors")
        self.mask, self.plan = folder / "mask.safetensors", folder / "plan.json"
        command = [binary, "prune", str(model), "-o", str(self.out), "--format", "json", *arguments, *how]
        if products:
            command += ["--mask", str(self.mask), "--plan", str(self.plan)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        self.seconds = time.perf_counter() - start
        self.status, self.summary, self.error = done.returncode, None, done.stderr.strip()
        if done.returncode == 0:
            try:
                self.summary = json.loads(done.stdout)
            except json.JSONDecodeError as error:
                self.status, self.error = 1, f"stdout is not JSON ({error}): {done.stdout[:80]!r}"

    def digest(self, *paths):
        """Names and contents of what lies at `paths`."""
        result = hashlib.sha256()
        for path in paths:
            for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
                result.update(str(file.relative_to(path.parent)).encode() + b"\0")
                with open(file, "rb") as content:
                    result.update(hashlib.file_digest(content, "sha256").digest())
        return result.hexdigest()


def number(rate):
    """As the command line takes it: no exponent."""
    return np.format_float_positional(rate, trim="-")


def cases(model):
    """Every way in which a model is pruned."""
    for only, weights in ([], model.eligible), (["--only", "*"], model.floats):
        suffix = " only *" if only else ""
        whole = oracle.Global(weights)
        largest = max([len(w.magnitude) for w in weights], default=0)
        for keep in "largest", "smallest":
            for allocation, count in ("uniform", largest), ("global", len(whole.magnitude)):
                rates = {"0": 0, "1/n": 1 / max(count, 2), "0.3": 0.3, "0.5": 0.5, "0.9": 0.9, "below 1": BELOW_ONE}
                for name in ["0.5"] if only else rates:
                    rate = rates[name]
                    arguments = ["--sparsity", number(rate), "--allocation", allocation, "--keep", keep, *only]
                    cuts = (lambda rate=rate, keep=keep, weights=weights: oracle.uniform(weights, rate, keep)) \
                        if allocation == "uniform" else (lambda rate=rate, keep=keep, whole=whole: whole.cut(rate, keep))
                    yield Case(f"{allocation} {name} {keep}{suffix}", arguments, weights, cuts, rate)
            for n, m in ((2, 4), (4, 8), (1, 3)) if not only else ():
                fitting = [w for w in weights if oracle.takes_pattern(w.tensor.shape, m)]
                cuts = (lambda n=n, m=m, keep=keep, fitting=fitting:
                        {w.name: oracle.n_of_m(w, n, m, keep) for w in fitting})
                yield Case(f"{n}:{m} {keep}", ["--pattern", f"{n}:{m}", "--keep", keep], fitting, cuts, pattern=True)
        for allocation in "uniform", "global":
            arguments = ["--criterion", "random:7", "--sparsity", "0.3", "--allocation", allocation, *only]
            yield Case(f"random {allocation}{suffix}", arguments, weights, rate=0.3)


def read_masks(path, weights):
    """The cut that a mask file says, and what is wrong with its form."""
    wrong, cuts = [], {}
    header, start = oracle.header(path)
    shapes = header.pop("__metadata__", {})
    expected = {w.name: w for w in weights}
    for name in sorted(header.keys() ^ expected.keys()):
        if name in header or len(expected[name].magnitude):
            wrong.append(f"masks: {name!r} is {'there' if name in header else 'missing'}")
    data = np.fromfile(path, np.uint8)[start:]
    for name, w in expected.items():
        entry = header.get(name)
        if entry is None:
            continue
        count = len(w.magnitude)
        if entry["dtype"] != "U32" or entry["shape"] != [-(-count // 32)]:
            wrong.append(f"masks: {name!r} is {entry['dtype']} {entry['shape']}, for {count} weights")
            continue
        begin, end = entry["data_offsets"]
        bits = np.unpackbits(data[begin:end], bitorder="little")
        if bits[count:].any():
            wrong.append(f"masks: {name!r} has padding bits that are 1")
        cuts[name] = bits[:count] == 0
        if json.loads(shapes.get(name, "null")) != w.tensor.shape:
            wrong.append(f"masks: {name!r} has shape {shapes.get(name)}, expected {w.tensor.shape}")
    return cuts, wrong


def first_difference(path, found, expected, tensors):
    """Where two files differ, in words."""
    if len(found) != len(expected):
        return f"{path.name}: {len(found)} bytes, expected {len(expected)}"
    different = np.frombuffer(found, np.uint8) != np.frombuffer(expected, np.uint8)
    at = int(different.argmax())
    where = next((f"{t.name!r} + {at - t.start}" for t in tensors if t.start <= at < t.start + t.bytes), "the header")
    return f"{path.name}: {int(different.sum())} bytes differ, the first is {at}, in {where}"


def compare_output(model, out, cuts):
    """What is wrong with the files written."""
    if not out.exists():
        return ["no output"]
    if model.path.is_dir() != out.is_dir():
        return ["the output is a file for a folder, or the other way round"]
    wrong = []
    pairs = [(model.path, out)]
    if out.is_dir():
        ours, theirs = [{p.relative_to(root) for p in root.rglob("*") if not p.is_dir()} for root in (out, model.path)]
        # Files of subfolders may be left behind.
        differ = {name for name in ours ^ theirs if name in ours or len(name.parts) == 1}
        wrong = [f"{name} is {'extra' if name in ours else 'missing'}" for name in sorted(differ)]
        pairs = [(model.path / name, out / name) for name in sorted(ours & theirs)]
    for source, written in pairs:
        here = [t for t in model.tensors if t.path.resolve() == source.resolve()]
        if source.name.endswith(".index.json"):
            if json.loads(source.read_text()) != json.loads(written.read_text()):
                wrong.append(f"{written.name} says something else")
            continue
        expected, found = oracle.written(source, cuts, here), written.read_bytes()
        if expected != found:
            wrong.append(first_difference(written, found, expected, here))
    return wrong


def compare_summary(summary, case, cuts):
    """What is wrong with the JSON on stdout."""
    wrong = []
    entries = {entry["name"]: entry for entry in summary["tensors"]}
    left_out = {entry["name"] for entry in summary["left_out"]}
    expected = {w.name: w for w in case.weights}
    # Nothing is to be said of a tensor without weights.
    empty = {name for name, w in expected.items() if not len(w.magnitude)}
    if len(entries) != len(summary["tensors"]) or (entries.keys() ^ expected.keys()) - empty:
        wrong.append(f"tensors: {sorted(entries)[:9]}, expected {sorted(expected)[:9]}")
    if left_out & entries.keys():
        wrong.append(f"both pruned and left out: {sorted(left_out & entries.keys())}")
    for name, w in expected.items():
        wanted = oracle.summary(w, cuts[name], not case.pattern)
        if case.cuts is None:
            del wanted["threshold"]
        got = entries.get(name, {key: None for key in wanted})
        for key in [] if name in empty and name not in entries else wanted:
            if got.get(key, "absent") != wanted[key]:
                wrong.append(f"{name!r}: {key} is {got.get(key, 'absent')}, expected {wanted[key]}")
        if got.get("new_shape", w.tensor.shape) not in (None, w.tensor.shape):
            wrong.append(f"{name!r}: new_shape is {got['new_shape']}")
    total, count = summary["total"], sum(len(w.magnitude) for w in case.weights)
    cut = sum(int(cut.sum()) for cut in cuts.values())
    if (total["count"], total["cut"]) != (count, cut):
        wrong.append(f"total: {total['cut']} of {total['count']}, expected {cut} of {count}")
    if count and total["sparsity"] != cut / count:
        wrong.append(f"total: sparsity {total['sparsity']}, expected {cut / count}")
    if total["bytes_before"] != total["bytes_after"]:
        wrong.append(f"total: {total['bytes_before']} bytes before, {total['bytes_after']} after")
    return wrong


def check_random(case, cuts):
    """Random cuts are right where they are as many as asked, and spare NaN."""
    wrong, known = [], [w for w in case.weights if w.name in cuts]
    wrong += [f"{w.name!r}: NaN is cut" for w in known if (cuts[w.name] & w.nan).any()]
    groups = [known] if "global" in case.label else [[w] for w in known]
    for group in groups:
        count, nan = sum(len(w.magnitude) for w in group), sum(int(w.nan.sum()) for w in group)
        cut, wanted = sum(int(cuts[w.name].sum()) for w in group), min(oracle.asked(case.rate, count), count - nan)
        if cut != wanted:
            wrong.append(f"{[w.name for w in group][:3]}: {cut} cut at random, expected {wanted}")
    return wrong


def check(binary, model, case, how, first, round_trips):
    """One run: what is wrong, its digests, and its seconds. `first` has the digests of the same case run otherwise."""
    with tempfile.TemporaryDirectory(prefix="prune-agreement-") as folder:
        folder = Path(folder)
        run = Run(binary, model.path, folder, case.arguments, how, products=True)
        if run.status:
            # With nothing to prune an error is as good as a copy.
            fine = run.status == 1 and not any(len(w.magnitude) for w in case.weights) and not run.out.exists()
            return [] if fine else [f"exit status {run.status}: {run.error}"], first, run.seconds
        if not run.mask.exists() or not run.plan.exists():
            return ["no mask or no plan"], first, run.seconds
        found, wrong = read_masks(run.mask, case.weights)
        for w in case.weights:
            found.setdefault(w.name, np.zeros(len(w.magnitude), bool))
        cuts = case.cuts() if case.cuts else found
        for name, cut in cuts.items():
            if (different := int((found[name] != cut).sum())):
                at = int((found[name] != cut).argmax())
                wrong.append(f"masks: {name!r} differs in {different} weights, first in {at}")
        if not case.cuts:
            wrong += check_random(case, cuts)
        wrong += compare_output(model, run.out, cuts) + compare_summary(run.summary, case, cuts)
        digests = {"output": run.digest(run.out), "masks": run.digest(run.mask), "plan": run.digest(run.plan)}
        wrong += [f"other {key} than with {first['how']}" for key in digests if first and first[key] != digests[key]]
        json.loads(run.plan.read_text())
        for option, path in (("--from-mask", run.mask), ("--from-plan", run.plan)) if round_trips else ():
            again_in = folder / option
            again_in.mkdir()
            extra = [a for a in case.arguments[-2:]] if "--only" in case.arguments else []
            again = Run(binary, model.path, again_in, [option, str(path), *extra], how)
            if again.status:
                wrong.append(f"{option}: exit status {again.status}: {again.error}")
            elif again.digest(again.out) != digests["output"]:
                wrong.append(f"{option}: other bytes")
            shutil.rmtree(again_in)
        return wrong, first or digests | {"how": " ".join(how)}, run.seconds


def check_model(args, path):
    """Every case of a model; how many runs, and how many of them were wrong."""
    model, runs, failures = Model(path, args.secateur), 0, 0
    for case in cases(model):
        if args.case and not any(text in case.label for text in args.case):
            continue
        first = None
        for engine in args.engine or ["cpu"]:
            hows = [["--memory", memory] for memory in args.memory] or [[]]
            if not case.cuts:
                hows += [["--threads", threads] for threads in ("1", "3")]
            for i, how in enumerate(hows):
                how = ["--engine", engine, *how]
                wrong, first, seconds = check(args.secateur, model, case, how, first, i == 0)
                print(f"{model.path.name[:28]:28} {case.label:30} {' '.join(how[1:]):22} {seconds:7.2f} s ",
                      "ok" if not wrong else f"{len(wrong)} WRONG", flush=True)
                for text in wrong[: args.show]:
                    print("   ", text)
                runs, failures = runs + 1, failures + bool(wrong)
    return runs, failures


def models(paths):
    """Sharded folders and single files, each once."""
    for path in paths:
        indexed = [index.parent for index in sorted(path.rglob("*.safetensors.index.json"))] if path.is_dir() else []
        yield from indexed
        single = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
        yield from (file for file in single if file.parent not in indexed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[ROOT / "examples/data"])
    parser.add_argument("--secateur", default=str(ROOT / "target/release/secateur"))
    parser.add_argument("--engine", action="append", choices=["cpu", "gpu"], help="repeatable (default: cpu)")
    parser.add_argument("--memory", action="append", default=[], help="repeatable")
    parser.add_argument("--case", action="append", help="only cases whose label has this in it (repeatable)")
    parser.add_argument("--show", type=int, default=5, help="how many differences of a run to print")
    parser.add_argument("--huge", type=Path, metavar="FILE", help="only the checks of prune_huge.py, on its model")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        import prune_self_test
        sys.exit(prune_self_test.main())
    if args.huge:
        import prune_huge
        hows = [["--engine", engine, *([] if memory is None else ["--memory", memory])]
                for engine in args.engine or ["cpu"] for memory in args.memory or [None]]
        results = [prune_huge.check(args.secateur, args.huge, how, number, Run) for how in hows]
    else:
        results = [check_model(args, path) for path in models(args.models)]
    runs, failures = sum(r for r, _ in results), sum(f for _, f in results)
    print(f"{len(results)} models, {runs} runs, {failures} wrong")
    sys.exit(1 if failures or not runs else 0)


if __name__ == "__main__":
    main()
