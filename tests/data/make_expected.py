"""Write expected/*.json: the oracle's answers for the poison file and the example network.

    python tests/data/make_expected.py

Each file says which model and which options it answers, so a test needs no table of its own: `model` is a path
from the repository's root; `by`, `transform`, `quantiles`, `histogram` and `only` are the options' values.
"""

import os
from pathlib import Path

import oracle

ROOT = Path(__file__).resolve().parents[2]
POISON, F32, BF16 = "tests/data/poison.safetensors", "examples/data/cnn.safetensors", "examples/data/cnn-bf16.safetensors"
QUANTILES = (0, 0.01, 0.5, 0.99, 1)
CONVS, EDGES = ("conv.*",), ("empty.*", "vector.F32", "scalar.F32", "one-finite.F32")

# file stem: model, grouping, transform, quantiles, histogram, only
CASES = {
    "poison-tensor": (POISON, "tensor", "none", QUANTILES, 8, ()),
    "poison-tensor-log": (POISON, "tensor", "log", QUANTILES, 8, ()),
    "poison-tensor-standardize": (POISON, "tensor", "standardize", QUANTILES, None, ()),
    "poison-output": (POISON, "output", "none", (), None, (*CONVS, *EDGES, "near*.F64", "extremes.*", "constant.*")),
    "poison-input": (POISON, "input", "none", (), None, (*CONVS, *EDGES, "extremes.F64", "constant.*")),
    "poison-axis2": (POISON, "axis:2", "none", QUANTILES, 8, (*CONVS, *EDGES)),
    "poison-block16": (POISON, "block:16", "none", (), None, (*EDGES, "conv.F8_E4M3", "normal.BF16")),
    "poison-output-log": (POISON, "output", "log", QUANTILES, None, ("conv.F32", "conv.F8_E5M2")),
    "poison-input-standardize": (POISON, "input", "standardize", QUANTILES, 8, ("conv.F64", "conv.F16", *EDGES)),
    "cnn-f32-tensor": (F32, "tensor", "none", QUANTILES, 8, ()),
    "cnn-f32-output": (F32, "output", "none", (), None, ("features.?.weight", "classifier.3.*")),
    "cnn-f32-input-log": (F32, "input", "log", (), None, ("features.?.weight",)),
    "cnn-f32-output-standardize": (F32, "output", "standardize", (), None, ("features.7.*",)),
    "cnn-bf16-tensor": (BF16, "tensor", "none", QUANTILES, 8, ()),
    "cnn-bf16-input": (BF16, "input", "none", QUANTILES, None, ("features.0.*", "features.7.*")),
    "cnn-bf16-axis3": (BF16, "axis:3", "standardize", QUANTILES, None, ("features.0.*", "features.7.*")),
    "cnn-bf16-block16": (BF16, "block:16", "none", (), None, ("features.0.*", "features.4.*")),
}


def main():
    folder = Path(__file__).parent / "expected"
    folder.mkdir(exist_ok=True)
    os.chdir(ROOT)
    for stem, case in CASES.items():
        oracle.write(oracle.stats(*case, check=True), folder / f"{stem}.json")


if __name__ == "__main__":
    main()
