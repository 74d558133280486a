"""Networks of fully connected layers, and the ways in which maps become columns. Part of `onnx_graphs.py`."""

import numpy as np

from onnx_graphs_operators import SHAPES_UNKNOWN

MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


@model
def gemm_forms(net):
    x = net.input(["N", 10])
    x = net.relu(net.gemm(x, 12, "a", transposed=False, alpha=0.5, beta=2.0))
    x = net.relu(net.gemm(x, 11, "b", alpha=2.0, transA=0))
    x = net.relu(
        net.op(
            "Gemm",
            x,
            net.tensor("c.weight", net.normal(9, 11)),
            net.tensor("c.bias", net.normal(1, 9)),
            transB=1,
            width=9,
        )
    )
    x = net.relu(net.gemm(x, 8, "d", bias=False))
    net.output(net.gemm(x, 5, "e"))
    net.can("a b c d", "e")


@model
def gemm_with_one_bias_for_all(net):
    x = net.relu(
        net.op(
            "Gemm",
            net.input(["N", 10]),
            net.tensor("a.weight", net.normal(12, 10)),
            net.tensor("a.bias", net.normal(1)),
            transB=1,
            width=12,
        )
    )
    net.output(net.gemm(x, 5, "b"))
    net.can(frozen="a b")


@model
def gemm_transposed_input(net):
    x = net.relu(net.gemm(net.input(["N", 10]), 12, "a"))
    x = net.op(
        "Gemm", net.op("Transpose", x, perm=[1, 0]), net.tensor("b.weight", net.normal(5, 12)), transA=1, transB=1
    )
    net.output(x)
    net.can(frozen="b", either="a")


@model
def matmul_add(net):
    x = net.flat(net.pool(net.relu(net.conv(net.input(["N", 1, 8, 8]), 4, name="conv1"))), 16)
    x = net.relu(net.matmul(x, 12, "a"))
    net.output(net.matmul(net.relu(net.matmul(x, 9, "b", bias=False)), 5, "c"))
    net.can("conv1 a b", "c")


@model
def matmul_3d(net):
    x = net.relu(net.matmul(net.input(["N", 5, 12], channels=12), 16, "a"))
    y = net.op("Tanh", net.matmul(x, 20, "b"))
    x = net.op("Add", x, net.matmul(y, 16, "c"))
    net.output(net.matmul(x, 5, "d"))
    net.can("a b", "d")


@model
def matmul_left(net):
    """The constant is the left factor: it mixes positions, not channels."""
    x = net.relu(net.matmul(net.input(["N", 5, 12], channels=12), 16, "a"))
    x = net.op("MatMul", net.tensor("left", net.normal(5, 5)), x, width=16)
    net.output(net.matmul(x, 5, "b"))
    net.can(frozen="b", either="a")


@model
def product_of_activations(net):
    x = net.input(["N", 5, 12], channels=12)
    a, b = net.matmul(x, 8, "a"), net.matmul(x, 8, "b")
    net.output(net.op("MatMul", a, net.op("Transpose", b, perm=[0, 2, 1])))
    net.can(either="a b")


@model
def layer_norm_of_a_layer(net):
    x = net.matmul(net.input(["N", 5, 12], channels=12), 16, "a")
    x = net.op(
        "LayerNormalization",
        x,
        net.tensor("norm.weight", net.normal(16)),
        net.tensor("norm.bias", net.normal(16)),
        axis=-1,
    )
    net.output(net.matmul(net.relu(net.matmul(x, 8, "b")), 5, "c"))
    net.can("b", "a c")


@model
def lstm(net):
    x = net.relu(net.matmul(net.input([5, "N", 6], channels=6), 7, "a"))
    gates = [net.tensor(f"lstm.{name}", net.normal(1, 16, width, scale=0.4)) for name, width in (("w", 7), ("r", 4))]
    x = net.op("LSTM", x, *gates, hidden_size=4, width=4, outputs=2)[0]
    net.output(net.matmul(net.op("Squeeze", x, net.constant([1])), 5, "b"))
    net.can(frozen="a b")


def flattened(name, reshape, expected="free", batch="N", columns=160, opset=17):
    """A model: maps of 10 channels, 4 × 4 each, to columns."""

    def make(net):
        net.opset = opset
        x = net.pool(net.relu(net.conv(net.input([batch, 1, 8, 8]), 10, name="conv1")))
        net.output(net.gemm(net.relu(net.gemm(reshape(net, x), 12, "fc1", fan_in=columns)), 5, "fc2"))
        net.can(frozen="fc2", **{"either" if name in SHAPES_UNKNOWN else "free": "fc1"})
        net.can(**{expected: "conv1"})

    MODELS[name] = make


def batch_of(net, x):
    return net.op("Gather", net.op("Shape", x), net.constant(0))


