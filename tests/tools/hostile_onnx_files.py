"""Damaged and hostile ONNX files, as bytes. What `hostile_onnx.py` writes.

`CASES` has for each name the file's content (bytes, or a function that gets the path and writes) and what has to happen:
"file": nothing can be read; "graph": weights may be read, channels cannot be cut; "any": an error or none.
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from onnx_builder import Net

CASES = {}
STRING, LENGTH, VARINT = TensorProto.STRING, 2, 0
MOST = 2**63 - 1


def add(name, content, expected):
    assert name not in CASES, name
    CASES[name] = (content, expected)


def small():
    """A network that is fine."""
    net = Net("small", 0)
    x = net.relu(net.bn(net.conv(net.input(["N", 3, 8, 8]), 8, name="conv1")))
    x = net.pool(net.relu(net.conv(x, 6, name="conv2")))
    x = net.op("Reshape", x, net.tensor("shape", np.array([-1, 96])))
    net.output(net.gemm(net.relu(net.gemm(x, 10, "fc1", fan_in=96)), 5, "fc2"))
    return net.model()


def changed(name, expected, change):
    """The network above, changed by a function that gets its graph, its first Conv and that one's weight."""
    model = small()
    change(model.graph, model.graph.node[0], model.graph.initializer[0])
    add(name, model.SerializeToString(), expected)


