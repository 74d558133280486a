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


#: Rounds of pruning and training towards a rate, the epochs of each, and Adam's learning rate.
TUNING = {"lenet300": (10, 2, 0.002), "lenet5": (8, 1, 0.001)}
#: Floor for a run that is to reach its rate whatever that costs.
ANY = ["--max-drop", 1]


def sets(data):
    return ["--eval-data", f"{data}-val.safetensors", "--test-data", f"{data}-test.safetensors"]


def search(run, name, model, data, tuning, *more):
    """A search of a ramp of rounds; what it printed, or None where nothing keeps the floor."""
    rounds, epochs, rate = tuning
    suffix = ["-o", f"{name}.onnx", "--force", *sets(data), "--train-data", f"{data}-train.safetensors"]
    train = ["--rounds", rounds, "--epochs", epochs, "--learning-rate", rate]
    return printed(run(name, "search", model, *suffix, *train, *more, "--format", "json"))


def as_long(run, network, data, seed, tuning):
    """The dense network, trained on for as many epochs as a pruned one: its accuracy on the test set."""
    rounds, epochs, rate = tuning
    name = f"dense-{network}-{data}-{seed}-{rounds * epochs}"
    model, out = dense(run, network, data, seed), f"{name}.onnx"
    how = ["--keep-weights", "--optimizer", "adam", "--learning-rate", rate, "--epochs", rounds * epochs, "--seed", seed]
    run(name, "train", model, "-o", out, "--force", "--train-data", f"{data}-train.safetensors", *how)
    return accuracy(run, f"test-{name}", out, data)


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
        tuning = TUNING[network]
        base = [accuracy(run, f"test-{network}-mnist-{seed}", dense(run, network, "mnist", seed), "mnist") for seed in seeds]
        rows.append(f"| {label} | dense, as trained | all | {spread(base)} | |")
        trained = [as_long(run, network, "mnist", seed, tuning) for seed in seeds]
        rows.append(f"| | dense, trained on for as long | all | {spread(trained)} | |")
        for criterion in ["magnitude", "random"]:
            found = []
            for seed in seeds:
                by = ["--criterion", f"random:{seed}" if criterion == "random" else criterion]
                name = f"elements-{network}-mnist-{criterion}-{seed}"
                how = ["--sparsity", "91.7%", "--allocation", "moments", *ANY, "--evaluations", tuning[0] + 1, "--seed", seed]
                found.append(search(run, name, dense(run, network, "mnist", seed), "mnist", tuning, *by, *how))
            left = f"1/{1 / (1 - found[0]['best']['sparsity']):.1f}"
            tests = [100 * one["best"]["test_metric"] for one in found]
            rows.append(f"| | {criterion} | {left} | {spread(tests)} | {seconds(found)} |")
    return "Single weights, MNIST", rows


def far(run, seeds):
    """As far as a floor of 0.1 points below the validation accuracy lets it go."""
    rows = ["| network | criterion | seed | weights left | validation (%) | test (%) | evaluations | time |"]
    rows.append("|---|---|---:|---:|---:|---:|---:|---:|")
    for network, label in NETWORKS.items():
        for criterion in ["magnitude", "random"]:
            for seed in seeds:
                by = ["--criterion", f"random:{seed}" if criterion == "random" else criterion]
                name = f"far-{network}-mnist-{criterion}-{seed}"
                how = ["--sparsity", "99%", "--allocation", "moments", "--max-drop", 0.001, "--seed", seed]
                found = search(run, name, dense(run, network, "mnist", seed), "mnist", TUNING[network], *by, *how)
                if found is None:
                    rows.append(f"| {label} | {criterion} | {seed} | nothing keeps the floor | | | | |")
                    continue
                best = found["best"]
                left = f"1/{1 / (1 - best['sparsity']):.1f}"
                before = f"{100 * found['baseline']:.2f} → {100 * best['metric']:.2f}"
                test = f"{100 * found['baseline_test_metric']:.2f} → {100 * best['test_metric']:.2f}"
                rows.append(f"| {label} | {criterion} | {seed} | {left} | {before} | {test} | {found['evaluations']} | {found['seconds']:.0f} s |")
    return "Single weights, as far as 0.1 points on the validation set go, MNIST", rows


#: Data set, share of each layer's channels, rounds, epochs of each, learning rate.
CHANNELS = [("mnist", "73%", (5, 1, 0.001)), ("mnist", "85%", (6, 2, 0.001)), ("fashion", "56%", (4, 2, 0.001))]


def channels(run, seeds):
    """LeNet-5 with fewer channels."""
    rows = ["| data, rate | criterion | parameters | test accuracy (%) | time of a search |", "|---|---|---:|---:|---:|"]
    for data, rate, tuning in CHANNELS:
        base = [accuracy(run, f"test-lenet5-{data}-{seed}", dense(run, "lenet5", data, seed), data) for seed in seeds]
        rows.append(f"| {SETS[data]} | dense, as trained | 431,080 | {spread(base)} | |")
        trained = [as_long(run, "lenet5", data, seed, tuning) for seed in seeds]
        rows.append(f"| | dense, trained on for as long | 431,080 | {spread(trained)} | |")
        for criterion in ["variance", "random"]:
            found = []
            for seed in seeds:
                by = ["--criterion", f"random:{seed}" if criterion == "random" else criterion]
                name = f"channels-{data}-{rate.strip('%')}-{criterion}-{seed}"
                how = ["--pattern", "channel", "--sparsity", rate, "--allocation", "uniform", *ANY]
                how += ["--evaluations", tuning[0] + 1, "--seed", seed]
                found.append(search(run, name, dense(run, "lenet5", data, seed), data, tuning, *by, *how))
            tests = [100 * one["best"]["test_metric"] for one in found]
            rows.append(f"| {SETS[data]}, {rate} | {criterion} | {found[0]['best']['params']:,} | {spread(tests)} | {seconds(found)} |")
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
    how = ["--criterion", f"random:{seed}"] if allocation == "random" else ["--allocation", allocation]
    files = ["-o", f"{name}.onnx", "--mask", f"{name}.mask.safetensors", "--force", "--only", "*.weight"]
    run(name, "prune", model, *files, "--sparsity", rate, *how, "--format", "json")
    if not trains:
        return accuracy(run, f"test-{name}", f"{name}.onnx", "fashion")
    files = ["-o", f"{name}-tuned.onnx", "--force", "--train-data", "fashion-train.safetensors", "--mask", f"{name}.mask.safetensors"]
    how = ["--keep-weights", "--optimizer", "adam", "--learning-rate", 0.001, "--epochs", 1, "--seed", seed]
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
