"""Validation accuracy after one-shot magnitude pruning under each allocation, without retraining.

    python benches/peers/allocation_accuracy.py --secateur target/release/secateur --data ../shared/data -o FILE.json

Three networks on Fashion-MNIST, each at one sparsity. `secateur prune` writes the pruned files; they are evaluated here,
by PyTorch, on the last 5,000 training images, which the networks did not see (inputs x/255). First each unpruned
network must reach the test accuracy stated for it. With --numpy, instead of a binary, uniform and global magnitude are
done by numpy: a check of this script itself.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

ALLOCATIONS = ["uniform", "global", "erk", "lamp", "variance", "moments"]
VALIDATION = 5000


def lenet300(x, w):
    x = F.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    x = F.relu(F.linear(x, w["fc2.weight"], w["fc2.bias"]))
    return F.linear(x, w["fc3.weight"], w["fc3.bias"])


def lenet5caffe(x, w):
    x = F.max_pool2d(F.conv2d(x, w["conv1.weight"], w["conv1.bias"]), 2)
    x = F.max_pool2d(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), 2)
    x = F.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def lenet5bn(x, w):
    for index, padding in ((1, 2), (2, 0)):
        x = F.conv2d(x, w[f"conv{index}.weight"], w[f"conv{index}.bias"], padding=padding)
        bn = [w[f"bn{index}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        x = F.max_pool2d(F.relu(F.batch_norm(x, *bn)), 2)
    x = F.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


# Forward pass, sparsity, stated test accuracy in percent.
NETWORKS = {
    "lenet5caffe_fashion-mnist": (lenet5caffe, 0.9, 91.52),
    "lenet5bn_fashion-mnist": (lenet5bn, 0.9, 91.50),
    "lenet300_fashion-mnist": (lenet300, 0.8, 89.74),
}


def idx(path):
    """The array in a gzipped idx file of bytes."""
    raw = gzip.open(path).read()
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def images_and_labels(folder, part):
    images = torch.tensor(idx(folder / f"{part}-images-idx3-ubyte.gz")).unsqueeze(1).float() / 255
    return images, torch.tensor(idx(folder / f"{part}-labels-idx1-ubyte.gz")).long()


@torch.no_grad()
def accuracy(forward, weights, images, labels):
    """Percent of right answers."""
    right = 0
    for x, y in zip(images.split(1000), labels.split(1000)):
        right += (forward(x, weights).argmax(1) == y).sum().item()
    return 100 * right / len(labels)


def prune_by_numpy(weights, rate, allocation):
    """Uniform or global magnitude over every tensor of two or more dimensions; ties by name, then index."""
    names = sorted(name for name, tensor in weights.items() if tensor.ndim >= 2)
    parts = [[name] for name in names] if allocation == "uniform" else [names]
    pruned = dict(weights)
    for part in parts:
        flat = np.concatenate([weights[name].numpy().ravel() for name in part])
        order = np.argsort(np.abs(flat), kind="stable")
        flat[order[: round(rate * flat.size)]] = 0
        start = 0
        for name in part:
            count = weights[name].numel()
            pruned[name] = torch.tensor(flat[start : start + count]).view(weights[name].shape)
            start += count
    return pruned


def prune_by_secateur(binary, path, rate, allocation):
    """The pruned weights, and how many of its weights each tensor lost."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pruned.safetensors"
        command = [binary, "prune", path, "-o", out, "--sparsity", str(rate), "--allocation", allocation]
        done = subprocess.run([*command, "--engine", "cpu", "--format", "json", "--quiet"], stdout=subprocess.PIPE, check=True)
        cut = {tensor["name"]: [tensor["cut"], tensor["count"]] for tensor in json.loads(done.stdout)["tensors"]}
        return load_file(out), cut


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", help="the binary")
    parser.add_argument("--numpy", action="store_true", help="prune here instead; uniform and global only")
    parser.add_argument("--data", type=Path, required=True, help="the folder with models/ and fashion-mnist/")
    parser.add_argument("-o", "--output", help="JSON file")
    args = parser.parse_args()
    if bool(args.secateur) == args.numpy:
        parser.error("give one of --secateur and --numpy")

    images, labels = images_and_labels(args.data / "fashion-mnist", "train")
    images, labels = images[-VALIDATION:], labels[-VALIDATION:]
    tests = images_and_labels(args.data / "fashion-mnist", "t10k")
    allocations = ["uniform", "global"] if args.numpy else ALLOCATIONS
    print(f"{'validation accuracy, %':26} {'rate':>5} {'dense':>8}", *(f"{name:>8}" for name in allocations))
    results = {}
    for name, (forward, rate, stated) in NETWORKS.items():
        path = args.data / "models" / f"{name}.safetensors"
        weights = load_file(path)
        test = accuracy(forward, weights, *tests)
        if abs(test - stated) > 0.02:
            sys.exit(f"{name}: {test:.2f} % on the test images, {stated} % are stated: the forward pass is not this network's")
        result = {"rate": rate, "test": test, "dense": accuracy(forward, weights, images, labels), "pruned": {}, "cut": {}}
        for allocation in allocations:
            if args.numpy:
                pruned = prune_by_numpy(weights, rate, allocation)
            else:
                pruned, result["cut"][allocation] = prune_by_secateur(args.secateur, path, rate, allocation)
            result["pruned"][allocation] = accuracy(forward, pruned, images, labels)
        print(f"{name:26} {rate:5} {result['dense']:8.1f}", *(f"{value:8.1f}" for value in result["pruned"].values()))
        results[name] = result
    if args.output:
        Path(args.output).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
