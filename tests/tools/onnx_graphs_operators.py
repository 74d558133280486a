"""Networks around one operator each: what lets channels through, and what must keep them. Part of `onnx_graphs.py`."""

import numpy as np

from onnx_builder import DOUBLE
from onnx_graphs_flow import start

MODELS = {}


# Operators of which a program need not know the shape of what they make: then nothing can be said of what follows.
SHAPES_UNKNOWN = """divided_by_channels one_divided_by_channels normalised_over_channels power_0 where depth_to_space tile
expand arg_max max_pool_with_indices weight_computed reshape_by_products_of_shape""".split()


def between(name, through, expected="free", **options):
    """A model: two convolutions, and something between them."""

    def make(net):
        x = start(net, **options)
        y = net.conv(x, 6, name="before")
        net.head(net.relu(net.conv(through(net, y), 7, name="after")))
        net.can("stem", either="after") if name in SHAPES_UNKNOWN else net.can("stem after")
        net.can(**{expected: "before"})

    MODELS[name] = make
    return make


def several(name, kinds, expected="free", opset=17, ir=8):
    """A model: convolutions with such operators between them."""

    def make(net):
        net.opset, net.ir = opset, ir
        x = start(net)
        for i, (kind, attributes) in enumerate(kinds):
            x = net.op(kind, net.conv(x, 6, name=f"conv{i}"), **attributes)
            net.can(**{expected: f"conv{i}"})
        net.head(net.relu(net.conv(x, 7, name="after")))
        net.can("stem", either="after")

    MODELS[name] = make


