"""Run ONNX models in onnxruntime, on seeded random inputs. Shared by the tools about ONNX."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OTHER = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def feeds(model, seed, scale=1.0, batch=2):
    """Random inputs; every axis that is not fixed has length `batch`, or 8 beyond the first."""
    random = np.random.default_rng(seed)
    held = {tensor.name for tensor in model.graph.initializer}
    made = {}
    for value in model.graph.input:
        if value.name in held:
            continue
        kind = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = [dim.dim_value or (batch if axis == 0 else 8) for axis, dim in enumerate(kind.shape.dim)]
        if dtype == bool:
            made[value.name] = np.array(random.integers(2, size=shape), bool)
        elif np.dtype(dtype).kind in "iu":
            made[value.name] = random.integers(4, size=shape).astype(dtype)
        else:
            made[value.name] = np.asarray(scale * random.standard_normal(shape)).astype(dtype)
    return made


def session(model, threads=1, optimise=True):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, (str, bytes)) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(model, inputs):
    """The outputs, by name."""
    made = session(model)
    names = [output.name for output in made.get_outputs()]
    return dict(zip(names, made.run(names, inputs)))


def graphs(graph):
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from graphs(inner)


def as_float(model):
    """A copy that computes in f32 what the model computes in another format."""
    model = onnx.ModelProto.FromString(model.SerializeToString())

    def convert(tensor):
        if tensor.data_type in OTHER:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))

    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            convert(tensor)
        for value in [*graph.input, *graph.output, *graph.value_info]:
            if value.type.tensor_type.elem_type in OTHER:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    convert(attribute.t)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i in OTHER:
                    attribute.i = TensorProto.FLOAT
    return model


def as_float_inputs(inputs):
    return {name: value if value.dtype.kind in "biu" else value.astype(np.float32) for name, value in inputs.items()}