def varint(number):
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    """A length-delimited field, or a number."""
    if isinstance(content, int):
        return varint(number << 3 | VARINT) + varint(content)
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def bytes_of_files():
    """What is no ONNX file, or a part of one."""
    good = small().SerializeToString()
    for length in sorted({0, 1, 2, 3, *range(4, len(good), len(good) // 60), *range(len(good) - 8, len(good))}):
        try:
            onnx.ModelProto.FromString(good[:length])
            expected = "file" if length == 0 else "any"
        except Exception:  # noqa: BLE001, a parser's
            expected = "file"
        add(f"truncated_{length}", good[:length], expected)
    random = np.random.default_rng(0)
    for i in range(150):
        damaged = bytearray(good)
        for _ in range(random.integers(1, 4)):
            # Names, shapes and attributes; few of the weights.
            at = random.integers(len(good)) if i % 3 == 0 else random.integers(700)
            damaged[at] = random.integers(256)
        add(f"damaged_{i}", bytes(damaged), "any")
    for name, content in {
        "text": b"this is no network\n" * 9,
        "line_end": b"\n",
        "web_page": b"<!DOCTYPE html><html><body>Not found</body></html>",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "zip": b"PK\x03\x04" + bytes(60),
        "safetensors": b"\x10\0\0\0\0\0\0\0{}              ",
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
        "endless_varint": b"\x08" + b"\x80" * 100_000,
        "varint_of_11_bytes": b"\x08" + b"\xff" * 10 + b"\x01" + good,
        "wire_type_6": b"\x0e" + good,
        "wire_type_7": b"\x0f" + good,
        "field_0": b"\x00\x01" + good,
        "field_too_large": varint(2**35 << 3) + b"\x01" + good,
        "length_2_63": b"\x3a" + varint(2**63) + good,
        "length_all_ones": b"\x3a" + varint(2**64 - 1) + good,
        "length_2_31": b"\x3a" + varint(2**31) + good,
        "end_of_no_group": b"\x0c" + good,
        "groups_100000_deep": b"\x0b" * 100_000,
        "graph_of_text": field(1, 8) + field(7, b"strings where numbers belong, and no end of it"),
    }.items():
        add(name, content, "file")
    add("unknown_fields", good + field(99, b"x") + field(100, 5), "any")
    add("graph_twice", good + field(7, small().graph.SerializeToString()), "any")
    add("sparse_3_gib", lambda path: (path.write_bytes(b""), os.truncate(path, 3 << 30)), "file")


def nested(depth, wrap, inside=b""):
    """Bytes wrapped so many times, by the fields `wrap`, the innermost first."""
    for _ in range(depth):
        for number in wrap:
            inside = field(number, inside)
    return inside


def deep():
    # GraphProto.node = 1, NodeProto.attribute = 5, AttributeProto.g = 6.
    for depth in 50, 5000:
        add(
            f"graphs_in_graphs_{depth}",
            field(1, 8) + field(7, nested(depth, (6, 5, 1))),
            "any" if depth == 50 else "file",
        )
    # ValueInfoProto.type = 2; TypeProto.sequence_type = 4, its elem_type = 1.
    value = field(1, b"x") + field(2, nested(5000, (1, 4)))
    add("types_in_types", field(1, 8) + field(7, field(11, value)), "any")


def tensors():
    """Weights that are not what they say."""

    def change(name, expected, how):
        changed(name, expected, lambda graph, conv, weight: how(weight))

    def dims(*numbers):
        def set_dims(weight):
            del weight.dims[:]
            weight.dims.extend(numbers)

        return set_dims

    change("dims_negative", "file", dims(8, -3, 3, 3))
    change("dims_all_negative", "file", dims(-8, -3, 3, 3))
    change("dims_smallest", "file", dims(-MOST - 1, 3, 3, 3))
    change("dims_huge", "file", dims(2**62, 4, 3, 3))
    change("dims_overflow_to_fit", "file", dims(2**32, 2**32, 1, 1))
    change("dims_overflow_in_bytes", "file", dims(2**62 + 216, 1, 1, 1))
    change("dims_too_few", "file", dims(8, 3, 3, 2))
    change("dims_too_many", "file", dims(8, 3, 3, 4))
    change("dims_zero", "file", dims(0, 3, 3, 3))
    change("dims_none", "file", dims())
    change("dims_100000", "any", dims(*[1] * 99_999, 216))
    change("rank_1", "any", dims(216))
    change("rank_9", "any", dims(8, 3, 3, 3, 1, 1, 1, 1, 1))
    change("raw_data_short", "file", lambda t: setattr(t, "raw_data", t.raw_data[:-1]))
    change("raw_data_long", "file", lambda t: setattr(t, "raw_data", t.raw_data + bytes(4)))
    change("raw_data_missing", "file", lambda t: t.ClearField("raw_data"))
    change("raw_data_and_float_data", "any", lambda t: t.float_data.extend([1.0] * 216))
    change("float_data_short", "file", lambda t: (t.ClearField("raw_data"), t.float_data.extend([1.0] * 215)))
    change(
        "float_data_for_f16",
        "file",
        lambda t: (
            t.ClearField("raw_data"),
            t.float_data.extend([1.0] * 216),
            setattr(t, "data_type", TensorProto.FLOAT16),
        ),
    )
    change(
        "int32_data_beyond_16_bits",
        "any",
        lambda t: (
            t.ClearField("raw_data"),
            t.int32_data.extend([-1, 70_000] * 108),
            setattr(t, "data_type", TensorProto.FLOAT16),
        ),
    )
    change("double_data_for_f32", "file", lambda t: (t.ClearField("raw_data"), t.double_data.extend([1.0] * 216)))
    change(
        "strings",
        "any",
        lambda t: (t.ClearField("raw_data"), t.string_data.extend([b"x"] * 216), setattr(t, "data_type", STRING)),
    )
    change("strings_for_floats", "file", lambda t: (t.ClearField("raw_data"), t.string_data.extend([b"x"] * 216)))
    change("strings_raw", "any", lambda t: setattr(t, "data_type", STRING))
    for number in 0, 99, -1, 16, 17, 22, 23:
        change(f"data_type_{number}", "any", lambda t, number=number: setattr(t, "data_type", number))
    change("segment", "any", lambda t: (setattr(t.segment, "begin", 5), setattr(t.segment, "end", MOST)))
    change("not_a_number", "any", lambda t: setattr(t, "raw_data", b"\xff" * 864))
    change("no_name", "any", lambda t: setattr(t, "name", ""))
    changed("duplicate_initializers", "file", lambda graph, conv, weight: graph.initializer.append(weight))
    changed(
        "duplicate_names_of_other_shapes",
        "file",
        lambda graph, conv, weight: graph.initializer.append(
            numpy_helper.from_array(np.ones((2, 2), np.float32), weight.name)
        ),
    )
    changed(
        "initializer_is_an_output",
        "any",
        lambda graph, conv, weight: graph.initializer.append(
            numpy_helper.from_array(np.ones((2, 2), np.float32), conv.output[0])
        ),
    )
    packed = field(1, 8) + field(
        7, field(5, field(1, b"\x80" * 12) + field(2, 1) + field(8, b"w") + field(9, bytes(4)))
    )
    add("dims_packed_badly", packed, "file")


def external():
    """Weights that lie in other files."""

    def entries(name, expected, file=None, **keys):
        def change(graph, conv, weight):
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            for key, value in keys.items():
                weight.external_data.add(key=key, value=value)

        changed(f"external_{name}", expected, change)
        if file:
            content, _ = CASES[f"external_{name}"]
            CASES[f"external_{name}"] = (lambda path: (path.write_bytes(content), file(path.parent)), expected)

    def data(folder):
        (folder / "data.bin").write_bytes(bytes(4096))

    def link(to):
        def make(folder):
            if not (folder / "link.bin").is_symlink():
                (folder / "link.bin").symlink_to(to)

        return make

    for name, location in {
        "parent": "../data.bin",
        "parents": "a/../../data.bin",
        "absolute": "/etc/passwd",
        "missing": "no.bin",
        "folder": ".",
        "empty": "",
        "device": "/dev/zero",
        "control": "a\x1b[2J\n.bin",
        "zero_byte": "a\0b",
        "drive": "C:\\data.bin",
        "parent_backslashes": "..\\data.bin",
        "long": "a" * 100_000,
        "url": "http://example.org/data.bin",
    }.items():
        entries(name, "file", location=location, offset="0", length="864")
    entries("no_location", "file", offset="0")
    entries("twice", "any", data, location="data.bin", offset="0", length="864", checksum="x")
    for name, keys in {
        "offset_beyond": {"offset": "4096"},
        "offset_negative": {"offset": "-1"},
        "offset_text": {"offset": "abc"},
        "offset_huge": {"offset": str(2**64)},
        "offset_overflow": {"offset": str(2**64 - 864)},
        "length_short": {"length": "860"},
        "length_long": {"offset": "3800", "length": "864"},
        "length_huge": {"length": str(2**63)},
        "length_negative": {"length": "-864"},
    }.items():
        entries(name, "file", data, **({"location": "data.bin", "offset": "0", "length": "864"} | keys))
    entries("link_to_elsewhere", "any", link("/etc/hostname"), location="link.bin", offset="0", length="864")
    entries(
        "link_to_a_device",
        "file",
        lambda folder: (folder / "zero.bin").is_symlink() or (folder / "zero.bin").symlink_to("/dev/zero"),
        location="zero.bin",
        offset="0",
        length="864",
    )
    entries(
        "pipe",
        "file",
        lambda folder: (folder / "pipe.bin").exists() or os.mkfifo(folder / "pipe.bin"),
        location="pipe.bin",
    )
    entries("itself", "any", location="external_itself.onnx", offset="0", length="864")
    changed(
        "external_and_raw",
        "any",
        lambda graph, conv, weight: (
            setattr(weight, "data_location", TensorProto.EXTERNAL),
            weight.external_data.add(key="location", value="data.bin"),
        ),
    )


def names():
    """Names that steer a terminal, or are long, or no text."""
    unusual = {
        "escape": "\x1b[2J\x1b[31mred",
        "lines": "a\nb\r\nc",
        "reordered": "a\u202eb",
        "zero": "a\0b",
        "long": "n" * 1_000_000,
        "empty": "",
    }
    for name, text in unusual.items():
        changed(
            f"name_missing_{name}",
            "any" if name == "empty" else "graph",
            lambda graph, conv, weight, text=text: conv.input.__setitem__(0, text),
        )
        changed(
            f"name_weight_{name}",
            "any",
            lambda graph, conv, weight, text=text: (setattr(weight, "name", text), conv.input.__setitem__(1, text)),
        )
        changed(
            f"name_operator_{name}",
            "any",
            lambda graph, conv, weight, text=text: (
                setattr(graph.node[1], "op_type", text),
                setattr(graph.node[1], "name", text),
                setattr(graph.node[1], "domain", text),
            ),
        )
        changed(
            f"name_short_data_{name}",
            "file",
            lambda graph, conv, weight, text=text: (
                setattr(weight, "name", text),
                conv.input.__setitem__(1, text),
                setattr(weight, "raw_data", b"abc"),
            ),
        )
    good = small().SerializeToString()
    add("name_not_utf8", good.replace(b"conv1.weight", b"conv1.w\xff\xfeght"), "any")


bytes_of_files()
deep()
tensors()
external()
names()
