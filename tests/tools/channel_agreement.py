"""Networks that `secateur prune --pattern channel` has made smaller, in onnxruntime, against the originals with those channels
set to zero.

For random choices of channels and others: the plan says which channels of which tensors go. In the original, with the onnx
package, weights, biases, scales and shifts of those channels become zero; both networks get the same inputs, and every
result has to agree: max |difference| <= 1e-4 max |result|. The smaller file has to pass the ONNX checker where the original
does, its initializers to be the original's without those slices, byte for byte, what no plan names to be as it was, and its
parameters to be counted right. The plan run again gives the same bytes, and so does every engine.

    python tests/tools/channel_agreement.py --secateur target/release/secateur [--engine cpu --engine gpu] MODEL.onnx FOLDER...
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

CASES = [
    ["--criterion", "random:1", "--sparsity", "0.1"],
    ["--criterion", "random:2", "--sparsity", "0.5"],
    ["--criterion", "random:3", "--sparsity", "0.7", "--allocation", "global"],
    ["--criterion", "random:4", "--sparsity", "0.95"],
    ["--criterion", "random:5", "--sparsity", "0.4", "--round-to", "4"],
    ["--sparsity", "0.3"],
    ["--sparsity", "0.5", "--allocation", "variance", "--uncoupled"],
    ["--criterion", "l1", "--params", "0.2", "--allocation", "global", "--transform", "none"],
    ["--criterion", "kurtosis", "--sparsity", "0.3", "--keep", "smallest", "--transform", "standardize"],
]


def arrays(model):
    """Initializers and constants, by name."""
    found = {array.name: array for array in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


def indices(plan, roles=None):
    """For each tensor and axis, the indices that go."""
    found = {}
    for planned in plan["classes"]:
        for member in planned["members"]:
            if roles is None or member["role"] in roles:
                gone = found.setdefault((member["tensor"], member["axis"]), set())
                for channel in planned["cut"]:
                    start = member["start"] + channel * member["run"]
                    gone.update(range(start, start + member["run"]))
    return {key: sorted(gone) for key, gone in found.items() if gone}


def zeroed(path, plan):
    model = onnx.load(path)
    held = arrays(model)
    for (name, axis), gone in indices(plan, {"output", "bias", "scale"}).items():
        values = numpy_helper.to_array(held[name]).copy()
        values[(slice(None),) * axis + (gone,)] = 0
        held[name].CopyFrom(numpy_helper.from_array(values, held[name].name))
    return model


def inputs(model, seed):
    random = np.random.default_rng(seed)
    constants = set(arrays(model))
    found = {}
    for value in model.graph.input:
        if value.name not in constants:
            kind = value.type.tensor_type
            shape = [axis.dim_value or 2 for axis in kind.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[value.name] = random.normal(size=shape).astype(dtype)
    return found


def results(model, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def parameters(model):
    """Names of floating weights that nodes take, without running statistics and single factors."""
    statistics = {name for node in model.graph.node if node.op_type == "BatchNormalization" for name in node.input[3:5]}
    held = arrays(model)
    layers = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization"}
    factors = {"Add", "Sub", "Mul", "Div", "PRelu"}
    found = set()
    for node in model.graph.node:
        for name in node.input:
            fits = node.op_type in layers or (node.op_type in factors and name in held and np.prod(held[name].dims) > 1)
            if fits and name in held and held[name].data_type in (1, 10, 11, 16) and name not in statistics:
                found.add(name)
    return found


def elements(model, names):
    held = arrays(model)
    return sum(int(np.prod(held[name].dims)) for name in names)


def passes(path):
    try:
        onnx.checker.check_model(str(path), full_check=True)
        return True
    except Exception:  # The checker's errors have no common type.
        return False


def run(secateur, path, out, arguments):
    pattern = [] if "--from-plan" in arguments else ["--pattern", "channel"]
    command = [secateur, "prune", path, "-o", out, "--quiet", *pattern, "--format", "json", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def compare(secateur, path, arguments, engines, runs):
    """What is wrong with one cut, and how many channels went."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        out, plan_file = folder / "small.onnx", folder / "plan.json"
        done = run(secateur, path, out, [*arguments, "--plan", plan_file, "--engine", engines[0]])
        if done.returncode:
            # Nothing to cut, or not as much as was asked, is an answer.
            fine = "no channel of it can be cut" in done.stderr or "can go this way" in done.stderr
            return ([] if fine else [done.stderr.strip()]), None
        plan, summary = json.loads(plan_file.read_text()), json.loads(done.stdout)
        wrong = []
        before, after = onnx.load(path), onnx.load(out)
        first, second = arrays(before), arrays(after)
        gone = indices(plan)
        for name, array in first.items():
            if array.data_type == onnx.TensorProto.STRING or name not in second:
                continue
            values = numpy_helper.to_array(array)
            for (tensor, axis), cut in gone.items():
                if tensor == name:
                    values = np.delete(values, cut, axis)
            found = numpy_helper.to_array(second[name])
            reshapes = array.data_type == onnx.TensorProto.INT64 and array.dims == second[name].dims
            if not reshapes and (values.shape != found.shape or values.tobytes() != found.tobytes()):
                wrong.append(f"{name} is not what is left")
        if [node.op_type for node in before.graph.node if node.op_type != "Constant"] != [
            node.op_type for node in after.graph.node if node.op_type != "Constant"
        ]:
            wrong.append("other operators")
        if passes(path) and not passes(out):
            wrong.append("the checker refuses it")
        for name, now in (("before", before), ("after", after)):
            said, counted = summary["cost"][f"parameters_{name}"], elements(now, parameters(before))
            if said != counted and not shared(before):
                wrong.append(f"{said} parameters {name}, {counted} counted")
        # From the plan, and by every engine.
        for number, engine in enumerate(engines):
            again = folder / f"again{number}.onnx"
            repeated = run(secateur, path, again, ["--from-plan", plan_file, "--engine", engine])
            if repeated.returncode or again.read_bytes() != out.read_bytes():
                wrong.append(f"not the same bytes from the plan on {engine} {repeated.stderr.strip()}")
        if runs:
            reference = zeroed(path, plan)
            for seed in (1, 2):
                feed = inputs(before, seed)
                try:
                    wanted = results(reference.SerializeToString(), feed)
                except Exception as error:  # What cannot run cannot be compared.
                    return [*wrong, f"the original does not run: {str(error)[:100]}"], None
                for a, b in zip(results(str(out), feed), wanted, strict=True):
                    apart, largest = np.abs(a - b).max(initial=0), np.abs(b).max(initial=0)
                    if a.shape != b.shape or not apart <= 1e-4 * largest:
                        wrong.append(f"results are {apart:.2g} apart, {largest:.2g} the largest")
        return wrong, sum(len(planned["cut"]) for planned in plan["classes"])


def shared(model):
    """Whether an array is taken twice: whose parameters it is, is a matter of taste."""
    taken = [name for node in model.graph.node for name in node.input if name in arrays(model)]
    return len(taken) != len(set(taken))


def can_run(path):
    model = onnx.load(path)
    try:
        results(str(path), inputs(model, 0))
        return True
    except Exception:  # Whatever stops the runtime.
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--engine", action="append", choices=["cpu", "gpu"])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    engines = options.engine or ["cpu"]
    paths = [p for m in options.models for p in (sorted(m.glob("*.onnx")) if m.is_dir() else [m])]
    total, failed = 0, 0
    for path in paths:
        runs = can_run(path)
        cut, wrong = 0, []
        for case in CASES:
            found, channels = compare(options.secateur, path, case, engines, runs)
            total += 1
            cut += channels or 0
            wrong += [f"{' '.join(case)}: {line}" for line in found]
        failed += len(wrong)
        state = "equal" if runs else "does not run, files compared"
        print(f"{path.name}: {cut} channels in {len(CASES)} cuts, {'; '.join(wrong[:4]) or state}", flush=True)
    print(f"{len(paths)} models, {total} runs, {failed} wrong")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
