"""Makes lenet5.onnx.gz and lenet300.onnx.gz: the networks with weights of 0, which pack to almost nothing.

    pip install onnx numpy && python networks.py

`secateur train` gives them weights to start from. LeNet-5 is the one of Caffe's examples (431,080 parameters), as the
literature on pruning uses it; LeNet-300-100 has two hidden layers (266,610 parameters).
"""

import gzip
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper


def network(name, nodes, shapes):
    weights = [numpy_helper.from_array(np.zeros(shape, np.float32), key) for key, shape in shapes.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, name, [image], [logits], weights)
    model = helper.make_model(graph, producer_name="secateur", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    packed = gzip.compress(model.SerializeToString(deterministic=True), mtime=0)
    Path(__file__).with_name(f"{name}.onnx.gz").write_bytes(packed)


def conv(of, to, name):
    inputs = [of, f"{name}.weight", f"{name}.bias"]
    return helper.make_node("Conv", inputs, [to], name, kernel_shape=[5, 5], strides=[1, 1], pads=[0, 0, 0, 0])


def pool(of, to):
    return helper.make_node("MaxPool", [of], [to], kernel_shape=[2, 2], strides=[2, 2])


def linear(of, to, name):
    return helper.make_node("Gemm", [of, f"{name}.weight", f"{name}.bias"], [to], name, transB=1)


def relu(of, to):
    return helper.make_node("Relu", [of], [to])


def flatten(of, to):
    return helper.make_node("Flatten", [of], [to], axis=1)


def with_biases(weights):
    return {key: shape for name, shape in weights.items() for key, shape in [(f"{name}.weight", shape), (f"{name}.bias", shape[:1])]}


network(
    "lenet5",
    [
        conv("image", "c1", "conv1"),
        pool("c1", "p1"),
        conv("p1", "c2", "conv2"),
        pool("c2", "p2"),
        flatten("p2", "flat"),
        linear("flat", "h", "fc1"),
        relu("h", "a"),
        linear("a", "logits", "fc2"),
    ],
    with_biases({"conv1": (20, 1, 5, 5), "conv2": (50, 20, 5, 5), "fc1": (500, 800), "fc2": (10, 500)}),
)
network(
    "lenet300",
    [
        flatten("image", "flat"),
        linear("flat", "h1", "fc1"),
        relu("h1", "a1"),
        linear("a1", "h2", "fc2"),
        relu("h2", "a2"),
        linear("a2", "logits", "fc3"),
    ],
    with_biases({"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}),
)
