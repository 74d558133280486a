"""Networks whose channels meet: branches, sums, concatenations, flattenings. Part of `onnx_graphs.py`."""

import numpy as np
from onnx import TensorProto, helper

from onnx_builder import FLOAT

MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def start(net, width=8, size=8, batch="N"):
    """An image, and a first convolution."""
    return net.relu(net.conv(net.input([batch, 3, size, size]), width, name="stem"))


@model
def concat(net):
    x = start(net)
    a, b = (net.relu(net.conv(x, out, name=name)) for name, out in (("a", 6), ("b", 5)))
    x = net.op("Concat", a, b, a, axis=1, width=17)
    net.head(net.relu(net.conv(x, 7, name="last")))
    net.can("stem a b last")


@model
def concat_negative_axis_then_flatten(net):
    x = start(net, size=4)
    a, b = net.conv(x, 4, name="a"), net.relu(net.conv(x, 6, name="b"))
    x = net.flat(net.op("Concat", a, b, axis=-3, width=10), 16)
    net.output(net.gemm(net.relu(net.gemm(x, 12, "fc1")), 5, "fc2"))
    net.can("stem a b fc1", "fc2")


@model
def concat_of_flattened(net):
    x = start(net, size=4)
    a = net.flat(net.conv(x, 4, name="a"), 16)
    b = net.flat(net.pool(net.conv(x, 6, name="b")), 4)
    x = net.op("Concat", a, b, axis=1, width=64 + 24)
    net.output(net.gemm(x, 5))
    net.can("stem a b", "fc")


@model
def concat_and_add(net):
    x = start(net)
    a, b = net.conv(x, 4, name="a"), net.conv(x, 6, name="b")
    x = net.op("Concat", a, b, axis=1, width=10)
    x = net.op("Add", x, net.conv(net.relu(x), 10, name="c"))
    net.head(net.conv(x, 6, name="last"))
    net.can("stem a b last")


@model
def dense_block(net):
    x = net.conv(net.input(["N", 3, 8, 8]), 8, name="stem")
    for i in range(3):
        y = net.conv(net.relu(net.bn(x, f"bn{i}")), 4, name=f"grow{i}", bias=False)
        x = net.op("Concat", x, y, axis=1, width=net.width[x] + 4)
    net.head(net.relu(net.bn(x, "last")))
    net.can("stem grow0 grow1 grow2")


def depthwise(net, multiplier):
    x = start(net)
    x = net.conv(x, 8 * multiplier, name="depthwise", group=8)
    x = net.relu(net.bn(x))
    net.head(net.conv(x, 10, 1, "pointwise"))
    net.can("stem pointwise")


@model
def depthwise_1(net):
    depthwise(net, 1)


@model
def depthwise_2(net):
    depthwise(net, 2)


@model
def depthwise_of_the_input(net):
    x = net.conv(net.input(["N", 3, 8, 8]), 3, name="depthwise", group=3)
    net.head(net.conv(net.relu(x), 8, name="conv1"))
    net.can("conv1", "depthwise")


@model
def inverted_residual(net):
    x = start(net)
    for i in range(2):
        y = net.op(
            "Clip", net.bn(net.conv(x, 16, 1, f"expand{i}", bias=False), f"bn{i}a"), net.floats(0), net.floats(6)
        )
        y = net.op("HardSwish", net.bn(net.conv(y, 16, 3, f"depthwise{i}", group=16, bias=False), f"bn{i}b"))
        x = net.op("Add", x, net.bn(net.conv(y, 8, 1, f"project{i}", bias=False), f"bn{i}c"))
    net.head(x)
    net.can("stem expand0 expand1")


def block(net, x, width, name, stride=1):
    y = net.relu(net.bn(net.conv(x, width, name=f"{name}.conv1", bias=False, strides=[stride] * 2), f"{name}.bn1"))
    y = net.bn(net.conv(y, width, name=f"{name}.conv2", bias=False), f"{name}.bn2")
    if stride != 1:
        x = net.bn(net.conv(x, width, 1, f"{name}.shortcut", bias=False, strides=[stride] * 2), f"{name}.bn3")
    return net.relu(net.op("Add", y, x))


@model
def residual(net):
    x = net.relu(net.bn(net.conv(net.input(["N", 3, 8, 8]), 8, name="stem", bias=False), "bn"))
    for name in "b1", "b2", "b3":
        x = block(net, x, 8, name)
    x = block(net, block(net, x, 12, "b4", 2), 12, "b5")
    net.head(x)
    net.can("stem b1.conv1 b2.conv1 b3.conv1 b4.conv1 b4.conv2 b5.conv1")


