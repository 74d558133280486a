//! Shapes that are asked for, computed, or cut out.

use super::*;
use crate::graph::Edit;

/// A convolution of 8 channels over 4 × 4 positions.
fn base(batch: i64) -> Net {
    Net::new(17).input("x", &[batch, 3, 4, 4]).conv("a", "x", 3, 8, 3)
}

/// What follows it: a matrix over all positions.
fn head(net: Net) -> Net {
    net.gemm("y", "f", 128, 10).output("y")
}

const FLAT: &str = "8 a.w[0]:o a.b[0]:b y.w[1]×16:i";

/// Node, input, constant, element, fixed width, classes.
type Edited = (usize, usize, String, usize, u64, Vec<(usize, u64)>);

fn edits(net: &Net) -> Vec<Edited> {
    let edits = net.found().edits;
    let shape = |edit: Edit| match edit {
        Edit::Shape { node, input, name, index, width } => (node, input, name, index, width.fixed, width.classes),
        Edit::Group { .. } => panic!("no group"),
    };
    edits.into_iter().map(shape).collect()
}

#[test]
fn constant_targets() {
    for (batch, target, edit) in [
        (-1, vec![0, -1], None),
        (-1, vec![-1, 128], Some(1)),
        (1, vec![1, 128], Some(1)),
        (1, vec![1, -1], None),
        (-2, vec![0, 128], Some(1)),
    ] {
        let net = head(base(batch).list("t", &target).op("Reshape", "f", &["a", "t"]));
        assert_eq!(net.classes()[0], FLAT, "{target:?}");
        let expected: Vec<_> = edit.map(|index| (1, 1, "t".to_owned(), index, 0, vec![(0, 16)])).into_iter().collect();
        assert_eq!(edits(&net), expected, "{target:?}");
    }
    // All rows of all samples in one: nothing can be said of it.
    let net = base(-1).list("t", &[-1]).op("Reshape", "f", &["a", "t"]).output("f");
    assert_eq!(net.frozen("a.w"), "Reshape `f` mixes them with other axes");
}

#[test]
fn positions_merge_and_channels_stay() {
    let net = base(-1)
        .list("t", &[0, 0, -1])
        .op("Reshape", "r", &["a", "t"])
        .with("Transpose", "s", &["r"], &[("perm", ints(&[0, 2, 1]))])
        .tensor("m.w", &[8, 5])
        .op("MatMul", "m", &["s", "m.w"])
        .tensor("n.w", &[5, 2])
        .op("MatMul", "y", &["m", "n.w"])
        .output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b m.w[0]:i");
    assert_eq!(net.classes()[1], "5 m.w[1]:o n.w[0]:i");
    assert!(net.found().edits.is_empty());
    let macs = net
        .found()
        .layers
        .iter()
        .map(|layer| layer.macs.as_ref().map(|macs| macs.with(&[8, 5, 2])))
        .collect::<Vec<_>>();
    assert_eq!(macs[1..], [Some(16 * 8 * 5), Some(16 * 5 * 2)]);
}

/// Channels last: each is every eighth column.
#[test]
fn channels_behind_positions() {
    let net = base(-1).with("Transpose", "t", &["a"], &[("perm", ints(&[0, 2, 3, 1]))]).op("Flatten", "f", &["t"]);
    let found = head(net).found();
    let class = &found.classes[0];
    assert_eq!(class.frozen, None);
    let starts: Vec<_> = class.members[2..].iter().map(|member| (member.start, member.run)).collect();
    assert_eq!(starts, (0..16).map(|position| (position * 8, 1)).collect::<Vec<_>>());
    let width = found.values.iter().find(|(name, _)| name == "f").map(|(_, widths)| widths[0].1.classes.clone());
    assert_eq!(width, Some(vec![(0, 16)]));
}

