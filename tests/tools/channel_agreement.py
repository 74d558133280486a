"""Check `secateur prune --pattern channel` by running its models in onnxruntime.

    python tests/tools/channel_agreement.py --secateur target/release/secateur [--engine cpu --engine gpu] [--seeds N]
        MODEL | FOLDER ...

A folder stands for its .onnx files; where it has an expected.json (tests/tools/onnx_graphs.py writes one), what can and what
cannot be cut is compared with it. Each model is cut in several ways for each seed: rates from 10 to 90 %, at random and by
scores, uniform, global, by variance, by --params, --macs and --rates, rounded widths. Checked of each:

- the network gives what the original gives with the channels' weights, biases and scales set to zero, as the plan lists
  them: max |Δ| ≤ 1e-4 · max |reference|, of every output, for two scales of random inputs (f16, bf16 and f64 as f32);
- every tensor is what numpy leaves of it by the plan, byte for byte; what the plan does not touch is what it was;
- the file passes onnx.checker with shape inference; parameters and MACs are as counted here, before and after;
- as many channels are cut as were asked for, and with --uncoupled those of the lowest scores;
- --from-plan and every --engine give the same bytes.

One line a model; exits with 1 where anything is wrong, at the end. --self-test damages results and expects to be told.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import channel_oracle as oracle
import onnx_run


class Run:
    """One run of the binary: OUT is called the same in every run, as files of external data are named after it."""

    def __init__(self, binary, model, folder, arguments, engine):
        folder.mkdir()
        self.folder, self.out, self.plan_file = folder / "out", folder / "out/small.onnx", folder / "plan.json"
        self.out.parent.mkdir()
        command = [
            binary,
            "prune",
            str(model),
            "-o",
            str(self.out),
            "--format",
            "json",
            "--engine",
            engine,
            *arguments,
            *([] if "--from-plan" in arguments else ["--pattern", "channel"]),
            "--plan",
            str(self.plan_file),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        self.status, self.error, self.summary = done.returncode, done.stderr.strip(), None
        if self.status == 0:
            self.summary, self.plan = json.loads(done.stdout), json.loads(self.plan_file.read_text())

    def digest(self):
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path != self.plan_file)
        return [(str(p.relative_to(self.folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def cases(random, seed, folder, name):
    """Ways of cutting: arguments. `name` is that of a class that can be cut."""

    def rate():
        return f"{random.uniform(0.1, 0.9):.3f}"

    rates = folder / "rates.toml"
    rates.write_text(f'"*" = {rate()}\n' + (f'"{name}" = {rate()}\n' if name else ""))
    criterion = str(random.choice(list(oracle.SCORES)))
    return [
        ["--criterion", f"random:{seed}", "--sparsity", rate()],
        ["--criterion", f"random:{seed + 1000}", "--sparsity", "0.9"],
        ["--criterion", f"random:{seed}", "--sparsity", rate(), "--allocation", "global"],
        ["--criterion", f"random:{seed}", "--sparsity", rate(), "--round-to", str(random.integers(2, 5))],
        ["--sparsity", rate()],
        ["--criterion", criterion, "--sparsity", rate(), "--uncoupled"],
        ["--criterion", criterion, "--sparsity", rate(), "--uncoupled", "--keep", "smallest"],
        [
            "--criterion",
            str(random.choice(["variance", "l2"])),
            "--sparsity",
            rate(),
            "--allocation",
            "global",
            "--transform",
            "standardize",
        ],
        ["--criterion", "l1", "--sparsity", f"{random.uniform(0.1, 0.7):.3f}", "--allocation", "variance"],
        ["--criterion", "l2", "--params", f"{random.uniform(0.05, 0.4):.3f}"],
        ["--criterion", f"random:{seed}", "--macs", f"{random.uniform(0.05, 0.4):.3f}", "--allocation", "global"],
        ["--criterion", f"random:{seed}", "--rates", str(rates)],
    ]


class Model:
    """A network, and what is known of it."""

    def __init__(self, path, expected):
        self.path, self.model, self.expected = path, onnx.load(path), expected
        self.runs, self.checks = expected.get("runs", "onnxruntime"), expected.get("checks", True)
        self.parameters, self.macs = oracle.parameters(self.model), oracle.macs(self.model)
        self.notes, self.worst = set(), 0.0

    def a_class(self):
        """The name of a class that can be cut, if one is known whose name is no pattern of names."""
        return next((name for name in self.expected.get("free", []) if re.fullmatch(r"[\w.]+", name)), None)

    def run(self, model, inputs):
        if self.runs == "as float":
            model, inputs = onnx_run.as_float(model), onnx_run.as_float_inputs(inputs)
        return onnx_run.run(model, inputs)


def compare_outputs(known, small, plan, seed):
    """Whether the small network gives what the zeroed one gives."""
    wrong = []
    reference = oracle.zeroed(known.model, plan)
    for scale in 1.0, 0.05:
        inputs = onnx_run.feeds(known.model, seed, scale)
        expected, found = known.run(reference, inputs), known.run(small, inputs)
        for name in expected:
            a, b = expected[name].astype(np.float64), found[name].astype(np.float64)
            if a.shape != b.shape:
                wrong.append(f"output {name!r} is {b.shape}, expected {a.shape}")
                continue
            largest, difference = abs(a).max(initial=0), abs(a - b).max(initial=0)
            known.worst = max(known.worst, difference / largest if largest else difference)
            if not (np.isfinite(a).all() and difference <= 1e-4 * largest):
                wrong.append(f"output {name!r} differs by {difference:.3g} of {largest:.3g}")
    return wrong


def compare_counts(known, small, summary, plan):
    """Whether parameters and MACs are as counted here."""
    wrong, cost = [], summary["cost"]
    for when, count in (
        ("before", oracle.count(known.model, known.parameters)),
        ("after", oracle.count(small, known.parameters)),
    ):
        if cost[f"parameters_{when}"] != count:
            wrong.append(f"{cost[f'parameters_{when}']} parameters {when}, counted {count}")
    for when, counts in ("before", known.macs), ("after", oracle.macs(small)):
        count = None if None in counts.values() else sum(counts.values())
        if cost[f"macs_{when}"] is None and count is not None:
            known.notes.add("MACs not counted")
        elif count is not None and cost[f"macs_{when}"] != count:
            wrong.append(f"{cost[f'macs_{when}']} MACs {when}, counted {count}")
    for group, said in zip(plan["classes"], summary["classes"], strict=True):
        kept = group["channels"] - len(group["cut"])
        # Several classes may be parts of one layer's outputs: then the place of the first channel is told, too.
        start = group["members"][0]["start"] if group["members"] else 0
        name = f"{group['name']}[{start}]" if start else group["name"]
        if said["name"] != name or said["kept"] != kept or (kept < 1 and group["channels"]):
            wrong.append(f"class {group['name']!r}: the plan leaves {kept}, the summary says {said}")
    return wrong


def option(arguments, name, default=None):
    return arguments[arguments.index(name) + 1] if name in arguments else default


def compare_choice(known, arguments, plan):
    """Whether the plan cuts what it was asked to."""
    wrong = []
    free = [group for group in plan["classes"] if not group.get("frozen")]
    for group in plan["classes"]:
        cut = group["cut"]
        if group.get("frozen") and cut:
            wrong.append(f"class {group['name']!r} is frozen, and cut")
        if cut != sorted(set(cut)) or not all(0 <= c < group["channels"] for c in cut):
            wrong.append(f"class {group['name']!r}: cut {cut[:5]} is no ascending list of its channels")
    rate, allocation = option(arguments, "--sparsity"), option(arguments, "--allocation", "uniform")
    rates, to = None, int(option(arguments, "--round-to", 1))
    if "--rates" in arguments:
        rates = tomllib.loads(Path(option(arguments, "--rates")).read_text())
    elif rate and allocation == "uniform":
        rates = {"*": float(rate)}
    if rates:
        for group in free:
            count = group["channels"]
            kept = oracle.rounded(count - oracle.asked(rates.get(group["name"], rates["*"]), count), count, to)
            if count - len(group["cut"]) != kept:
                wrong.append(f"class {group['name']!r} keeps {count - len(group['cut'])} of {count}, expected {kept}")
    elif rate:
        count, cut = sum(group["channels"] for group in free), sum(len(group["cut"]) for group in free)
        if cut != min(round(float(rate) * count), count - len(free)):
            wrong.append(f"{cut} of {count} channels are cut, expected {round(float(rate) * count)}")
    if "--uncoupled" in arguments:
        for group in free:
            if oracle.badly_chosen(known.model, group, option(arguments, "--criterion"), "smallest" in arguments):
                wrong.append(f"class {group['name']!r}: a channel that stays has a lower score than one that is cut")
    return wrong


def compare_expected(known, plan):
    """What can be cut that cannot, or the other way round."""
    free = {group["name"] for group in plan["classes"] if not group.get("frozen")}
    wrong = [f"{name!r} can be cut, and is not" for name in known.expected.get("free", []) if name not in free]
    return wrong + [f"{name!r} must stay, and does not" for name in known.expected.get("frozen", []) if name in free]


def check(known, args, arguments, seed, folder):
    """One way of cutting; what is wrong."""
    engines = args.engine or ["cpu"]
    first = Run(args.secateur, known.path, folder / "first", arguments, engines[0])
    if first.status:
        possible = "--macs" in arguments or "--params" in arguments or not known.expected.get("free")
        if (
            possible
            and first.status in (1, 2)
            and len(first.error.splitlines()) == 1
            and "nothing makes" not in first.error
        ):
            known.notes.add(first.error.removeprefix("error: ").replace(str(known.path), "")[:110])
            return []
        return [f"exit status {first.status}: {first.error[:300]}"]
    small, plan = onnx.load(first.out), first.plan
    wrong = (
        compare_expected(known, plan)
        + compare_choice(known, arguments, plan)
        + oracle.compare_files(known.model, small, plan)
    )
    try:
        wrong += compare_counts(known, small, first.summary, plan)
        if known.checks:
            onnx.checker.check_model(first.out, full_check=True)
        if known.runs != "no":
            wrong += compare_outputs(known, small, plan, seed)
    except Exception as error:  # noqa: BLE001, whatever the runtime says
        wrong.append(f"{type(error).__name__}: {str(error)[:200]}")
    others = [(engine, arguments) for engine in engines[1:]] + [
        (engine, ["--from-plan", str(first.plan_file)]) for engine in engines
    ]
    for i, (engine, how) in enumerate(others):
        again = Run(args.secateur, known.path, folder / f"again{i}", how, engine)
        if again.status:
            wrong.append(f"{engine} {how[0]}: exit status {again.status}: {again.error[:200]}")
        elif again.digest() != first.digest():
            wrong.append(f"{engine} {how[0]}: other bytes")
        elif how[0] != "--from-plan" and again.plan != first.plan:
            wrong.append(f"{engine}: another plan")
    return wrong


def check_model(args, path, expected):
    """Every way for every seed; how many runs, how many wrong."""
    known, runs, failures = Model(path, expected), 0, 0
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory(prefix="channel-agreement-") as folder:
            folder = Path(folder)
            for i, arguments in enumerate(
                cases(np.random.default_rng([seed, len(path.name)]), seed, folder, known.a_class())
            ):
                inner = folder / str(i)
                inner.mkdir()
                wrong = check(known, args, arguments, seed, inner)
                runs, failures = runs + 1, failures + bool(wrong)
                for text in wrong[: args.show] if failures <= args.show else ():
                    print(f"  {path.name} {' '.join(arguments)}: {text}")
    verdict = f"{failures} WRONG" if failures else "ok"
    print(f"{path.stem:36} {runs:4} runs  Δ {known.worst:.1e}  {verdict}  {'; '.join(sorted(known.notes))}", flush=True)
    return runs, failures


def models(paths):
    """Files, and what is expected of them."""
    for path in paths:
        folder = path if path.is_dir() else path.parent
        expected = json.loads((folder / "expected.json").read_text()) if (folder / "expected.json").exists() else {}
        for file in sorted(path.glob("*.onnx")) if path.is_dir() else [path]:
            yield file, expected.get(file.stem, {})


DAMAGES = {
    "a weight": lambda model: change(
        model, lambda array: array + (np.arange(array.size) == 0).reshape(array.shape).astype(array.dtype)
    ),
    "channels in another order": lambda model: change(model, lambda array: array[::-1]),
    "an attribute": lambda model: setattr(
        next(n for n in model.graph.node if n.attribute).attribute[0], "name", "other"
    ),
    "metadata": lambda model: model.metadata_props.add(key="k", value="v"),
    "an operator": lambda model: setattr(next(n for n in model.graph.node if n.op_type == "Relu"), "op_type", "Abs"),
}


def change(model, how):
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(how(numpy_helper.to_array(tensor))), tensor.name))


def self_test(args):
    """Damages results, and plans, and expects each to be noticed."""
    missed = 0
    for path, _ in models(args.models):
        known = Model(path, {})
        with tempfile.TemporaryDirectory() as folder:
            run = Run(
                args.secateur, path, Path(folder) / "run", ["--criterion", "random:1", "--sparsity", "0.5"], "cpu"
            )
            small, plan = onnx.load(run.out), run.plan
        cut = next(group for group in plan["classes"] if group["cut"])
        for what, damage in DAMAGES.items():
            model = oracle.copied(small)
            damage(model)
            if not oracle.compare_files(known.model, model, plan):
                missed += 1
                print(f"{path.name}: {what} was changed, unnoticed")
        other = json.loads(json.dumps(plan))
        group = next(g for g in other["classes"] if g["name"] == cut["name"])
        group["cut"] = [c for c in range(group["channels"]) if c not in cut["cut"]][: len(cut["cut"])]
        for what, noticed in {
            "outputs": compare_outputs(known, small, other, 0),
            "tensors": oracle.compare_files(known.model, small, other),
        }.items():
            if not noticed:
                missed += 1
                print(f"{path.name}: other channels than the plan's, unnoticed by its {what}")
    print(f"{missed} missed")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--engine", action="append", choices=["cpu", "gpu"], help="default: cpu")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--show", type=int, default=4, help="how many failures of a model to print")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    args = parser.parse_args()
    if args.self_test:
        sys.exit(1 if self_test(args) else 0)
    results = [check_model(args, path, expected) for path, expected in models(args.models)]
    runs, failures = sum(r for r, _ in results), sum(f for _, f in results)
    print(f"{len(results)} models, {runs} runs, {failures} wrong")
    sys.exit(1 if failures or not runs else 0)


if __name__ == "__main__":
    main()
