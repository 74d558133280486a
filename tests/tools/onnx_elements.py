"""Compares what `secateur prune` makes of ONNX files, element by element, with numpy on what the onnx package reads.

Every weight: uniform rates against a stable argsort of magnitudes, N:M against the same inside each group along the axis that
the operator sums over. Everything else of the file (operators, names, shapes, metadata, arrays that are not cut) has to be
the same, and the result has to pass the ONNX checker where the model does.

    python tests/tools/onnx_elements.py --secateur target/release/secateur MODEL.onnx FOLDER...
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
DATA = ["raw_data", "float_data", "int32_data", "double_data", "external_data", "data_location"]


def arrays(model):
    """Initializers and constants, by name."""
    found = {array.name: array for array in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


def values(array, path):
    """Elements as float64, and their bytes."""
    loaded = numpy_helper.to_array(array, str(path.parent))
    return loaded.astype(np.float64), loaded


def inputs_first(model):
    """Weights that are summed over along axis 0."""
    found = set()
    for node in model.graph.node:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        if node.op_type in ("MatMul", "Gemm", "ConvTranspose") and not transposed and len(node.input) > 1:
            found.add(node.input[1])
    return found


def left_out(name, shape):
    """By shape, or by name as far as these files have such names."""
    return len(shape) < 2 or any(part in name for part in ("embed", "scale"))


def cut_uniform(magnitudes, rate):
    flat = magnitudes.ravel()
    cut = np.zeros(flat.size, bool)
    order = np.argsort(np.where(np.isnan(flat), np.inf, flat), kind="stable")
    cut[order[: int(np.round(rate * flat.size))]] = True
    return cut.reshape(magnitudes.shape)


def cut_n_of_m(magnitudes, kept, of, axis):
    moved = np.moveaxis(magnitudes, axis, -1)
    groups = moved.reshape(-1, of)
    cut = np.zeros(groups.shape, bool)
    order = np.argsort(groups, axis=1, kind="stable")[:, : of - kept]
    np.put_along_axis(cut, order, True, axis=1)
    return np.moveaxis(cut.reshape(moved.shape), -1, axis)


def compare(secateur, path, arguments, expected, engine):
    """Differences of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.onnx"
        command = [secateur, "prune", path, "-o", out, "--engine", engine, "--quiet", *arguments]
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if run.returncode:
            return [f"{' '.join(arguments)}: {run.stderr.strip()}"]
        before, after = onnx.load(path, load_external_data=False), onnx.load(out, load_external_data=False)
        wrong = []
        first, second = arrays(before), arrays(after)
        if list(first) != list(second):
            return ["other arrays"]
        weights = inputs_first(before)
        for name, array in first.items():
            if array.data_type == TensorProto.STRING:
                continue
            magnitudes, loaded = values(array, path)
            found = values(second[name], out)[1]
            wanted = loaded.copy()
            if array.data_type in FLOATS and not left_out(name, loaded.shape):
                cut = expected(np.abs(magnitudes), 0 if name in weights else 1)
                if cut is not None:
                    wanted[cut] = 0
            if wanted.tobytes() != found.tobytes():
                wrong.append(f"{' '.join(arguments)}: {name}")
            for kept in (array, second[name]):
                for field in DATA:
                    kept.ClearField(field)
        if before.SerializeToString() != after.SerializeToString():
            wrong.append(f"{' '.join(arguments)}: something beside the elements")
        return wrong


def check_all(secateur, path, engine):
    wrong = []
    for rate in (0.0, 0.3, 0.9):
        wrong += compare(secateur, path, ["--sparsity", str(rate)], lambda m, _, r=rate: cut_uniform(m, r), engine)
    for kept, of in ((2, 4), (1, 2)):
        def expected(magnitudes, axis, kept=kept, of=of):
            return cut_n_of_m(magnitudes, kept, of, axis) if magnitudes.shape[axis] % of == 0 else None

        found = compare(secateur, path, ["--pattern", f"{kept}:{of}"], expected, engine)
        # A network of odd widths has nothing to cut.
        wrong += [line for line in found if "nothing" not in line and "no tensor" not in line and "left out" not in line]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--engine", action="append", choices=["cpu", "gpu"])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    paths = [p for m in options.models for p in (sorted(m.glob("*.onnx")) if m.is_dir() else [m])]
    failed = 0
    for path in paths:
        for engine in options.engine or ["cpu"]:
            wrong = check_all(options.secateur, path, engine)
            failed += bool(wrong)
            print(f"{path.name} {engine}: {'same' if not wrong else '; '.join(wrong[:5])}")
    print(f"{len(paths)} models, {failed} wrong")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
