"""One small network in the many forms that files take. Part of `onnx_graphs.py`."""

import numpy as np
import onnx
from ml_dtypes import bfloat16
from onnx import TensorProto, helper

from onnx_builder import elements

MODELS = {}


def form(change=None, name=None, **options):
    """A model of the network below; `change(net)` runs before it is made."""

    def add(change):
        def make(net):
            for key, value in options.items():
                setattr(net, key, value)
            after = change(net)
            network(net)
            return after

        MODELS[name or change.__name__] = make
        return change

    return add(change) if change else add


def network(net, batch="N", size=8):
    """Convolutions with normalization, a flattening, two layers, in the words of the operator set at hand."""
    x = net.bn(net.conv(net.input([batch, 3, size, size]), 8, name="conv1", bias=False))
    if net.opset < 11:
        x = net.op("Clip", x, min=0.0, max=6.0)
        x = net.op("Pad", x, pads=[0, 0, 1, 1, 0, 0, 1, 1])
    else:
        x = net.op("Clip", x, net.floats(0), net.floats(6))
        x = net.op("Pad", x, net.constant([0, 0, 1, 1, 0, 0, 1, 1]))
    x = net.pool(net.conv(x, 10, name="conv2"))
    x = net.op("Dropout", net.relu(x))
    if net.opset < 13:
        x = net.op("Squeeze", net.op("Unsqueeze", net.flat(x, 25), axes=[2]), axes=[2])
    else:
        x = net.op("Squeeze", net.op("Unsqueeze", net.flat(x, 25), net.constant([2])), net.constant([2]))
    x = net.relu(net.gemm(x, 12, "fc1"))
    net.output(net.op("Softmax", net.gemm(x, 5, "fc2"), axis=1))
    net.can("conv1 conv2 fc1", "fc2")


for version, ir in (9, 4), (11, 6), (13, 7), (17, 8), (21, 10):
    form(lambda net: None, f"opset_{version}", opset=version, ir=ir)


@form(ir=3, opset=8)
def initializers_among_the_inputs(net):
    def after(model):
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        return model

    return after


@form(ir=3, opset=8)
def inputs_all_listed_first(net):
    def after(model):
        image = list(model.graph.input)
        del model.graph.input[:]
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        model.graph.input.extend(image)
        return model

    return after


@form(ir=3, opset=9)
def reshape_among_old_inputs(net):
    """Where initializers have to be inputs, new ones have to be, too."""
    x = net.pool(net.conv(net.input(["N", 1, 8, 8], "image"), 6, name="side"))
    x = net.op("Reshape", x, net.constant([-1, 96]))
    net.output(net.gemm(x, 4, "side_fc", fan_in=96))
    net.can("side", "side_fc")
    return initializers_among_the_inputs(net)


@form(weights_as_nodes=True)
def weights_as_nodes(net):
    pass


@form(dtype=np.float16)
def f16(net):
    pass


@form(dtype=bfloat16, runs="as float", opset=22, ir=10)
def bf16(net):
    pass


@form(dtype=np.float64, runs="as float")
def f64(net):
    pass


