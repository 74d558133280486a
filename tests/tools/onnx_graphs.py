"""Make small ONNX models of many kinds, with random weights, and say what of each can be cut.

    python tests/tools/onnx_graphs.py -o FOLDER [--seed N] [--only NAME ...]

Writes NAME.onnx for each model, and expected.json: for each the weights whose class of channels can be cut (`free`), those
that must stay whole (`frozen`), those that could be cut but need not be (`either`); how it runs: in `onnxruntime`, only
`as float` (bf16 and f64 made f32), or `no`; and whether onnx.checker `checks` it (it does not know `ai.onnx` spelled out).
What can be cut was reasoned from the operators' definitions, not taken from a program. Every model passes onnx.checker with
shape inference, runs, and gives finite numbers that are not all 0. Exits with 1 where one does not.

The models are in onnx_graphs_flow.py, _operators.py, _layers.py and _files.py.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx

import onnx_graphs_files
import onnx_graphs_flow
import onnx_graphs_layers
import onnx_graphs_operators
import onnx_run
from onnx_builder import Net

FAMILIES = (onnx_graphs_flow, onnx_graphs_operators, onnx_graphs_layers, onnx_graphs_files)
MODELS = {name: make for family in FAMILIES for name, make in family.MODELS.items()}


def make(name, seed, folder):
    """Writes a model; what is expected of it."""
    net = Net(name, seed)
    after = MODELS[name](net)
    model, path = net.model(), folder / f"{name}.onnx"
    if callable(after):
        model = after(model)
    getattr(net, "save", onnx.save)(model, path)
    if net.checks:
        onnx.checker.check_model(path, full_check=True)
    if net.runs != "no":
        loaded = onnx.load(path)
        inputs = onnx_run.feeds(loaded, 0)
        if net.runs == "as float":
            loaded, inputs = onnx_run.as_float(loaded), onnx_run.as_float_inputs(inputs)
        results = onnx_run.run(loaded, inputs)
        if not all(np.isfinite(result.astype(np.float32)).all() and result.any() for result in results.values()):
            raise ValueError("its outputs are not finite, or all zero")
    return {
        "free": [name for name in net.free if name not in net.either],
        "frozen": net.frozen,
        "either": net.either,
        "runs": net.runs,
        "checks": net.checks,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder, made if it is not there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="only these models")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    expected, failures = {}, 0
    for name in args.only or MODELS:
        try:
            expected[name] = make(name, args.seed, args.output)
        except Exception as error:  # noqa: BLE001, whatever is wrong with a model belongs in the list
            failures += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    (args.output / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(expected)} models, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
