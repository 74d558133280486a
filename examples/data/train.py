"""Train the example network of this folder on MNIST and write it as safetensors.

    python examples/data/train.py --mnist DIR [--output examples/data] [--epochs 4]

DIR holds MNIST's four idx files (train-images-idx3-ubyte and so on), gzipped or not. About two minutes on one core.
Writes cnn.safetensors (F32), cnn-f16.safetensors, cnn-bf16.safetensors and sharded/ (mixed dtypes, with an index).
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


def read_idx(folder, name):
    path = Path(folder) / name
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(name + ".gz").read_bytes())
    dimensions = data[3]
    shape = np.frombuffer(data, ">u4", dimensions, offset=4)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy())


def load(folder, part):
    images = read_idx(folder, f"{part}-images-idx3-ubyte")
    return images.unsqueeze(1).float() / 255, read_idx(folder, f"{part}-labels-idx1-ubyte").long()


class Network(nn.Module):
    """A convolution, a depthwise-separable one, a strided one and two linear layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(512, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 10))

    def forward(self, images):
        return self.classifier(self.features(images).flatten(1))


def train(model, images, labels, epochs, batch=128):
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images))[: len(images) // batch * batch]
        for chosen in order.split(batch):
            loss = F.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: last batch's loss {loss.item():.4f}", flush=True)


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    outputs = torch.cat([model(part) for part in images.split(1000)])
    return 100 * (outputs.argmax(1) == labels).float().mean().item()


def cast(tensors, dtype):
    """Floating tensors in another dtype; counters stay integers."""
    return {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}


def save_sharded(tensors, folder):
    """Features in F32 in the first shard, the large linear layer in BF16, the last one in F16."""
    parts = [
        {name: t for name, t in tensors.items() if name.startswith("features.")},
        cast({name: t for name, t in tensors.items() if name.startswith("classifier.0.")}, torch.bfloat16),
        cast({name: t for name, t in tensors.items() if name.startswith("classifier.3.")}, torch.float16),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    weight_map = {}
    for i, part in enumerate(parts, 1):
        file = f"model-{i:05}-of-{len(parts):05}.safetensors"
        save_file(part, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    size = sum(t.numel() * t.element_size() for part in parts for t in part.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    config = {"model_type": "mnist-cnn", "num_labels": 10, "input": [1, 28, 28]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", required=True, help="folder of the idx files")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)

    start = time.perf_counter()
    model = Network()
    train(model, *load(args.mnist, "train"), args.epochs)
    test = load(args.mnist, "t10k")
    tensors = model.state_dict()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {time.perf_counter() - start:.0f} s")
    print(f"test accuracy, F32: {accuracy(model, *test):.2f} %")
    save_file(tensors, args.output / "cnn.safetensors", {"format": "pt"})
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        rounded = cast(tensors, dtype)
        save_file(rounded, args.output / f"cnn-{name}.safetensors", {"format": "pt"})
        copy = Network()
        copy.load_state_dict(rounded)  # back in F32, the values rounded
        print(f"test accuracy, {name.upper()} weights: {accuracy(copy, *test):.2f} %")
    save_sharded(tensors, args.output / "sharded")


if __name__ == "__main__":
    main()