def cast_weights(net, dtype):
    """Weights are kept narrow, and cast where they are used."""

    def after(model):
        nodes = list(model.graph.node)
        del model.graph.node[:]
        for tensor in list(model.graph.initializer):
            narrow = onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(tensor).astype(dtype), f"{tensor.name}.narrow"
            )
            model.graph.node.append(helper.make_node("Cast", [narrow.name], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(narrow)
        model.graph.node.extend(nodes)
        return model

    net.free = net.either  # a program need not see through a Cast
    return after


@form
def f16_weights_cast(net):
    return cast_weights(net, np.float16)


@form
def bf16_weights_cast(net):
    return cast_weights(net, bfloat16)


def typed(array, name):
    """As a list of numbers in the field of its type."""
    kind, flat = elements(array.dtype), array.reshape(-1)
    if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        made = TensorProto(name=name, data_type=kind, dims=array.shape)
        made.int32_data.extend(flat.view(np.uint16).tolist())
        return made
    return helper.make_tensor(name, kind, array.shape, flat.tolist())


for dtype in np.float32, np.float16, bfloat16, np.float64:
    form(
        lambda net: setattr(net, "store", typed),
        f"typed_{np.dtype(dtype).name}",
        dtype=dtype,
        opset=22,
        ir=10,
        runs="as float" if dtype in (bfloat16, np.float64) else "onnxruntime",
    )


@form
def typed_shapes(net):
    """A shape as int64_data."""
    net.store = typed
    x = net.pool(net.conv(net.input(["N", 1, 8, 8], "image"), 6, name="side"))
    x = net.op("Reshape", x, net.tensor("shape", np.array([-1, 96])))
    net.output(net.gemm(x, 4, "side_fc", fan_in=96))
    net.can("side", "side_fc")


def external(model, path, threshold=0, files=1):
    """Saves tensors beside the model, in so many files. They are new: onnx appends to what is there."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for old in path.parent.glob(f"{path.stem}*.data"):
        old.unlink()
    for i, tensor in enumerate(model.graph.initializer):
        if len(tensor.raw_data) >= threshold:
            name = f"{path.stem}.data" if files == 1 else f"{path.stem}.{i % files}.data"
            onnx.external_data_helper.set_external_data(tensor, name)
    onnx.external_data_helper.write_external_data_tensors(model, str(path.parent))
    path.write_bytes(model.SerializeToString())


def network_of(name, **options):
    """A form whose file is written by `external`."""

    def change(net):
        net.save = lambda model, path: external(model, path, **options)

    form(change, name)


network_of("external")
network_of("external_large_alone", threshold=1024)
network_of("external_in_3_files", files=3)


@form
def value_info(net):
    return lambda model: onnx.shape_inference.infer_shapes(model, strict_mode=True)


@form
def metadata(net):
    def after(model):
        helper.set_model_props(model, {"author": "nobody", "größe": "klein ", "secateur.unknown": "{}"})
        model.doc_string, model.graph.doc_string, model.domain, model.model_version = (
            "a model",
            "a graph",
            "org.example",
            7,
        )
        model.graph.node[0].doc_string = "the first"
        model.graph.initializer[0].doc_string = "a weight"
        return model

    return after


@form
def unusual_names(net):
    spelled = {
        "conv1.weight": "/conv 1/“weight”\\'\"",
        "conv2.weight": "重み[0]*?",
        "fc1.weight": "../fc1,weight;=#",
        "x": "x y",
    }
    net.rename = lambda name: spelled.get(name, f"ü {name}/…")


@form(runs="no")
def unknown_operator(net):
    """Everything that meets it must stay."""
    net.domains["org.example"] = 1
    x = net.conv(net.input(["N", 3, 8, 8], "image"), 6, name="side1")
    x = net.op("Twice", net.op("Tanh", x), domain="org.example", factor=2.0)
    net.output(net.conv(net.relu(net.conv(x, 7, name="side2")), 4, name="side3"))
    net.shapes[net.outputs[-1]] = ["N", 4, 8, 8]
    net.can(frozen="side1 side3", either="side2")


@form
def local_function(net):
    """An operator that the model itself defines."""
    net.domains["local"] = 1
    body = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4), helper.make_node("Relu", ["y"], ["z"])]
    net.functions.append(
        helper.make_function("local", "ConvRelu", ["x", "w"], ["z"], body, [helper.make_opsetid("", 17)])
    )
    x = net.conv(net.input(["N", 3, 8, 8], "image"), 6, name="side1")
    x = net.op("ConvRelu", x, net.tensor("side2.weight", net.kernel(7, 6, 3)), domain="local", width=7)
    net.output(net.conv(x, 4, name="side3"))
    net.can(frozen="side3", either="side1 side2")


@form(checks=False)
def domain_spelled_out(net):
    def after(model):
        for node in model.graph.node:
            node.domain = "ai.onnx"
        model.opset_import[0].domain = "ai.onnx"
        return model

    return after


def shaped(batch, size, name):
    def make(net):
        x = net.bn(net.conv(net.input([batch, 3, size, size]), 8, name="conv1"))
        x = net.pool(net.op("Elu", x))
        net.head(net.relu(net.conv(x, 10, name="conv2")))
        net.can("conv1 conv2")

    MODELS[name] = make


shaped(2, 8, "dims_fixed")
shaped("batch", "side", "dims_symbolic")
shaped(None, None, "dims_unknown")


@form
def nodes_without_names(net):
    def after(model):
        for node in model.graph.node:
            node.name = ""
        return model

    return after
