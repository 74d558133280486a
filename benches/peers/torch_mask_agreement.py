"""Compare the masks of `secateur prune --allocation global` with torch.nn.utils.prune.global_unstructured.

    python benches/peers/torch_mask_agreement.py --secateur target/release/secateur MODEL... [--rate 0.3 --rate 0.9]

For each model (a .safetensors file) a torch module holds every tensor that secateur prunes and is pruned globally by
L1Unstructured at each rate. The number of weights cut must be the same. PyTorch does not define which of equal magnitudes
go, so where the masks differ the weights' magnitude must be the threshold, and as many go on either side. Exits with 1
where that does not hold.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from torch.nn.utils import prune

RATES = (0.1, 0.3, 0.5, 0.8, 0.95)


def ours(args, model, rate):
    """The summary, and each tensor's kept weights as booleans."""
    with tempfile.TemporaryDirectory() as folder:
        out, mask = Path(folder) / "out.safetensors", Path(folder) / "mask.safetensors"
        done = subprocess.run([args.secateur, "prune", str(model), "-o", str(out), "--sparsity", str(rate), "--allocation",
                               "global", "--engine", args.engine, "--mask", str(mask), "--format", "json"],
                              check=True, stdout=subprocess.PIPE)
        summary = json.loads(done.stdout)
        masks = {name: np.unpackbits(words.view(np.uint8), bitorder="little") for name, words in load_file(mask).items()}
    return summary, {e["name"]: masks[e["name"]][: e["count"]].astype(bool) for e in summary["tensors"]}


def theirs(weights, rate):
    """Each tensor's kept weights, after global_unstructured."""
    holders = {}
    kind = torch.float64 if any(tensor.dtype == torch.float64 for tensor in weights.values()) else torch.float32
    for name, tensor in weights.items():
        holders[name] = torch.nn.Module()
        # Wide enough for every weight to be exact.
        holders[name].weight = torch.nn.Parameter(tensor.to(kind))
    parameters = [(holder, "weight") for holder in holders.values()]
    prune.global_unstructured(parameters, pruning_method=prune.L1Unstructured, amount=rate)
    return {name: holder.weight_mask.bool().flatten().numpy() for name, holder in holders.items()}


def check(args, model, rate):
    """Prints a line; whether all is well."""
    summary, kept = ours(args, model, rate)
    with safe_open(model, "pt") as file:
        weights = {name: file.get_tensor(name) for name in kept}
    reference = theirs(weights, rate)
    cut, wanted = [sum(int((~mask).sum()) for mask in masks.values()) for masks in (kept, reference)]
    differ = {name: kept[name] != reference[name] for name in kept}
    magnitudes = [weights[name].double().abs().flatten().numpy()[differ[name]] for name in kept]
    apart = np.unique(np.concatenate(magnitudes)) if magnitudes else np.zeros(0)
    count = sum(int(d.sum()) for d in differ.values())
    threshold = max((e["threshold"] for e in summary["tensors"] if e["threshold"] is not None), default=None)
    problems = []
    if cut != wanted or cut != summary["total"]["cut"]:
        problems.append(f"{cut} cut, torch cuts {wanted}, the summary says {summary['total']['cut']}")
    if len(apart) > 1 or (len(apart) == 1 and apart[0] != threshold):
        problems.append(f"masks differ where |w| is {apart[:5]}, the threshold is {threshold}")
    total = sum(len(mask) for mask in kept.values())
    print(f"{model.name:36} {rate:5} cut {cut:>10} of {total:>10}, {count:>6} ties chosen otherwise  "
          f"{'WRONG: ' + '; '.join(problems) if problems else 'ok'}", flush=True)
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--engine", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--rate", type=float, action="append")
    args = parser.parse_args()
    files = [file for path in args.models for file in (sorted(path.glob("*.safetensors")) if path.is_dir() else [path])]
    results = [check(args, file, rate) for file in files for rate in args.rate or RATES]
    print(f"{len(results)} comparisons on torch {torch.__version__}, {results.count(False)} wrong")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
