"""A few lines to a small ONNX network with random weights; what `onnx_graphs.py` builds its models with."""

import math
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A model being made, and which of its classes of channels can be cut.

    Values are named by the strings that methods return; `width` knows how many channels each has. A network's `free` are
    weights whose class can be cut, `frozen` those that cannot, `either` those that could be, but may be left alone.
    """

    def __init__(self, name, seed, opset=17, ir=8, dtype=np.float32):
        self.name, self.opset, self.ir, self.dtype = name, opset, ir, dtype
        self.random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.width, self.domains, self.functions = {}, {}, []
        self.free, self.frozen, self.either = [], [], []
        self.checks = True  # whether onnx.checker knows what it is
        self.shapes = {}  # of outputs that shape inference does not know
        self.runs = "onnxruntime"  # or "as float": after f16 and bf16 became f32; or "no"
        self.rename = lambda name: name  # how names of tensors are spelled
        self.weights_as_nodes = False

    # Values and constants.

    def input(self, shape, name="x", kind=None, channels=None):
        kind = kind or helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.width[name] = channels or shape[1]
        return name

    def tensor(self, name, array):
        """A weight: an initializer, or a Constant."""
        name = self.rename(name)
        array = np.asarray(array)
        array = array.astype(self.dtype) if array.dtype == np.float64 else array
        made = self.store(array, name)
        if self.weights_as_nodes:
            self.nodes.append(helper.make_node("Constant", [], [name], value=made))
        else:
            self.initializers.append(made)
        return name

    def store(self, array, name):
        return numpy_helper.from_array(array, name)

    def constant(self, values, kind=np.int64):
        """The output of a Constant node."""
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(values, kind)))

    def floats(self, values):
        return self.constant(values, self.dtype)

    def op(self, kind, *inputs, outputs=1, width=None, domain="", name=None, **attributes):
        """A node; its output, or a list of its outputs. Channels are those of the first input, if not said."""
        made = [
            self.rename(name if name and i == 0 else f"{kind.lower()}_{len(self.nodes)}_{i}") for i in range(outputs)
        ]
        self.nodes.append(
            helper.make_node(kind, list(inputs), made, f"{kind}_{len(self.nodes)}", domain=domain, **attributes)
        )
        for output in made:
            self.width[output] = width or (self.width.get(inputs[0]) if inputs else None)
        return made[0] if outputs == 1 else made

    def output(self, *values):
        self.outputs += values

    def can(self, free="", frozen="", either=""):
        """Names of layers, by blanks: whose weights name classes that can, cannot, or need not be cut."""
        for names, into in (free, self.free), (frozen, self.frozen), (either, self.either):
            into += [self.rename(f"{name}.weight") for name in names.split()]

    # Layers.

    def normal(self, *shape, scale=1.0):
        return scale * self.random.standard_normal(shape)

    def conv(self, x, out, kernel=3, name="conv1", group=1, bias=True, dims=2, **attributes):
        fan_in = self.width[x] // group
        weight = self.tensor(f"{name}.weight", self.kernel(out, fan_in, kernel, dims))
        more = [self.tensor(f"{name}.bias", self.normal(out, scale=0.3))] if bias else []
        attributes = ({"pads": [kernel // 2] * 2 * dims} if "auto_pad" not in attributes else {}) | attributes
        if group != 1:
            attributes["group"] = group
        return self.op("Conv", x, weight, *more, width=out, **attributes)

    def kernel(self, out, fan_in, kernel, dims=2):
        return self.normal(out, fan_in, *[kernel] * dims, scale=1.4 / math.sqrt(fan_in * kernel**dims))

    def transposed(self, x, out, kernel=2, name="up", **attributes):
        fan_in = self.width[x]
        weight = self.tensor(f"{name}.weight", self.normal(fan_in, out, kernel, kernel, scale=1 / math.sqrt(fan_in)))
        return self.op(
            "ConvTranspose",
            x,
            weight,
            self.tensor(f"{name}.bias", self.normal(out, scale=0.3)),
            width=out,
            strides=[kernel, kernel],
            **attributes,
        )

    def bn(self, x, name="bn1"):
        width = self.width[x]
        vectors = {
            "weight": self.random.uniform(0.5, 1.5, width),
            "bias": self.normal(width, scale=0.3),
            "running_mean": self.normal(width, scale=0.3),
            "running_var": self.random.uniform(0.5, 1.5, width),
        }
        return self.op(
            "BatchNormalization", x, *(self.tensor(f"{name}.{key}", v) for key, v in vectors.items()), epsilon=1e-5
        )

    def gemm(self, x, out, name="fc", fan_in=None, transposed=True, bias=True, **attributes):
        fan_in = fan_in or self.width[x]
        weight = self.normal(out, fan_in, scale=1.4 / math.sqrt(fan_in))
        more = [self.tensor(f"{name}.bias", self.normal(out, scale=0.3))] if bias else []
        attributes |= {"transB": 1} if transposed else {}
        weight = self.tensor(f"{name}.weight", weight if transposed else weight.T)
        return self.op("Gemm", x, weight, *more, width=out, **attributes)

    def matmul(self, x, out, name="fc", fan_in=None, bias=True):
        fan_in = fan_in or self.width[x]
        y = self.op(
            "MatMul",
            x,
            self.tensor(f"{name}.weight", self.normal(fan_in, out, scale=1.4 / math.sqrt(fan_in))),
            width=out,
        )
        return self.op("Add", y, self.tensor(f"{name}.bias", self.normal(out, scale=0.3))) if bias else y

    def relu(self, x):
        return self.op("Relu", x)

    def pool(self, x, size=2, kind="MaxPool", **attributes):
        return self.op(kind, x, **({"kernel_shape": [size] * 2, "strides": [size] * 2} | attributes))

    def flat(self, x, positions=1):
        """Flattened, where a map has so many positions."""
        return self.op("Flatten", x, width=self.width[x] * positions)

    def head(self, x, name="fc", classes=5):
        """Global pool and a last layer, whose outputs are the network's."""
        self.output(self.gemm(self.flat(self.op("GlobalAveragePool", x)), classes, name))
        self.can(frozen=name)

    # The model.

    def model(self):
        float_kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        outputs = [helper.make_tensor_value_info(name, float_kind, self.shapes.get(name)) for name in self.outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(*pair) for pair in self.domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, functions=self.functions, producer_name="onnx_graphs.py")
        inferred = onnx.shape_inference.infer_shapes(model)
        model.ir_version = self.ir
        for place, known in zip(model.graph.output, inferred.graph.output):
            place.CopyFrom(known)
        return model


def elements(kind):
    """TensorProto's number of a type of numpy."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(kind))


FLOAT, INT64, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.DOUBLE
