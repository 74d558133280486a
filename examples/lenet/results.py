"""Makes the tables of results: trains the LeNets, searches, and sets random cuts and equally trained dense networks beside.

    python results.py --secateur ../../target/release/secateur --data DIR --work DIR [--only NAME ...] [--seeds 3]

DIR of --data has the folders `mnist` and `fashion-mnist` with the four .gz files of each. Everything that is run is kept in
--work: a run that is there already is not done again. What is printed at the end is Markdown; raw.json in --work has every
command, its seconds, and what it printed. Only Python's standard library is needed, and a secateur with the feature `train`.
All of it takes two hours on two cores; --only elements, far, channels or allocations runs a part.
"""

import argparse
import gzip
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
SETS = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}
NETWORKS = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5"}
#: Epochs from fresh weights.
FRESH = {"lenet300": 20, "lenet5": 10}


class Runs:
    """Commands, each run once and kept."""

    def __init__(self, options):
        self.binary, self.work = options.secateur, options.work
        (self.work / "raw").mkdir(parents=True, exist_ok=True)

    def __call__(self, name, *arguments):
        kept = self.work / "raw" / f"{name}.json"
        if kept.exists():
            return json.loads(kept.read_text())
        arguments = [str(argument) for argument in arguments]
        print("secateur", shlex.join(arguments), file=sys.stderr, flush=True)
        begin = time.monotonic()
        done = subprocess.run([self.binary, *arguments], cwd=self.work, stdout=subprocess.PIPE, text=True)
        if done.returncode not in (0, 1):
            sys.exit(f"{name}: exit status {done.returncode}")
        found = {"command": "secateur " + shlex.join(arguments), "status": done.returncode}
        found["seconds"] = round(time.monotonic() - begin, 1)
        found["printed"] = done.stdout
        kept.write_text(json.dumps(found))
        return found

    def all(self):
        return {path.stem: json.loads(path.read_text()) for path in sorted((self.work / "raw").glob("*.json"))}


def printed(run):
    return json.loads(run["printed"]) if run["status"] == 0 else None


def prepare(run, data):
    """The networks, and the data as training, validation and test sets."""
    for network in NETWORKS:
        packed = (HERE / f"{network}.onnx.gz").read_bytes()
        (run.work / f"{network}.onnx").write_bytes(gzip.decompress(packed))
    for name, folder in [("mnist", "mnist"), ("fashion", "fashion-mnist")]:
        if (run.work / f"{name}-test.safetensors").exists():
            continue
        folder = (data / folder).resolve()
        images, labels = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
        out = f"{name}-train.safetensors,{name}-val.safetensors"
        run(f"data-{name}", "dataset", "--images", images, "--labels", labels, "--split", "55000,5000", "-o", out)
        images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
        run(f"data-{name}-test", "dataset", "--images", images, "--labels", labels, "-o", f"{name}-test.safetensors")


def dense(run, network, data, seed):
    """A trained network: its file."""
    out = f"{network}-{data}-{seed}.onnx"
    epochs = ["--epochs", FRESH[network], "--seed", seed]
    run(f"train-{network}-{data}-{seed}", "train", f"{network}.onnx", "-o", out, "--train-data", f"{data}-train.safetensors", *epochs)
    return out


def accuracy(run, name, model, data):
    """On the test set, in percent."""
    found = printed(run(name, "eval", model, "--data", f"{data}-test.safetensors", "--format", "json"))
    return 100 * found["metric"]


class Tuning(NamedTuple):
    """How a network is trained while it is cut: by stochastic gradient descent with momentum 0.9."""

    rounds: int
    #: Of each round.
    epochs: int
    #: Of the best, at the end.
    final: int
    learning_rate: float
    weight_decay: float

    def epochs_in_all(self):
        return self.rounds * self.epochs + self.final

    def optimizer(self):
        return ["--optimizer", "sgd", "--learning-rate", self.learning_rate, "--weight-decay", self.weight_decay]


ELEMENTS = {"lenet300": Tuning(10, 2, 4, 0.05, 0.0005), "lenet5": Tuning(6, 1, 2, 0.03, 0.0005)}
#: Data set, share of each layer's channels, how it is trained.
CHANNELS = [
    ("mnist", "73%", Tuning(4, 1, 4, 0.03, 0.0005)),
    ("mnist", "85%", Tuning(2, 1, 6, 0.03, 0.0005)),
    ("fashion", "56%", Tuning(2, 1, 10, 0.03, 0.001)),
]
#: Floor for a run that is to reach its rate whatever that costs.
ANY = ["--max-drop", 1]