@model
def residual_with_the_input(net):
    x = net.input(["N", 3, 8, 8])
    x = net.op("Add", net.conv(net.relu(net.conv(x, 8, name="conv1")), 3, name="conv2"), x)
    net.head(net.conv(x, 6, name="conv3"))
    net.can("conv1 conv3", "conv2")


@model
def residual_without_bn_broadcast(net):
    """A vector of channels is added to and multiplied with maps."""
    x = start(net)
    gate = net.conv(net.op("GlobalAveragePool", x), 8, 1, "vector")
    y = net.op("Mul", net.conv(x, 8, name="map"), gate)
    net.head(net.op("Sub", net.op("Add", y, gate), x))
    net.can("stem")


@model
def sums_of_several(net):
    x = start(net)
    parts = [net.conv(x, 6, name=name) for name in "abc"]
    y = net.op("Max", net.op("Sum", *parts), net.op("Mean", parts[0], parts[1]), net.op("Min", parts[1], parts[2]))
    net.head(net.relu(net.conv(y, 6, name="last")))
    net.can("stem a last")


@model
def flatten_after_pool(net):
    x = net.pool(net.relu(net.conv(net.input(["N", 1, 12, 12]), 6, name="conv1")))
    x = net.pool(net.relu(net.conv(x, 10, name="conv2")))
    x = net.relu(net.gemm(net.flat(x, 9), 20, "fc1"))
    net.output(net.gemm(x, 7, "fc2"))
    net.can("conv1 conv2 fc1", "fc2")


@model
def flatten_bn_after(net):
    """Normalization of flattened maps has a value for each column."""
    x = net.relu(net.conv(net.input(["N", 2, 4, 4]), 6, name="conv1"))
    net.output(net.gemm(net.bn(net.flat(x, 16)), 5, "fc"))
    net.can("conv1", "fc")


@model
def two_heads(net):
    x = start(net)
    a, b = net.relu(net.conv(x, 6, name="a")), net.relu(net.conv(x, 6, name="b"))
    net.head(a, "fc_a")
    net.output(net.conv(b, 4, 1, "map"))
    net.can("stem a b", "map")


@model
def a_feature_is_an_output(net):
    x = start(net)
    y = net.relu(net.conv(x, 6, name="a"))
    net.output(y)
    net.head(net.relu(net.conv(y, 6, name="b")))
    net.can("stem b", "a")


@model
def squeeze_excite(net):
    x = start(net)
    for i, gate in enumerate(["Sigmoid", "HardSigmoid"]):
        s = net.relu(net.conv(net.op("GlobalAveragePool", x), 4, 1, f"down{i}"))
        x = net.op("Mul", x, net.op(gate, net.conv(s, 8, 1, f"up{i}")))
    net.head(net.relu(net.conv(x, 6, name="last")))
    net.can("stem down0 down1 last")


@model
def squeeze_excite_by_layers(net):
    x = start(net)
    s = net.op("Squeeze", net.op("ReduceMean", x, axes=[2, 3]), net.constant([2, 3]))
    s = net.op("Sigmoid", net.gemm(net.relu(net.gemm(s, 4, "down")), 8, "up"))
    x = net.op("Mul", net.op("Unsqueeze", s, net.constant([2, 3])), x)
    net.head(net.relu(net.conv(x, 6, name="last")))
    net.can("down last", either="stem")


@model
def unet(net):
    full = start(net)
    half = net.relu(net.conv(net.pool(full), 12, name="half"))
    quarter = net.relu(net.conv(net.pool(half), 16, name="quarter"))
    up = net.op("Resize", quarter, "", net.floats([1, 1, 2, 2]), mode="nearest")
    x = net.relu(net.conv(net.op("Concat", up, half, axis=1, width=28), 12, name="join1"))
    up = net.transposed(x, 8, name="up")
    x = net.relu(net.conv(net.op("Concat", full, up, axis=1, width=16), 8, name="join2"))
    net.output(net.conv(x, 2, 1, "mask"))
    net.can("stem half quarter join1 up join2", "mask")


@model
def unet_sizes_from_shape(net):
    full = start(net)
    low = net.relu(net.conv(net.pool(full), 8, name="half"))
    shape = net.op("Shape", full)
    sizes = [
        net.op("Slice", net.op("Shape", low), net.constant([0]), net.constant([2]), net.constant([0])),
        net.op("Slice", shape, net.constant([2]), net.constant([4]), net.constant([0])),
    ]
    up = net.op("Resize", low, "", "", net.op("Concat", *sizes, axis=0), mode="linear", width=8)
    net.output(net.conv(net.relu(net.op("Add", up, full)), 2, 1, "mask"))
    net.can(frozen="mask", either="stem half")