/// `x.view(x.size(0), -1)`, `x.view(x.size(0), x.size(1) · 4 · 4)` and `x.view(-1, 8 · 4 · 4)` as exporters write them.
#[test]
fn computed_targets() {
    let sized = |index: i64| {
        base(-1).op("Shape", "s", &["a"]).known("i", Dtype::I64, &[], &[index as f64]).with(
            "Gather",
            "g",
            &["s", "i"],
            &[("axis", int(0))],
        )
    };
    let chain = |net: Net| {
        net.list("zero", &[0]).op("Unsqueeze", "u", &["g", "zero"]).op("Concat", "c", &["u", "k"]).op(
            "Reshape",
            "f",
            &["a", "c"],
        )
    };
    let mut nets = Vec::new();
    for last in [-1, 128] {
        let mut net = chain(sized(0).list("k", &[last]));
        for node in &mut net.0.nodes {
            if node.op == "Concat" {
                node.attributes.insert("axis".to_owned(), int(0));
            }
        }
        nets.push(net);
    }
    let (rest, said) = (head(nets.remove(0)), head(nets.remove(0)));
    assert_eq!((rest.classes()[0].as_str(), edits(&rest)), (FLAT, vec![]));
    // The number stands where the chain takes it.
    assert_eq!(said.classes()[0], FLAT);
    assert_eq!(edits(&said), [(4, 1, "k".to_owned(), 0, 0, vec![(0, 16)])]);
    // The number of channels where the number of samples belongs.
    let mut wrong = chain(sized(1).list("k", &[-1]));
    wrong.0.nodes[4].attributes.insert("axis".to_owned(), int(0));
    let wrong = head(wrong);
    assert!(!wrong.frozen("a.w").is_empty(), "{:?}", wrong.classes());
    // Whoever computes with it has it in the file's numbers.
    let net = sized(1).number("k", 16.0).op("Mul", "p", &["g", "k"]).op("Flatten", "f", &["a"]);
    assert_eq!(head(net).frozen("a.w"), "Mul `p` computes with their number");
}

/// The number of channels, taken from a value, may say how many channels another has.
#[test]
fn numbers_of_channels_as_lengths() {
    let net = |wrong: bool| {
        let net = base(-1).op("GlobalAveragePool", "p", &["a"]).op("Shape", "s", &["a"]);
        let net = net.list("from", &[0]).list("to", &[2]).op("Slice", "t", &["s", "from", "to"]);
        let net = if wrong { net.op("Flatten", "f0", &["p"]) } else { net.op("Reshape", "f0", &["p", "t"]) };
        let net = if wrong {
            net.list("one", &[1]).op("Reshape", "f1", &["p", "t"]).op("Expand", "e", &["f1", "t"])
        } else {
            net
        };
        net.gemm("y", "f0", 8, 10).output("y")
    };
    assert_eq!(net(false).classes()[0], "8 a.w[0]:o a.b[0]:b y.w[1]:i");
    assert_eq!(net(true).frozen("a.w"), "Expand `e` is not followed");
}

#[test]
fn one_place_in_the_file_for_two_lengths() {
    // Both reshapes take the same list: their operators get a copy each.
    let net = base(1)
        .conv("b", "x", 3, 8, 3)
        .list("t", &[1, 128])
        .op("Reshape", "f", &["a", "t"])
        .op("Reshape", "g", &["b", "t"])
        .gemm("y", "f", 128, 2)
        .gemm("z", "g", 128, 2)
        .output("y")
        .output("z");
    assert_eq!(
        edits(&net).iter().map(|edit| (edit.0, edit.5.clone())).collect::<Vec<_>>(),
        [(2, vec![(0, 16)]), (3, vec![(1, 16)])]
    );
    // But a list that is computed is one.
    let net = base(1)
        .conv("b", "x", 3, 8, 3)
        .list("t", &[1, 128])
        .op("Identity", "i", &["t"])
        .op("Reshape", "f", &["a", "i"])
        .op("Reshape", "g", &["b", "i"])
        .gemm("y", "f", 128, 2)
        .gemm("z", "g", 128, 2)
        .output("y")
        .output("z");
    assert_eq!(net.frozen("a.w"), "Reshape `f` takes their number from where it cannot be changed");
}

