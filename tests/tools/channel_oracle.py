"""What deleting channels of an ONNX model must give, by the onnx package and numpy. Used by `channel_agreement.py`."""

import math

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


ZEROED = ("output", "bias", "scale")
WEIGHTED = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
)
FACTORS = ("Add", "Sub", "Mul", "Div", "PRelu")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
TAKES_SHAPES = ("Reshape", "Resize", "Upsample", "Expand", "ConstantOfShape", "Concat")
SCORES = {
    "variance": lambda g: g.var(1),
    "mean": lambda g: abs(g.mean(1)),
    "l1": lambda g: abs(g).sum(1),
    "l2": lambda g: np.sqrt((g * g).sum(1)),
    "kurtosis": lambda g: ((g - g.mean(1, keepdims=True)) ** 4).mean(1) / g.var(1) ** 2 - 3,
    "skewness": lambda g: abs(((g - g.mean(1, keepdims=True)) ** 3).mean(1) / g.var(1) ** 1.5),
}


def tensors(model):
    """Initializers and outputs of Constant nodes, by name: their TensorProto."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found |= {node.output[0]: attribute.t for attribute in node.attribute if attribute.name == "value"}
    return found


def copied(model):
    return onnx.ModelProto.FromString(model.SerializeToString())


def bits(array):
    """As unsigned integers: NaN equals itself, and -0 is not 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}") if array.dtype != object else array


def indices(member, channels):
    """Where these channels lie along the member's axis."""
    return [member["start"] + channel * member["run"] + i for channel in channels for i in range(member["run"])]


def along(member, channels):
    """An index of an array."""
    return (*[slice(None)] * member["axis"], indices(member, channels))


def zeroed(model, plan):
    """A copy in which the channels that the plan cuts are made of zeros."""
    model = copied(model)
    arrays = tensors(model)
    for group in plan["classes"]:
        for member in group["members"] if group["cut"] else ():
            if member["role"] in ZEROED:
                tensor = arrays[member["tensor"]]
                array = numpy_helper.to_array(tensor).copy()
                array[along(member, group["cut"])] = 0
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def deleted(model, plan):
    """The arrays that the plan leaves of the tensors it touches, by name."""
    gone = {}
    for group in plan["classes"]:
        for member in group["members"] if group["cut"] else ():
            gone.setdefault(member["tensor"], {}).setdefault(member["axis"], []).extend(indices(member, group["cut"]))
    arrays, left = tensors(model), {}
    for name, axes in gone.items():
        left[name] = numpy_helper.to_array(arrays[name])
        for axis, places in axes.items():
            left[name] = np.delete(left[name], places, axis)
    return left


def compare_files(before, after, plan):
    """What differs between two models that should not."""
    wrong, expected = [], deleted(before, plan)
    old, new = tensors(before), tensors(after)
    wrong += [f"tensor {name!r} is gone" for name in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        if name in expected:
            found = numpy_helper.to_array(new[name])
            if found.dtype != expected[name].dtype or found.shape != expected[name].shape:
                wrong.append(
                    f"{name!r} is {found.dtype} {found.shape}, expected {expected[name].dtype} {expected[name].shape}"
                )
            elif (bits(found) != bits(expected[name])).any():
                wrong.append(f"{name!r} holds other values")
        elif old[name].data_type == TensorProto.INT64:
            continue  # shapes, which `compare_graphs` looks at
        elif old[name].SerializeToString() != new[name].SerializeToString():
            wrong.append(f"{name!r} is untouched, and other bytes")
    names = [[t.name for t in model.graph.initializer if t.data_type != TensorProto.INT64] for model in (before, after)]
    if names[0] != names[1]:
        wrong.append("initializers are in another order")
    return wrong + compare_graphs(before, after, expected)


def compare_graphs(before, after, touched):
    """What differs beside the weights. `group` of a node with a weight that is cut may, and so may numbers of shapes, which
    running the models checks; a shape's Constant may become an initializer."""
    wrong = []
    shapes = [
        {name: numpy_helper.to_array(t) for name, t in tensors(model).items() if t.data_type == TensorProto.INT64}
        for model in (before, after)
    ]
    reshaped = {name for node in before.graph.node if node.op_type in TAKES_SHAPES for name in node.input}
    for name, old in shapes[0].items():
        new = shapes[1].get(name, np.array(0))
        if not np.array_equal(old, new) and (name not in reshaped or old.shape != new.shape):
            wrong.append(f"integers {name!r} are other ones")
    nodes = [
        [node for node in model.graph.node if node.output[0] not in held]
        for model, held in zip((before, after), shapes)
    ]
    if len(nodes[0]) != len(nodes[1]):
        return [*wrong, f"{len(nodes[0])} nodes became {len(nodes[1])}"]
    for old, new in zip(*nodes):
        old, new = copy_node(old), copy_node(new)
        for node in old, new:
            if any(name in touched for name in node.input) and node.op_type in ("Conv", "ConvTranspose"):
                for attribute in node.attribute:
                    attribute.i = 0 if attribute.name == "group" else attribute.i
            if node.op_type == "Constant" and node.output[0] in touched:
                del node.attribute[:]
            if node.op_type in TAKES_SHAPES:
                node.input[:] = ["" if name in reshaped or name in shapes[1] else name for name in node.input]
        if old.SerializeToString(deterministic=True) != new.SerializeToString(deterministic=True):
            wrong.append(f"node {old.name!r} ({old.op_type}) is another one")
    added = {t.name for t in after.graph.initializer} - {
        t.name for t in before.graph.initializer
    }  # a shape, among old inputs
    old, new = ({entry.key: entry.value for entry in model.metadata_props} for model in (before, after))
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key) and key != "secateur.channels":
            wrong.append(f"metadata {key!r} was {old.get(key)!r}, is {new.get(key)!r}")
    for field in "ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string":
        if getattr(before, field) != getattr(after, field):
            wrong.append(f"{field} is another one")
    for what, (a, b) in {
        "opset_import": (before.opset_import, after.opset_import),
        "functions": (before.functions, after.functions),
        "outputs": (before.graph.output, after.graph.output),
        "inputs": [
            [v for v in m.graph.input if v.name not in touched and v.name not in added] for m in (before, after)
        ],
    }.items():
        if [m.SerializeToString() for m in a] != [m.SerializeToString() for m in b]:
            wrong.append(f"{what} are other ones")
    if (before.graph.name, before.graph.doc_string) != (after.graph.name, after.graph.doc_string):
        wrong.append("the graph's name or text is another one")
    if gone := {v.name for v in before.graph.value_info} - {v.name for v in after.graph.value_info}:
        wrong.append(f"value_info of {sorted(gone)[:3]} is gone")
    return wrong