@model
def shared_weights(net):
    x = start(net)
    a, b = net.relu(net.conv(x, 6, name="a")), net.relu(net.conv(x, 6, name="b"))
    weight, bias = net.tensor("shared.weight", net.kernel(5, 6, 3)), net.tensor("shared.bias", net.normal(5))
    a, b = (net.op("Conv", y, weight, bias, pads=[1] * 4, width=5) for y in (a, b))
    net.head(net.conv(net.op("Concat", a, b, axis=1, width=10), 6, name="last"))
    net.can("stem last", either="a b shared")


@model
def shared_bias(net):
    x = net.input(["N", 3, 8, 8])
    bias = net.tensor("bias", net.normal(6))
    a, b = (
        net.op("Conv", x, net.tensor(f"{name}.weight", net.kernel(6, 3, 3)), bias, pads=[1] * 4, width=6)
        for name in "ab"
    )
    net.head(net.conv(net.op("Concat", a, b, axis=1, width=12), 6, name="last"))
    net.can("last", either="a b")


@model
def weight_used_elsewhere(net):
    """The sum of a weight is a result, and it is all of it."""
    x = start(net)
    weight = net.tensor("seen.weight", net.kernel(6, 8, 3))
    net.head(net.op("Conv", x, weight, pads=[1] * 4, width=6))
    net.output(net.op("ReduceSum", net.op("Abs", weight), keepdims=0))
    net.can(frozen="seen stem")


@model
def unused_parts(net):
    """A node and an initializer that nothing uses."""
    x = start(net)
    net.tensor("unused.weight", net.normal(4, 4))
    net.op("Sigmoid", x)
    net.head(net.conv(x, 6, name="last"))
    net.can("last", either="stem")


@model
def branches_of_if(net):
    """Graphs inside a node use a value from outside."""
    x = start(net)
    y = net.conv(x, 6, name="inside")
    graphs = []
    for kind in "Relu", "Sigmoid":
        out = helper.make_tensor_value_info(f"{kind}_out", FLOAT, None)
        graphs.append(helper.make_graph([helper.make_node(kind, [y], [f"{kind}_out"])], kind, [], [out]))
    net.inputs.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    z = net.op("If", "flag", then_branch=graphs[0], else_branch=graphs[1], width=6)
    net.head(net.relu(net.conv(z, 6, name="last")))
    net.can("stem", "inside")


@model
def weight_used_in_if(net):
    """A graph inside a node uses an initializer."""
    x = start(net)
    y = net.conv(x, 6, name="conv1")
    graphs = []
    for kind in "Abs", "Neg":
        nodes = [
            helper.make_node(kind, ["conv1.bias"], [f"{kind}_1"]),
            helper.make_node("ReduceSum", [f"{kind}_1"], [f"{kind}_out"], keepdims=0),
        ]
        graphs.append(helper.make_graph(nodes, kind, [], [helper.make_tensor_value_info(f"{kind}_out", FLOAT, [])]))
    net.inputs.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    z = net.op("If", "flag", then_branch=graphs[0], else_branch=graphs[1])
    net.head(net.relu(y))
    net.output(z)
    net.can("stem", "conv1")


@model
def attention(net):
    """One head over a sequence, and a layer of two parts."""
    x = net.input(["N", 6, 8], channels=8)
    x = net.matmul(x, 12, "embed")
    h = layer_norm(net, x, "norm1")
    q, k, v = (net.matmul(h, 12, name) for name in ("q", "k", "v"))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1]), width=6)
    scores = net.op("Softmax", net.op("Div", scores, net.floats(np.sqrt(12))), axis=-1)
    x = net.op("Add", x, net.matmul(net.op("MatMul", scores, v, width=12), 12, "o"))
    h = net.relu(net.matmul(layer_norm(net, x, "norm2"), 20, "ff1"))
    x = net.op("Add", x, net.matmul(h, 12, "ff2"))
    net.output(net.matmul(net.op("ReduceMean", x, axes=[1], keepdims=0), 5, "fc"))
    net.can(frozen="embed fc", either="q k v ff1")


def layer_norm(net, x, name):
    width = net.width[x]
    return net.op(
        "LayerNormalization",
        x,
        net.tensor(f"{name}.weight", net.normal(width) + 1),
        net.tensor(f"{name}.bias", net.normal(width)),
        axis=-1,
    )