#[test]
fn targets_that_take_channels_apart() {
    let reshape = |target: &[i64]| {
        base(1).list("t", target).op("Reshape", "f", &["a", "t"]).conv("z", "x", 3, 2, 1).output("z").frozen("a.w")
    };
    assert_eq!(reshape(&[1, 2, 4, 16]), "Reshape `f` takes them apart");
    assert_eq!(reshape(&[1, 8, 16]), "");
    assert_eq!(reshape(&[8, 16]), "");
    assert_eq!(reshape(&[1, 4, 32]), "Reshape `f` takes them apart");
    assert_eq!(reshape(&[3, 8, 16]), "Reshape `f` mixes them with other axes");
    // Length 1 of axis 0 is copied; 8 is copied to where the channels are not.
    assert_eq!(reshape(&[0, 0, 16]), "");
    assert_eq!(reshape(&[16, 0]), "Reshape `f` takes them apart");
}

#[test]
fn axes_that_come_and_go() {
    let net = base(-1)
        .op("GlobalMaxPool", "p", &["a"])
        .list("last", &[3, -2])
        .op("Squeeze", "s", &["p", "last"])
        .list("first", &[0])
        .op("Unsqueeze", "u", &["s", "first"])
        .op("Squeeze", "f", &["u", "first"])
        .gemm("y", "f", 8, 2)
        .output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b y.w[1]:i");
}

#[test]
fn parts_of_positions() {
    let net = base(-1)
        .list("from", &[0, 0])
        .list("to", &[i64::MAX, 4])
        .list("along", &[1, -1])
        .list("steps", &[1, 2])
        .op("Slice", "s", &["a", "from", "to", "along", "steps"])
        .list("pads", &[0, 0, 0, 1, 0, 0, 0, 1])
        .op("Pad", "p", &["s", "pads"])
        .op("Flatten", "f", &["p"]);
    assert_eq!(head(net).classes()[0], FLAT);
    let net = base(-1).list("at", &[1]);
    let net = net.with("Gather", "g", &["a", "at"], &[("axis", int(3))]).op("Flatten", "f", &["g"]);
    assert_eq!(net.gemm("y", "f", 32, 2).output("y").classes()[0], "8 a.w[0]:o a.b[0]:b y.w[1]×4:i");
    let mut net = base(-1).with("Split", "s", &["a"], &[("axis", int(2))]);
    net.0.nodes[1].outputs.push("t".to_owned());
    let net = net.op("Add", "u", &["s", "t"]).op("Flatten", "f", &["u"]).gemm("y", "f", 64, 2).output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b y.w[1]×8:i");
}

/// As torch's exporter writes `F.pad(x, (0, 0, 0, 0, 2, 2))`: eight pads, in another order, the missing ones filled in.
#[test]
fn computed_pads() {
    let net = base(-1)
        .list("torch", &[1, 1, 0, 0, 2, 2])
        .op("Shape", "s", &["torch"])
        .known("rank", Dtype::I64, &[1], &[8.0])
        .op("Sub", "missing", &["rank", "s"])
        .with("ConstantOfShape", "fill", &["missing"], &[("value", Attribute::Other)])
        .with("Concat", "all", &["torch", "fill"], &[("axis", int(0))])
        .list("pairs", &[-1, 2])
        .op("Reshape", "r", &["all", "pairs"])
        .list("start", &[-1])
        .list("end", &[-i64::MAX])
        .list("axis", &[0])
        .list("step", &[-1])
        .op("Slice", "back", &["r", "start", "end", "axis", "step"])
        .with("Transpose", "t", &["back"], &[("perm", ints(&[1, 0]))])
        .list("flat", &[-1])
        .op("Reshape", "u", &["t", "flat"])
        .op("Pad", "p", &["a", "u"])
        .conv("z", "p", 12, 5, 1)
        .conv("y", "z", 5, 2, 1)
        .output("y");
    // Two zeros, the eight channels, two zeros.
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b z.w[1]@2:i");
    assert_eq!(net.frozen("z.w"), "");
    let macs = |net: &Net| net.found().layers[1].macs.as_ref().map(|macs| macs.with(&[8, 5, 2]));
    assert_eq!(macs(&net), Some(12 * 5 * 4 * 6));
}