def search(run, name, model, data, tuning, seed, *more):
    """A search of a ramp of rounds; what it printed, or None where nothing keeps the floor."""
    files = ["-o", f"{name}.onnx", "--force", "--train-data", f"{data}-train.safetensors"]
    files += ["--eval-data", f"{data}-val.safetensors", "--test-data", f"{data}-test.safetensors"]
    train = ["--rounds", tuning.rounds, "--epochs", tuning.epochs, "--final-epochs", tuning.final, *tuning.optimizer()]
    return printed(run(name, "search", model, *files, *train, "--seed", seed, *more, "--format", "json"))


def as_long(run, network, data, seed, tuning):
    """The dense network, trained on for as many epochs as a pruned one: its accuracy on the test set."""
    epochs = tuning.epochs_in_all()
    name = f"dense-{network}-{data}-{seed}-{epochs}"
    files = ["-o", f"{name}.onnx", "--force", "--train-data", f"{data}-train.safetensors"]
    how = ["--keep-weights", *tuning.optimizer(), "--epochs", epochs, "--seed", seed]
    run(name, "train", dense(run, network, data, seed), *files, *how)
    return accuracy(run, f"test-{name}", f"{name}.onnx", data)


def controlled(criterion, seed):
    """The option that says the criterion."""
    return ["--criterion", f"random:{seed}" if criterion == "random" else criterion]


def shared_out(criterion):
    """The option that says how much each layer loses. `moments` is about magnitudes: `erk` is the best that chance can have."""
    return ["--allocation", "erk" if criterion == "random" else "moments"]


def spread(values):
    """Median and range of some percentages."""
    values = sorted(values)
    return f"{statistics.median(values):.2f} ({values[0]:.2f} … {values[-1]:.2f})"


def seconds(found):
    return f"{statistics.median(one['seconds'] for one in found):.0f} s"


def elements(run, seeds):
    """Twelve times fewer weights, by magnitude and at random."""
    rows = ["| network | criterion | weights left | test accuracy (%) | time of a search |", "|---|---|---:|---:|---:|"]
    for network, label in NETWORKS.items():
        tuning = ELEMENTS[network]
        rows += untouched(run, network, label, "mnist", seeds, tuning, "all")
        for criterion in ["magnitude", "random"]:
            found = []
            for seed in seeds:
                how = ["--sparsity", "91.7%", *shared_out(criterion), *ANY, "--evaluations", tuning.rounds + 1]
                name, model = f"elements-{network}-mnist-{criterion}-{seed}", dense(run, network, "mnist", seed)
                found.append(search(run, name, model, "mnist", tuning, seed, *controlled(criterion, seed), *how))
            rows.append(f"| | {criterion} | 1/{times(found[0])} | {tested(found)} | {seconds(found)} |")
    return "Single weights, MNIST", rows


def untouched(run, network, label, data, seeds, tuning, size):
    """Rows of the dense network, as it was trained, and trained on for as long as a pruned one."""
    trained = [accuracy(run, f"test-{network}-{data}-{seed}", dense(run, network, data, seed), data) for seed in seeds]
    longer = [as_long(run, network, data, seed, tuning) for seed in seeds]
    epochs = tuning.epochs_in_all()
    return [
        f"| {label} | dense, as trained | {size} | {spread(trained)} | |",
        f"| | dense, {epochs} epochs more | {size} | {spread(longer)} | |",
    ]


def times(found):
    return f"{1 / (1 - found['best']['sparsity']):.1f}"


def tested(found):
    return spread([100 * one["best"]["test_metric"] for one in found])