def copy_node(node):
    return onnx.NodeProto.FromString(node.SerializeToString())


def parameters(model):
    """Names of what is learnt: floats that operators with weights take, but running statistics, and factors, summands and slopes
    that are more than one number. Of operators that are not ONNX's own, all."""
    arrays, found = tensors(model), set()
    same = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type in ("Identity", "Cast")}
    for node in model.graph.node:
        taken = [
            same.get(name, name) for name in (node.input[:3] if node.op_type == "BatchNormalization" else node.input)
        ]
        found |= {
            name
            for name in taken
            if name in arrays
            and arrays[name].data_type in FLOATS
            and (
                node.op_type in WEIGHTED
                or node.domain not in ("", "ai.onnx")
                or node.op_type in FACTORS
                and math.prod(arrays[name].dims) > 1
            )
        }
    return found


def count(model, names):
    """The elements of these tensors."""
    return sum(math.prod(tensor.dims) for name, tensor in tensors(model).items() if name in names)


def macs(model):
    """Multiply-accumulate operations for one sample, by the output of each Conv, ConvTranspose, Gemm and MatMul with a
    constant; None where a shape is not known."""
    inferred = onnx.shape_inference.infer_shapes(with_sample(model), data_prop=True)
    shapes = {name: list(t.dims) for name, t in tensors(inferred).items()}
    for value in [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]:
        if value.name not in shapes and value.type.tensor_type.HasField("shape"):
            shapes[value.name] = [
                d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
            ]
    constants, found = tensors(inferred), {}
    for node in inferred.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        if node.input[1] not in constants:
            if node.op_type != "MatMul":
                found[node.output[0]] = None  # a weight that is computed
            continue
        weight, x, y = (shapes.get(name) for name in (node.input[1], node.input[0], node.output[0]))
        found[node.output[0]] = None
        if x is None or y is None or None in x[1:] or None in y[1:]:
            continue
        if node.op_type == "Conv":
            found[node.output[0]] = math.prod(y[2:]) * math.prod(weight)
        elif node.op_type == "ConvTranspose":
            found[node.output[0]] = math.prod(x[2:]) * math.prod(weight)
        else:
            found[node.output[0]] = math.prod(y[1:-1]) * math.prod(weight)
    return found


def with_sample(model):
    """A copy whose inputs' open first axis is 1."""
    model = copied(model)
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1
    return model


def asked(rate, count):
    """Half to even, and at least one channel stays."""
    return min(round(rate * count), max(count - 1, 0))


def rounded(kept, count, to):
    return min(count, -(-kept // to) * to)


def groups(model, member, channels):
    """The weights of each channel of a member, as rows in f64."""
    array = np.moveaxis(numpy_helper.to_array(tensors(model)[member["tensor"]]).astype(np.float64), member["axis"], 0)
    rows = array[indices(member, range(channels))]
    return rows.reshape(channels, -1)


def badly_chosen(model, group, criterion, smallest):
    """Whether a channel that stays has clearly a lower score than one that is cut, by its first weight alone."""
    scores = SCORES[criterion](groups(model, group["members"][0], group["channels"])) * (-1 if smallest else 1)
    cut = np.isin(np.arange(group["channels"]), group["cut"])
    if not cut.any() or cut.all() or not np.isfinite(scores).all():
        return False
    return scores[cut].max() > scores[~cut].min() + 1e-9 * abs(scores).max()