#[test]
fn resized_maps() {
    let scales = |values: &[f64]| {
        let net = base(-1).known("scales", Dtype::F32, &[4], values).with(
            "Resize",
            "r",
            &["a", "", "scales"],
            &[("mode", text("nearest"))],
        );
        let net = net.op("Flatten", "f", &["r"]).gemm("y", "f", 8 * 64, 2).output("y");
        net.classes()[0].clone()
    };
    assert_eq!(scales(&[1.0, 1.0, 2.0, 2.0]), "8 a.w[0]:o a.b[0]:b y.w[1]×64:i");
    assert!(scales(&[1.0, 2.0, 2.0, 1.0]).contains("Resize `r` resizes along them"));
    // Sizes name the number of channels, as a shape does.
    let net =
        base(1).list("sizes", &[1, 8, 8, 8]).op("Resize", "r", &["a", "", "", "sizes"]).op("Flatten", "f", &["r"]);
    let net = net.gemm("y", "f", 8 * 64, 2).output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b y.w[1]×64:i");
    assert_eq!(edits(&net), [(1, 3, "sizes".to_owned(), 1, 0, vec![(0, 1)])]);
    let net = Net::new(9).input("x", &[1, 3, 4, 4]).conv("a", "x", 3, 8, 3);
    let net = net.known("s", Dtype::F32, &[4], &[1.0, 1.0, 2.0, 2.0]).op("Upsample", "r", &["a", "s"]).op(
        "Flatten",
        "f",
        &["r"],
    );
    assert_eq!(net.gemm("y", "f", 8 * 64, 2).output("y").frozen("a.w"), "");
}

/// Lengths of pools and convolutions, by the rows of a matrix that follows: they fit or the class is frozen.
#[test]
fn windows() {
    let pool = |length: i64, attributes: &[(&str, Attribute)], expected: u64| {
        let net = Net::new(17).input("x", &[1, 3, length]).tensor("a.w", &[8, 3, 1]).op("Conv", "a", &["x", "a.w"]);
        let net = net.with("MaxPool", "p", &["a"], attributes).op("Flatten", "f", &["p"]);
        let net = net.gemm("y", "f", 8 * expected, 2).output("y");
        assert_eq!(net.frozen("a.w"), "", "{length} {attributes:?} {expected}");
    };
    let kernel = |length: i64| ("kernel_shape", ints(&[length]));
    let stride = |step: i64| ("strides", ints(&[step]));
    pool(9, &[kernel(3)], 7);
    pool(9, &[kernel(3), stride(2)], 4);
    pool(8, &[kernel(3), stride(2)], 3);
    pool(8, &[kernel(3), stride(2), ("ceil_mode", int(1))], 4);
    // The third window would begin in the padding.
    pool(3, &[kernel(2), stride(2), ("ceil_mode", int(1)), ("pads", ints(&[0, 1]))], 2);
    pool(4, &[kernel(1), stride(3), ("ceil_mode", int(1)), ("pads", ints(&[0, 1]))], 2);
    pool(8, &[kernel(3), stride(2), ("pads", ints(&[1, 1]))], 4);
    pool(9, &[kernel(3), ("dilations", ints(&[2]))], 5);
    pool(9, &[kernel(3), stride(2), ("auto_pad", text("SAME_UPPER"))], 5);
    pool(9, &[kernel(3), stride(2), ("auto_pad", text("VALID"))], 4);
}