def far(run, seeds):
    """As far as a floor of 0.1 points below the validation accuracy lets it go."""
    rows = ["| network | criterion | seed | weights left | validation (%) | test (%) | evaluations | time |"]
    rows.append("|---|---|---:|---:|---:|---:|---:|---:|")
    for network, label in NETWORKS.items():
        tuning = ELEMENTS[network]
        # A random cut of LeNet-5 takes as long again, to say what that of LeNet-300-100 says.
        for criterion in ["magnitude", "random"] if network == "lenet300" else ["magnitude"]:
            for seed in seeds:
                how = ["--sparsity", "99%", *shared_out(criterion), "--max-drop", 0.001, "--evaluations", tuning.rounds + 4]
                name, model = f"far-{network}-mnist-{criterion}-{seed}", dense(run, network, "mnist", seed)
                found = search(run, name, model, "mnist", tuning, seed, *controlled(criterion, seed), *how)
                begin = f"| {label} | {criterion} | {seed} |"
                if found is None:
                    rows.append(f"{begin} nothing keeps the floor | | | | |")
                    continue
                best = found["best"]
                before = f"{100 * found['baseline']:.2f} → {100 * best['metric']:.2f}"
                test = f"{100 * found['baseline_test_metric']:.2f} → {100 * best['test_metric']:.2f}"
                end = f"{found['evaluations']} | {found['seconds']:.0f} s |"
                rows.append(f"{begin} 1/{times(found)} | {before} | {test} | {end}")
    return "Single weights, as far as 0.1 points on the validation set go, MNIST", rows


def channels(run, seeds):
    """LeNet-5 with fewer channels."""
    rows = ["| data, rate | criterion | parameters | test accuracy (%) | time of a search |", "|---|---|---:|---:|---:|"]
    for data, rate, tuning in CHANNELS:
        rows += untouched(run, "lenet5", f"{SETS[data]}, {rate}", data, seeds, tuning, "431,080")
        for criterion in ["variance", "random"]:
            found = []
            for seed in seeds:
                how = ["--pattern", "channel", "--sparsity", rate, "--allocation", "uniform", *ANY]
                how += ["--evaluations", tuning.rounds + 1, *controlled(criterion, seed)]
                name, model = f"channels-{data}-{rate.strip('%')}-{criterion}-{seed}", dense(run, "lenet5", data, seed)
                found.append(search(run, name, model, data, tuning, seed, *how))
            rows.append(f"| | {criterion} | {found[0]['best']['params']:,} | {tested(found)} | {seconds(found)} |")
    return "LeNet-5, whole channels", rows


ALLOCATIONS = ["uniform", "global", "erk", "lamp", "variance", "moments"]
#: Rates, and whether an epoch of training follows.
RATES = {"lenet300": [("80%", False), ("95%", False), ("95%", True)], "lenet5": [("90%", False), ("98%", False), ("98%", True)]}


def allocations(run, seeds):
    """Equal rates of the whole network, shared out by each rule; and at random."""
    rows = ["| network, rate | " + " | ".join(ALLOCATIONS) + " | random (uniform) |", "|---|" + "---:|" * (len(ALLOCATIONS) + 1)]
    for network, label in NETWORKS.items():
        for rate, trains in RATES[network]:
            cells = []
            for allocation in [*ALLOCATIONS, "random"]:
                tests = [one_cut(run, network, rate, trains, allocation, seed) for seed in seeds]
                cells.append(spread(tests))
            after = ", one epoch after" if trains else ""
            rows.append(f"| {label}, {rate}{after} | " + " | ".join(cells) + " |")
    return "Which layer loses how much, Fashion-MNIST", rows


def one_cut(run, network, rate, trains, allocation, seed):
    name = f"allocation-{network}-{rate.strip('%')}-{allocation}-{seed}"
    model = dense(run, network, "fashion", seed)
    how = controlled("random", seed) if allocation == "random" else ["--allocation", allocation]
    files = ["-o", f"{name}.onnx", "--mask", f"{name}.mask.safetensors", "--force", "--only", "*.weight"]
    run(name, "prune", model, *files, "--sparsity", rate, *how, "--format", "json")
    if not trains:
        return accuracy(run, f"test-{name}", f"{name}.onnx", "fashion")
    files = ["-o", f"{name}-tuned.onnx", "--force", "--train-data", "fashion-train.safetensors", "--mask", f"{name}.mask.safetensors"]
    how = ["--keep-weights", *ELEMENTS[network].optimizer(), "--epochs", 1, "--seed", seed]
    run(f"{name}-tuned", "train", f"{name}.onnx", *files, *how)
    return accuracy(run, f"test-{name}-tuned", f"{name}-tuned.onnx", "fashion")


PARTS = {"elements": elements, "far": far, "channels": channels, "allocations": allocations}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secateur", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    run = Runs(options)
    prepare(run, options.data)
    for part in options.only:
        title, rows = PARTS[part](run, range(options.seeds))
        print(f"## {title}\n", *rows, "", sep="\n", flush=True)
    (run.work / "raw.json").write_text(json.dumps(run.all(), indent=1))


if __name__ == "__main__":
    main()