several(
    "activations",
    [
        ("HardSwish", {}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("Tanh", {}),
        ("Elu", {}),
        ("Selu", {}),
        ("Softsign", {}),
        ("Abs", {}),
        ("Neg", {}),
        ("ThresholdedRelu", {"alpha": 0.2}),
        ("Erf", {}),
        ("Celu", {}),
        ("Identity", {}),
        ("Dropout", {}),
        ("Sin", {}),
        ("Floor", {}),
        ("Sign", {}),
        ("Ceil", {}),
        ("Round", {}),
        ("Sinh", {}),
        ("Asinh", {}),
        ("Atan", {}),
        ("Tan", {}),
    ],
)
several(
    "activations_opset_22",
    [("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Mish", {}), ("HardSwish", {})],
    opset=22,
    ir=10,
)
several(
    "activations_not_0_for_0",
    [("Sigmoid", {}), ("Softplus", {}), ("Exp", {}), ("HardSigmoid", {}), ("Cos", {}), ("Cosh", {})],
    expected="frozen",
)
several(
    "across_channels",
    [
        ("LRN", {"size": 3}),
        ("Softmax", {"axis": 1}),
        ("LogSoftmax", {"axis": -3}),
        ("LpNormalization", {"axis": 1}),
        ("MeanVarianceNormalization", {"axes": [0, 1, 2, 3]}),
        ("Hardmax", {"axis": 1}),
        ("CumSum", {}),
    ][:6],
    expected="frozen",
)

between("softmax_over_channels", lambda net, x: net.op("Softmax", x, axis=1), "frozen")
between("silu", lambda net, x: net.op("Mul", x, net.op("Sigmoid", x)))
between(
    "gelu_by_parts",
    lambda net, x: net.op(
        "Mul",
        net.floats(0.5),
        net.op("Mul", x, net.op("Add", net.op("Erf", net.op("Div", x, net.floats(np.sqrt(2)))), net.floats(1))),
        width=6,
    ),
)
between(
    "hard_swish_by_parts",
    lambda net, x: net.op(
        "Div",
        net.op("Mul", x, net.op("Clip", net.op("Add", x, net.floats(3)), net.floats(0), net.floats(6))),
        net.floats(6),
    ),
)
between("prelu_a_channel", lambda net, x: net.op("PRelu", x, net.tensor("slope", net.normal(6, 1, 1))))
between("prelu_one_slope", lambda net, x: net.op("PRelu", x, net.tensor("slope", net.normal(1))))
between("prelu_a_position", lambda net, x: net.op("PRelu", x, net.tensor("slope", net.normal(1, 8, 8))), "free")
between(
    "relu6_by_constants",
    lambda net, x: net.op(
        "Clip", x, net.op("Cast", net.constant(0.0, np.float64), to=1), net.op("Cast", net.constant(6, np.int64), to=1)
    ),
)
between("clip_one_bound", lambda net, x: net.op("Clip", x, "", net.floats(1)))
between("clip_without_0", lambda net, x: net.op("Clip", x, net.floats(0.1), net.floats(6)), "frozen")
between(
    "clip_below_0",
    lambda net, x: net.op(
        "Clip",
        x,
        net.op("Cast", net.constant(-6.0, np.float64), to=1),
        net.op("Cast", net.constant(-1.0, np.float64), to=1),
    ),
    "frozen",
)
between(
    "clip_bounds_computed",
    lambda net, x: net.op("Clip", x, net.op("ReduceMin", x, keepdims=0), net.floats(9)),
    "either",
)
between("plus_one", lambda net, x: net.op("Add", x, net.floats(1)), "frozen")
between("plus_a_map", lambda net, x: net.op("Add", x, net.tensor("map", net.normal(8, 8))), "frozen")
between(
    "plus_a_channel",
    lambda net, x: net.op(
        "Add",
        net.op("Mul", net.tensor("scale", net.normal(1, 6, 1, 1)), x, width=6),
        net.tensor("shift", net.normal(6, 1, 1)),
    ),
)
between(
    "plus_a_channel_and_position", lambda net, x: net.op("Add", x, net.tensor("shift", net.normal(6, 8, 8))), "either"
)
between(
    "times_and_by_a_number",
    lambda net, x: net.op("Div", net.op("Mul", net.op("Sub", x, net.floats(0)), net.floats(3)), net.floats([2])),
    "either",
)
between("divided_by_channels", lambda net, x: net.op("Div", x, net.op("Abs", x)), "frozen")
between(
    "one_divided_by_channels",
    lambda net, x: net.op("Div", net.floats(1), net.op("Add", net.op("Exp", x), net.floats(1)), width=6),
    "frozen",
)
between(
    "normalised_over_channels",
    lambda net, x: net.op(
        "Div",
        x,
        net.op("Sqrt", net.op("Add", net.op("ReduceMean", net.op("Mul", x, x), axes=[1], keepdims=1), net.floats(1))),
    ),
    "frozen",
)
between("power", lambda net, x: net.op("Pow", net.op("Abs", x), net.floats(1.5)))
between("power_0", lambda net, x: net.op("Pow", net.op("Abs", x), net.floats(0)), "frozen")
between("max_with_one", lambda net, x: net.op("Max", x, net.floats(1)), "frozen")
between("min_with_six", lambda net, x: net.op("Min", net.op("Max", x, net.floats(0)), net.floats(6)), "either")
between(
    "where", lambda net, x: net.op("Where", net.op("Greater", x, net.floats(0)), x, net.floats(1), width=6), "frozen"
)
between("casts", lambda net, x: net.op("Cast", net.op("Cast", x, to=DOUBLE), to=1))
between("batch_norm", lambda net, x: net.op("Elu", net.bn(x)))
between("batch_norm_unnormalised_names", lambda net, x: net.bn(net.bn(x, "bn_a"), "bn_b"))
between(
    "instance_norm",
    lambda net, x: net.op(
        "InstanceNormalization", x, net.tensor("scale", net.normal(6)), net.tensor("shift", net.normal(6))
    ),
)
between(
    "layer_norm_last_axis",
    lambda net, x: net.op("LayerNormalization", x, net.tensor("scale", net.normal(8)), axis=-1),
    "either",
)
between(
    "layer_norm_over_channels",
    lambda net, x: net.op("LayerNormalization", x, net.tensor("scale", net.normal(6, 8, 8)), axis=1),
    "frozen",
)
between("grouped", lambda net, x: net.relu(net.conv(x, 6, name="grouped", group=2)), "frozen")
between(
    "shuffle",
    lambda net, x: net.op(
        "Reshape",
        net.op("Transpose", net.op("Reshape", x, net.constant([0, 2, 3, 8, 8])), perm=[0, 2, 1, 3, 4]),
        net.constant([0, 6, 8, 8]),
        width=6,
    ),
    "frozen",
)
between("depth_to_space", lambda net, x: net.op("DepthToSpace", net.conv(x, 8, 1, "deep"), blocksize=2, width=2))
between(
    "slice_of_channels",
    lambda net, x: net.op("Slice", x, net.constant([0]), net.constant([4]), net.constant([1]), width=4),
    "frozen",
)
between(
    "slice_of_space",
    lambda net, x: net.op(
        "Slice", x, net.constant([1, 0]), net.constant([7, 2**40]), net.constant([-1, 2]), net.constant([2, 1])
    ),
)
between("split_of_channels", lambda net, x: net.op("Add", *net.op("Split", x, outputs=2, axis=1, width=3)), "frozen")
between("split_of_space", lambda net, x: net.op("Add", *net.op("Split", x, outputs=2, axis=2, width=6)), "either")
between("pad_of_channels", lambda net, x: net.op("Pad", x, net.constant([0, 1, 0, 0, 0, 1, 0, 0]), width=8), "either")
between("pad_of_space", lambda net, x: net.op("Pad", x, net.constant([0, 0, 1, 1, 0, 0, 2, 1])))
between(
    "pad_of_space_by_one",
    lambda net, x: net.op("Pad", x, net.constant([0, 0, 1, 1, 0, 0, 2, 1]), net.floats(1)),
    "frozen",
)
between(
    "pad_of_space_reflected", lambda net, x: net.op("Pad", x, net.constant([0, 0, 1, 1, 0, 0, 2, 1]), mode="reflect")
)
between("gather_of_channels", lambda net, x: net.op("Gather", x, net.constant([5, 3, 1, 0]), axis=1, width=4), "frozen")
between("tile", lambda net, x: net.op("Tile", x, net.constant([1, 2, 1, 1]), width=12), "frozen")
between("expand", lambda net, x: net.op("Expand", net.op("GlobalMaxPool", x), net.constant([1, 1, 8, 8])), "either")
between("mean_over_channels", lambda net, x: net.op("Mul", x, net.op("ReduceMean", x, axes=[1])), "frozen")
between("largest_of_channels", lambda net, x: net.op("Mul", x, net.op("ReduceMax", x, axes=[1])), "frozen")
between("mean_over_all_axes", lambda net, x: net.op("Mul", x, net.op("ReduceMean", x)), "frozen")
between("arg_max", lambda net, x: net.op("Mul", x, net.op("Cast", net.op("ArgMax", x, axis=1), to=1)), "frozen")
between(
    "max_pool",
    lambda net, x: net.op(
        "MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=1, dilations=[1, 1]
    ),
)
between(
    "average_pool",
    lambda net, x: net.op(
        "AveragePool",
        net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4),
        kernel_shape=[2, 2],
        count_include_pad=1,
        pads=[1, 1, 1, 1],
        ceil_mode=1,
    ),
)
between("lp_pool", lambda net, x: net.op("LpPool", x, kernel_shape=[2, 2]), "either")
between(
    "max_pool_with_indices",
    lambda net, x: net.op(
        "Mul", *[net.op("Cast", y, to=1) for y in net.op("MaxPool", x, kernel_shape=[2, 2], outputs=2)]
    ),
    "frozen",
)
between(
    "upsample",
    lambda net, x: net.op(
        "Resize", x, "", net.floats([1, 1, 2, 1.5]), mode="linear", coordinate_transformation_mode="asymmetric"
    ),
)
between("resize_of_channels", lambda net, x: net.op("Resize", x, "", net.floats([1, 2, 1, 1]), width=12), "frozen")
between("conv_transpose", lambda net, x: net.relu(net.transposed(x, 5)))
between(
    "conv_transpose_grouped",
    lambda net, x: net.op(
        "ConvTranspose", x, net.tensor("up.weight", net.normal(6, 3, 2, 2)), group=2, strides=[2, 2], width=6
    ),
    "frozen",
)
between(
    "conv_attributes",
    lambda net, x: net.conv(
        net.conv(x, 5, name="same", auto_pad="SAME_UPPER", strides=[2, 2]),
        6,
        name="dilated",
        dilations=[2, 1],
        pads=[2, 1, 2, 1],
        kernel_shape=[3, 3],
    ),
)
between(
    "transpose_twice",
    lambda net, x: net.op("Transpose", net.op("Tanh", net.op("Transpose", x, perm=[0, 2, 3, 1])), perm=[0, 3, 1, 2]),
    "either",
)
between(
    "weight_computed",
    lambda net, x: net.op("Conv", x, net.op("Mul", net.tensor("w", net.kernel(6, 6, 1)), net.floats(2)), width=6),
    "either",
)
between(
    "weight_by_identity",
    lambda net, x: net.op("Conv", x, net.op("Identity", net.tensor("w", net.kernel(6, 6, 1))), width=6),
    "either",
)
