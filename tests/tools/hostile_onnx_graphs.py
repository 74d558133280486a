"""Hostile ONNX graphs: whose files can be read, but not their meaning, or that are large. Adds to `hostile_onnx_files.py`."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hostile_onnx_files import MOST, add, changed, small
from onnx_builder import FLOAT, Net


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs, outputs, **attributes)


def of(graph, kind):
    """The first such operator."""
    return next(node for node in graph.node if node.op_type == kind)


def attribute(owner, name, value):
    """Sets it, whatever there was."""
    kept = [a for a in owner.attribute if a.name != name]
    del owner.attribute[:]
    owner.attribute.extend([*kept, helper.make_attribute(name, value)] if value is not None else kept)


def wiring():
    """Operators that do not fit together."""
    changed("cycle", "graph", lambda graph, conv, weight: conv.input.__setitem__(0, graph.node[3].output[0]))
    changed("takes_its_own_output", "graph", lambda graph, conv, weight: conv.input.__setitem__(0, conv.output[0]))
    changed("order_reversed", "any", lambda graph, conv, weight: graph.node.sort(key=lambda n: n.name))
    changed("input_missing", "graph", lambda graph, conv, weight: graph.node[4].input.__setitem__(0, "nothing"))
    changed("weight_missing", "graph", lambda graph, conv, weight: graph.initializer.remove(weight))
    changed("output_missing", "any", lambda graph, conv, weight: setattr(graph.output[0], "name", "nothing"))
    changed("outputs_none", "any", lambda graph, conv, weight: graph.ClearField("output"))
    changed("inputs_none", "graph", lambda graph, conv, weight: graph.ClearField("input"))
    changed("nodes_none", "any", lambda graph, conv, weight: graph.ClearField("node"))
    changed("initializers_none", "graph", lambda graph, conv, weight: graph.ClearField("initializer"))
    changed(
        "made_twice",
        "any",
        lambda graph, conv, weight: graph.node.append(node("Relu", [conv.output[0]], [conv.output[0]])),
    )
    changed(
        "input_made_by_a_node",
        "any",
        lambda graph, conv, weight: graph.node.append(node("Relu", [conv.output[0]], ["x"])),
    )
    changed("inputs_twice", "any", lambda graph, conv, weight: graph.input.append(graph.input[0]))
    changed("input_without_type", "any", lambda graph, conv, weight: graph.input[0].ClearField("type"))
    changed(
        "input_negative_dim",
        "any",
        lambda graph, conv, weight: setattr(graph.input[0].type.tensor_type.shape.dim[2], "dim_value", -8),
    )
    changed(
        "input_huge_dim",
        "any",
        lambda graph, conv, weight: setattr(graph.input[0].type.tensor_type.shape.dim[2], "dim_value", MOST),
    )
    changed(
        "input_other_channels",
        "any",
        lambda graph, conv, weight: setattr(graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 5),
    )
    changed("conv_without_inputs", "any", lambda graph, conv, weight: conv.ClearField("input"))
    changed("conv_without_outputs", "any", lambda graph, conv, weight: conv.ClearField("output"))
    changed("conv_with_10000_inputs", "any", lambda graph, conv, weight: conv.input.extend(["x"] * 10_000))
    changed("conv_bias_of_other_length", "any", lambda graph, conv, weight: conv.input.__setitem__(2, "conv2.bias"))
    changed("conv_of_its_weight", "any", lambda graph, conv, weight: conv.input.__setitem__(0, weight.name))
    changed("conv_bias_is_the_weight", "any", lambda graph, conv, weight: conv.input.__setitem__(2, weight.name))
    changed("bn_of_other_length", "any", lambda graph, conv, weight: graph.node[1].input.__setitem__(3, "conv2.bias"))
    changed(
        "bn_of_one_vector",
        "any",
        lambda graph, conv, weight: [graph.node[1].input.__setitem__(i, "bn1.bias") for i in range(1, 5)],
    )
    changed("bn_of_three_inputs", "any", lambda graph, conv, weight: graph.node[1].input.__delitem__(slice(3, 5)))
    changed(
        "gemm_of_other_columns", "any", lambda graph, conv, weight: of(graph, "Gemm").input.__setitem__(1, "fc2.weight")
    )
    changed(
        "gemm_of_a_4d_weight", "any", lambda graph, conv, weight: of(graph, "Gemm").input.__setitem__(1, weight.name)
    )
    changed(
        "reshape_by_weights", "any", lambda graph, conv, weight: of(graph, "Reshape").input.__setitem__(1, weight.name)
    )
    for name, shape in {
        "zeros": [0, 0, 0, 0, 0, 0],
        "two_rests": [-1, -1],
        "smallest": [-MOST - 1, 96],
        "huge": [MOST, MOST],
        "none": [],
        "minus_two": [-2, 96],
        "too_many": [1] * 64,
        "of_other_size": [-1, 95],
    }.items():
        changed(
            f"reshape_{name}",
            "any",
            lambda graph, conv, weight, shape=shape: next(t for t in graph.initializer if t.name == "shape").CopyFrom(
                numpy_helper.from_array(np.array(shape, np.int64), "shape")
            ),
        )


def attributes():
    """Attributes of another type, or out of bounds."""
    for name, value in {
        "zero": 0,
        "negative": -1,
        "huge": MOST,
        "smallest": -MOST - 1,
        "text": "two",
        "float": 2.0,
        "list": [1, 2],
        "other": 5,
        "tensor": numpy_helper.from_array(np.ones(3, np.float32)),
    }.items():
        changed(f"group_{name}", "any", lambda graph, conv, weight, value=value: attribute(conv, "group", value))
    for key in "strides", "dilations", "kernel_shape", "pads":
        for name, value in {
            "zero": [0, 0],
            "negative": [-1, -1],
            "huge": [MOST] * 4,
            "smallest": [-MOST - 1] * 4,
            "one": [1],
            "many": [1] * 1000,
            "text": "x",
        }.items():
            changed(
                f"{key}_{name}", "any", lambda graph, conv, weight, key=key, value=value: attribute(conv, key, value)
            )
    changed("auto_pad_unknown", "any", lambda graph, conv, weight: attribute(conv, "auto_pad", "SIDEWAYS"))
    changed("auto_pad_number", "any", lambda graph, conv, weight: attribute(conv, "auto_pad", 7))
    changed(
        "attribute_twice",
        "any",
        lambda graph, conv, weight: conv.attribute.extend([helper.make_attribute("group", g) for g in (1, 2)]),
    )

    def mismatch(graph, conv, weight):
        made = conv.attribute.add(name="group", i=1, s=b"text")
        made.type = onnx.AttributeProto.STRING

    changed("attribute_of_two_types", "any", mismatch)
    changed("trans_b_text", "any", lambda graph, conv, weight: attribute(of(graph, "Gemm"), "transB", "yes"))
    changed("trans_b_seven", "any", lambda graph, conv, weight: attribute(of(graph, "Gemm"), "transB", 7))
    floats = helper.make_tensor("", FLOAT, [1], [1.0])
    for name, made in {
        "nothing": node("Constant", [], ["c"]),
        "text": node("Constant", [], ["c"], value_string="x"),
        "two": node("Constant", [], ["c"], value_float=1.0, value=floats),
    }.items():
        changed(
            f"constant_of_{name}",
            "any",
            lambda graph, conv, weight, made=made: (
                graph.node.insert(0, made),
                of(graph, "Gemm").input.__setitem__(1, "c"),
            ),
        )


def between():
    """One operator more, with inputs and attributes that are out of bounds."""

    def through(name, kind, *integers, width=None, floats=False, **attributes):
        def change(graph, conv, weight):
            taken = [conv.output[0]]
            for i, values in enumerate(integers):
                kind_of = np.float32 if floats else np.int64
                graph.initializer.append(numpy_helper.from_array(np.array(values, kind_of), f"in{i}"))
                taken.append(f"in{i}")
            if kind == "Resize":
                taken.insert(1, "")
            graph.node.insert(1, node(kind, taken, ["between"], **attributes))
            graph.node[2].input[0] = "between"

        changed(f"{kind.lower()}_{name}", "any", change)

    extremes = {"smallest": -MOST - 1, "largest": MOST, "out": 99, "below": -99}
    for name, axis in extremes.items():
        for kind in "Flatten", "Softmax", "Concat", "Split", "Gather":
            through(f"axis_{name}", kind, *([[0]] if kind == "Gather" else []), axis=axis)
        through(f"axes_{name}", "Squeeze", [axis])
        through(f"axes_{name}", "Unsqueeze", [axis])
        through(f"axes_{name}", "ReduceMean", axes=[axis, axis])
        through(f"perm_{name}", "Transpose", perm=[0, 1, 2, axis])
        through(f"bounds_{name}", "Slice", [axis], [axis], [2], [axis])
        through(f"step_{name}", "Slice", [0], [9], [2], [axis])
        through(f"axes_{name}", "Slice", [0], [9], [axis], [1])
        through(f"pads_{name}", "Pad", [0, 0, axis, 0, 0, 0, axis, 0])
        through(f"shape_{name}", "Expand", [1, 1, axis, 1])
        through(f"repeats_{name}", "Tile", [1, axis, 1, 1])
        through(f"indices_{name}", "Gather", [axis], axis=1)
        through(f"shape_{name}", "Reshape", [0, 2, axis, axis])
        through(f"sizes_{name}", "Split", [axis, axis], axis=1)
    for name, scale in {"nan": np.nan, "inf": np.inf, "negative": -1, "zero": 0, "huge": 1e30}.items():
        through(f"scales_{name}", "Resize", [1, 1, scale, scale], floats=True)
    through("perm_twice", "Transpose", perm=[0, 1, 1, 1])
    through("perm_short", "Transpose", perm=[1, 0])
    through("step_zero", "Slice", [0], [9], [2], [0])
    through("lists_of_other_lengths", "Slice", [0, 0], [9], [2], [1, 1, 1])
    through("axes_10000", "Unsqueeze", list(range(10_000)))
    for kind in "MaxPool", "AveragePool":
        for name, shape in {"huge": [MOST, MOST], "zero": [0, 0], "negative": [-1, -1], "one": [1]}.items():
            through(f"kernel_{name}", kind, kernel_shape=shape, pads=[MOST] * 4)


def models():
    """What is said of the whole."""

    def model(name, expected, change):
        made = small()
        change(made)
        add(name, made.SerializeToString(), expected)

    model("graph_missing", "file", lambda m: m.ClearField("graph"))
    model("opset_missing", "any", lambda m: m.ClearField("opset_import"))
    for version in 0, -5, 1, 999_999, MOST:
        model(f"opset_{version}", "any", lambda m, version=version: setattr(m.opset_import[0], "version", version))
    model("opset_twice", "any", lambda m: m.opset_import.add(domain="", version=7))
    for version in 0, -1, 10**9, MOST:
        model(f"ir_version_{version}", "any", lambda m, version=version: setattr(m, "ir_version", version))
    for name, text in {
        "broken": "{",
        "list": "[1, 2]",
        "negative": '{"conv1.weight": -8}',
        "huge": '{"conv1.weight": 1e400}',
        "large": f'{{"conv1.weight": {2**64 - 1}}}',
        "smaller": '{"conv1.weight": 1}',
        "zero": '{"conv1.weight": 0}',
        "text": '{"conv1.weight": "8"}',
        "deep": "[" * 100_000,
        "no_text": "\x1b[2J",
        "half": '{"conv1.weight": 8.5}',
    }.items():
        model(f"channels_{name}", "any", lambda m, text=text: m.metadata_props.add(key="secateur.channels", value=text))
    model("metadata_twice", "any", lambda m: [m.metadata_props.add(key="a", value="b") for _ in range(2)])


def net_of(name, build, expected="any"):
    """A network made by a function that gets a Net and the output of a first convolution."""

    def write(path):
        net = Net(name, 0)
        x = net.conv(net.input(["N", 3, 8, 8]), 8, name="conv1")
        x = build(net, x)
        graph = helper.make_graph(
            net.nodes, name, net.inputs, [helper.make_tensor_value_info(x, FLOAT, None)], net.initializers
        )
        path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())

    add(name, write, expected)


def repeated(count, step):
    def build(net, x):
        for i in range(count):
            x = step(net, x, i)
        return x

    return build


def large():
    """Graphs that take long where work grows with the square of their size, or worse."""
    concat = lambda net, x, i: net.op("Concat", x, x, axis=1)  # noqa: E731, a line a case
    net_of("relu_100000", repeated(100_000, lambda net, x, i: net.relu(x)))
    net_of("add_to_itself_100000", repeated(100_000, lambda net, x, i: net.op("Add", x, x)))
    net_of(
        "add_to_the_first_50000",
        lambda net, first: repeated(50_000, lambda net, x, i: net.op("Add", x, first))(net, first),
    )
    net_of("concat_doubles_20", repeated(20, concat))
    net_of("concat_doubles_40", repeated(40, concat))
    net_of("concat_doubles_70", repeated(70, concat))
    net_of("concat_of_100000", lambda net, x: net.op("Concat", *[x] * 100_000, axis=1))
    net_of(
        "concat_grows_2000",
        lambda net, first: repeated(2000, lambda net, x, i: net.op("Concat", x, first, axis=1))(net, first),
    )
    net_of("sum_of_100000", lambda net, x: net.op("Sum", *[x] * 100_000))
    net_of("conv_3000", repeated(3000, lambda net, x, i: net.conv(x, 8, 1, f"c{i}")))
    net_of("conv_3000_residual", repeated(3000, lambda net, x, i: net.op("Add", x, net.conv(x, 8, 1, f"c{i}"))))
    net_of("unknown_20000", repeated(20_000, lambda net, x, i: net.op("Unknown", x, domain="org.example")))
    net_of("constants_50000", lambda net, x: [net.constant([1]) for _ in range(50_000)] and net.relu(x))
    net_of("shape_100000", lambda net, x: [net.op("Shape", x) for _ in range(100_000)] and net.relu(x))
    net_of(
        "initializers_50000",
        lambda net, x: [net.tensor(f"t{i}", np.zeros(1, np.float32)) for i in range(50_000)] and net.relu(x),
    )
    net_of("filled_2_60", lambda net, x: net.op("Add", x, net.op("ConstantOfShape", net.constant([2**30, 2**30]))))
    net_of(
        "filled_1_million", lambda net, x: net.op("Reshape", x, net.op("ConstantOfShape", net.constant([1_000_000])))
    )
    net_of("reshape_20000", repeated(20_000, lambda net, x, i: net.op("Reshape", x, net.constant([0, 8, 8, 8]))))
    net_of("flatten_wide", lambda net, x: net.op("Flatten", net.op("Resize", x, "", net.floats([1, 1, 2**20, 2**20]))))
    net_of("ranks_grow_2000", repeated(2000, lambda net, x, i: net.op("Unsqueeze", x, net.constant([0]))))


wiring()
attributes()
between()
models()
large()
