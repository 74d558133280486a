"""How much of ResNet-20 goes without any training, at one point of accuracy on a validation set: `secateur search`.

Whole channels by variance, by L1 and at random (three seeds), at one rate for all layers and at rates of each layer's own;
then single weights, at one rate that each allocation shares out, and at rates of their own. DIR of --data has
`models/resnet20_cifar10.onnx` and `cifar10-jpeg/{validation,test}.safetensors`. Everything that is run is kept in --work, and
not run again; what is printed at the end is Markdown. Half an hour to an hour on two cores.

    python benches/search_resnet20.py --secateur target/release/secateur --data ../shared/data --work DIR
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples" / "lenet"))
from results import Runs, printed, spread  # noqa: E402

NORMALIZE = "0.485,0.456,0.406,0.229,0.224,0.225"
ONE_RATE = ["--strategy", "fixed", "--step", "5%", "--allocation"]


def search(run, name, data, *how):
    """What a search has come to, or None where nothing keeps the floor."""
    cifar = data / "cifar10-jpeg"
    files = [data / "models" / "resnet20_cifar10.onnx", "-o", f"{name}.onnx", "--force"]
    files += ["--eval-data", cifar / "validation.safetensors", "--test-data", cifar / "test.safetensors"]
    return printed(run(name, "search", *files, "--normalize", NORMALIZE, "--max-drop", 0.01, *how, "--format", "json"))


def row(label, how, found):
    """A row of one or several searches, of which those that found nothing leave the network as it is."""
    some = [one for one in found if one]

    def share(whole, left):
        return [100 * (1 - one["best"][left] / one[whole]) if one else 0.0 for one in found]

    tests = [100 * one["best"]["test_metric"] for one in some]
    cells = [share("macs", "macs"), share("parameters", "params"), tests]
    shown = [spread(values) if len(values) > 1 else "".join(f"{value:.1f}" for value in values) for values in cells]
    evaluations = " ".join(str(one["evaluations"]) for one in some)
    seconds = " ".join(f"{one['seconds']:.0f}" for one in some)
    nothing = f" (nothing in {len(found) - len(some)} of {len(found)})" if len(some) < len(found) else ""
    return f"| {label}{nothing} | {how} | " + " | ".join(shown) + f" | {evaluations} | {seconds} |"


HEAD = [
    "| criterion | rates | MACs gone (%) | parameters gone (%) | test accuracy (%) | evaluations | seconds |",
    "|---|---|---:|---:|---:|---:|---:|",
]


def channels(run, data, seeds):
    print("## Whole channels\n", *HEAD, sep="\n", flush=True)
    for criterion in ["variance", "l1", "random"]:
        names = [f"random:{seed}" for seed in seeds] if criterion == "random" else [criterion]
        # By chance little goes, and that is soon found.
        most = 16 if criterion == "random" else 36
        for rates, how in [("one for all", [*ONE_RATE, "uniform"]), ("each its own", ["--save", "macs", "--evaluations", most])]:
            name = f"resnet20-channel-{rates.split()[0]}"
            by = [["--pattern", "channel", "--criterion", one, *how] for one in names]
            found = [search(run, f"{name}-{one.replace(':', '-')}", data, *by) for one, by in zip(names, by)]
            print(row(criterion, rates, found), flush=True)


def elements(run, data, _):
    print("## Single weights\n", *HEAD, sep="\n", flush=True)
    for allocation in ["uniform", "moments"]:
        found = search(run, f"resnet20-element-{allocation}", data, *ONE_RATE, allocation)
        print(row("magnitude", f"one, shared out by {allocation}", [found]), flush=True)
    found = search(run, "resnet20-element-dynamic", data, "--evaluations", 40)
    print(row("magnitude", "each its own", [found]), flush=True)


PARTS = {"channels": channels, "elements": elements}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secateur", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--data", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    run = Runs(options)
    for part in options.only:
        PARTS[part](run, options.data, range(options.seeds))
        print()
    (run.work / "raw.json").write_text(json.dumps(run.all(), indent=1))


if __name__ == "__main__":
    main()