def unsqueezed(net, x):
    return net.op("Unsqueeze", x, net.constant([0]))


flattened(
    "reshape_by_shape",
    lambda net, x: net.op(
        "Reshape", x, net.op("Concat", unsqueezed(net, batch_of(net, x)), net.constant([-1]), axis=0)
    ),
)
flattened(
    "reshape_by_slice_of_shape",
    lambda net, x: net.op(
        "Reshape",
        x,
        net.op(
            "Concat",
            net.op("Slice", net.op("Shape", x), net.constant([0]), net.constant([1])),
            net.constant([160]),
            axis=0,
        ),
    ),
    "either",
)
flattened(
    "reshape_by_products_of_shape",
    lambda net, x: net.op(
        "Reshape",
        x,
        net.op(
            "Concat",
            unsqueezed(net, batch_of(net, x)),
            net.op("ReduceProd", net.op("Slice", net.op("Shape", x), net.constant([1]), net.constant([4])), keepdims=1),
            axis=0,
        ),
    ),
    "either",
)
flattened("reshape_n", lambda net, x: net.op("Reshape", x, net.constant([2, 160])), batch=2)
flattened("reshape_rest", lambda net, x: net.op("Reshape", x, net.constant([-1, 160])))
flattened("reshape_copied", lambda net, x: net.op("Reshape", x, net.constant([0, -1])))
flattened("reshape_initializer", lambda net, x: net.op("Reshape", x, net.tensor("shape", np.array([-1, 160]))))
flattened(
    "reshape_twice",
    lambda net, x: net.op("Reshape", net.op("Reshape", x, net.constant([0, 10, -1])), net.constant([0, 160])),
)
flattened("reshape_to_other_rows", lambda net, x: net.op("Reshape", x, net.constant([-1, 80])), "frozen", columns=80)
flattened(
    "reshape_splits_channels",
    lambda net, x: net.op("Flatten", net.op("Reshape", x, net.constant([0, 5, 32]))),
    "either",
)
flattened("flatten_negative_axis", lambda net, x: net.op("Flatten", x, axis=-3), opset=13)
flattened(
    "flatten_axis_2", lambda net, x: net.op("Reshape", net.op("Flatten", x, axis=2), net.constant([-1, 160])), "either"
)
flattened("flatten_axis_0", lambda net, x: net.op("Flatten", x, axis=0), "either", batch=1)
flattened(
    "flatten_channels_last", lambda net, x: net.op("Flatten", net.op("Transpose", x, perm=[0, 2, 3, 1])), "either"
)
flattened(
    "squeeze_after_pool",
    lambda net, x: net.op("Squeeze", net.op("GlobalAveragePool", x), net.constant([2, -1])),
    columns=10,
)
flattened(
    "squeeze_all", lambda net, x: net.op("Squeeze", net.op("GlobalAveragePool", x)), "either", columns=10, batch=2
)
flattened("reduce_mean", lambda net, x: net.op("ReduceMean", x, axes=[-1, 2], keepdims=0), columns=10)
flattened(
    "reduce_mean_opset_18",
    lambda net, x: net.op("ReduceMean", x, net.constant([2, 3]), keepdims=0),
    columns=10,
    opset=18,
)
flattened(
    "reduce_several",
    lambda net, x: net.op(
        "Add", net.op("ReduceMax", x, axes=[2, 3], keepdims=0), net.op("ReduceL2", x, axes=[2, 3], keepdims=0)
    ),
    columns=10,
)
flattened("average_pool_of_all", lambda net, x: net.op("Flatten", net.pool(x, 4, "AveragePool")), columns=10)
flattened(
    "spatial_matmul",
    lambda net, x: net.op(
        "Reshape",
        net.op("MatMul", net.op("Reshape", x, net.constant([0, 10, 16])), net.tensor("mix", net.normal(16, 1))),
        net.constant([0, 10]),
    ),
    "either",
    columns=10,
)


@model
def conv_1d(net):
    x = net.relu(net.bn(net.conv(net.input(["N", 3, 20]), 6, name="conv1", dims=1)))
    x = net.op("MaxPool", net.conv(x, 8, name="conv2", dims=1, group=2), kernel_shape=[2], strides=[2])
    x = net.relu(net.conv(x, 8, name="conv3", dims=1))
    net.output(net.gemm(net.flat(x, 10), 5, "fc"))
    net.can("conv3", "conv1 conv2 fc")


@model
def conv_3d(net):
    x = net.relu(net.bn(net.conv(net.input(["N", 2, 4, 6, 6]), 6, name="conv1", dims=3)))
    x = net.op("MaxPool", net.conv(x, 8, name="conv2", dims=3), kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    net.output(net.gemm(net.flat(x, 18), 5, "fc"))
    net.can("conv1 conv2", "fc")
