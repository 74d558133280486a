"""Deleting channels with Torch-Pruning, beside secateur, on the same weights: accuracy one-shot, without fine-tuning.

resnet20 (CIFAR-10 through JPEG) and LeNet-5 (MNIST) of ../shared/data; 30 % and 50 % of the channels of every layer that
may be cut. Torch-Pruning (pip install torch torch-pruning, 1.6.1 when tried) by the L1 norm of a group, by variance (an
importance of a few lines, since it has none) and at random; secateur by variance, l1 and random with three seeds. Beside
accuracy: parameters, multiply-accumulate operations, the size of the ONNX file, and onnxruntime's time for 1,000 images on
two threads, the median of five runs in turn.

    python benches/peers/channels.py --secateur target/release/secateur --data ../shared/data [--seeds 3]
"""

import argparse
import gzip
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
import safetensors.numpy
import torch
import torch_pruning as tp
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.pad = (outputs - inputs) // 2
        self.stride = stride

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[Block(16, 16, 1) for _ in range(3)])
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = F.max_pool2d(self.conv2(F.max_pool2d(self.conv1(x), 2)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Variance(tp.importance.GroupMagnitudeImportance):
    """The variance of the outputs of a group's first layer: what `--criterion variance --uncoupled` ranks by."""

    def __call__(self, group, **_):
        dependency, indices = group[0]
        weight = dependency.target.module.weight.detach()[indices]
        return weight.flatten(1).var(dim=1, unbiased=False)


def idx(path):
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">u4", data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def mnist(data):
    images = idx(data / "mnist/t10k-images-idx3-ubyte.gz")[:, None].astype(np.float32) / 255
    return images, idx(data / "mnist/t10k-labels-idx1-ubyte.gz").astype(np.int64)


def cifar(data):
    held = safetensors.numpy.load_file(data / "cifar10-jpeg/test.safetensors")
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return ((held["inputs"].astype(np.float32) / 255 - mean) / std).astype(np.float32), held["labels"]


MODELS = {
    "resnet20": (ResNet20, "resnet20_cifar10", cifar),
    "lenet5": (LeNet5, "lenet5caffe_mnist", mnist),
}


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 2, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def accuracy(path, images, labels):
    run = session(path)
    name = run.get_inputs()[0].name
    right = 0
    for start in range(0, len(images), 500):
        logits = run.run(None, {name: images[start : start + 500]})[0]
        right += int((logits.argmax(1) == labels[start : start + 500]).sum())
    return 100 * right / len(images)


def milliseconds(paths, images):
    """Of each file, for 1,000 images, in turn."""
    runs = [session(path) for path in paths]
    times = [[] for _ in paths]
    for _ in range(5):
        for run, found in zip(runs, times):
            start = time.perf_counter()
            run.run(None, {run.get_inputs()[0].name: images[:1000]})
            found.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(found) for found in times]


def by_torch_pruning(make, weights, example, rate, importance, seed, out):
    torch.manual_seed(seed)
    model = make().eval()
    model.load_state_dict(weights, strict=False)
    last = model.linear if hasattr(model, "linear") else model.fc2
    pruner = tp.pruner.BasePruner(model, example, importance=importance, pruning_ratio=rate, ignored_layers=[last])
    pruner.step()
    macs, _ = tp.utils.count_ops_and_params(model, example)
    # Its own count takes running statistics along.
    parameters = sum(p.numel() for p in model.parameters())
    torch.onnx.export(model, example, str(out), dynamo=False, dynamic_axes={"x": {0: "batch"}}, input_names=["x"])
    return parameters, int(macs)


def by_secateur(binary, source, rate, arguments, out):
    command = [binary, "prune", source, "-o", out, "--force", "--quiet", "--format", "json", "--pattern", "channel"]
    command += ["--sparsity", rate, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    cost = json.loads(done.stdout)["cost"]
    return cost["parameters_after"], cost["macs_after"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print("| network, rate | by | accuracy % | parameters | MACs | bytes | ms / 1,000 |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (make, stem, read) in MODELS.items():
            source = options.data / f"models/{stem}.onnx"
            held = safetensors.numpy.load_file(options.data / f"models/{stem}.safetensors")
            weights = {key: torch.from_numpy(value) for key, value in held.items()}
            images, labels = read(options.data)
            example = torch.from_numpy(images[:1])
            dense = by_secateur(options.secateur, source, 0, [], folder / "dense.onnx")
            rows = [("dense", source, *dense)]
            for rate in (0.3, 0.5):
                ways = [("variance", ["--criterion", "variance"]), ("variance, uncoupled", ["--criterion", "variance", "--uncoupled"])]
                ways += [("l1", ["--criterion", "l1"]), ("l1, uncoupled", ["--criterion", "l1", "--uncoupled"])]
                ways += [(f"random:{seed}", ["--criterion", f"random:{seed}"]) for seed in range(options.seeds)]
                for label, arguments in ways:
                    out = folder / f"s-{rate}-{label}.onnx"
                    rows.append((f"{rate:.0%} secateur {label}", out, *by_secateur(options.secateur, source, rate, arguments, out)))
                theirs = [("l1, whole group", tp.importance.GroupMagnitudeImportance(p=1), 0)]
                theirs += [("l1, first layer", tp.importance.MagnitudeImportance(p=1, group_reduction="first"), 0)]
                theirs += [("variance, first layer", Variance(), 0)]
                theirs += [(f"random {seed}", tp.importance.RandomImportance(), seed) for seed in range(options.seeds)]
                for label, importance, seed in theirs:
                    out = folder / f"t-{rate}-{label}.onnx"
                    cost = by_torch_pruning(make, weights, example, rate, importance, seed, out)
                    rows.append((f"{rate:.0%} Torch-Pruning {label}", out, *cost))
            times = milliseconds([path for _, path, *_ in rows], images)
            for (label, path, parameters, macs), ms in zip(rows, times):
                size = path.stat().st_size
                print(f"| {name} | {label} | {accuracy(path, images, labels):.2f} | {parameters:,} | {macs:,} | {size:,} | {ms:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
