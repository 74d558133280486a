//! One layer after the other.

use super::*;
use crate::graph::Edit;

fn lenet() -> Net {
    Net::new(17)
        .input("x", &[-1, 1, 28, 28])
        .conv_with("c1", "x", 1, 20, 5, &[])
        .with("MaxPool", "p1", &["c1"], &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))])
        .conv_with("c2", "p1", 20, 50, 5, &[])
        .with("MaxPool", "p2", &["c2"], &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))])
        .op("Flatten", "f", &["p2"])
        .gemm("d1", "f", 800, 500)
        .op("Relu", "r", &["d1"])
        .gemm("y", "r", 500, 10)
        .output("y")
}

#[test]
fn lenet_by_caffe() {
    let net = lenet();
    net.assert(&[
        "20 c1.w[0]:o c1.b[0]:b c2.w[1]:i",
        "50 c2.w[0]:o c2.b[0]:b d1.w[1]×16:i",
        "500 d1.w[0]:o d1.b[0]:b y.w[1]:i",
        &format!("10 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    let found = net.found();
    assert!(found.edits.is_empty(), "Flatten says no width");
    let widths = |name: &str| {
        let value = found.values.iter().find(|(value, _)| value == name).expect("it carries channels");
        value.1.iter().map(|(axis, width)| (*axis, width.fixed, width.classes.clone())).collect::<Vec<_>>()
    };
    assert_eq!(widths("p2"), [(1, 0, vec![(1, 1)])]);
    assert_eq!(widths("f"), [(1, 0, vec![(1, 16)])]);
    assert_eq!(found.values[0].0, "c1", "in the order of the graph; the input carries none");
    let costs = |channels: &[u64]| {
        found.layers.iter().map(|layer| layer.macs.as_ref().expect("known").with(channels)).collect::<Vec<_>>()
    };
    assert_eq!(costs(&[20, 50, 500, 10]), [20 * 25 * 24 * 24, 50 * 20 * 25 * 8 * 8, 800 * 500, 500 * 10]);
    assert_eq!(costs(&[10, 5, 100, 10]), [10 * 25 * 24 * 24, 5 * 10 * 25 * 8 * 8, 5 * 16 * 100, 100 * 10]);
    assert_eq!(found.layers[0].parameters, ["c1.w", "c1.b"]);
}

#[test]
fn normalizations_and_activations() {
    Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("c1", "x", 3, 8, 3)
        .batch_norm("n1", "c1", 8)
        .op("Relu", "r1", &["n1"])
        .tensor("slope", &[8, 1, 1])
        .op("PRelu", "r2", &["r1", "slope"])
        .tensor("s", &[8])
        .tensor("t", &[8])
        .op("InstanceNormalization", "n2", &["r2", "s", "t"])
        .op("GlobalAveragePool", "g", &["n2"])
        .with("Squeeze", "q", &["g"], &[])
        .conv("y", "n2", 8, 4, 1)
        .output("y")
        .assert(&[
            "8 c1.w[0]:o c1.b[0]:b n1.s[0]:s n1.b[0]:b n1.m[0]:m n1.v[0]:m slope[0]:s s[0]:s t[0]:b y.w[1]:i \
             | Squeeze `q` takes away all axes of length 1",
            &format!("4 y.w[0]:o y.b[0]:b | {RESULT}"),
        ]);
}

#[test]
fn running_statistics_are_no_parameters() {
    let found =
        Net::new(17).input("x", &[1, 3, 8, 8]).conv("c1", "x", 3, 8, 3).batch_norm("y", "c1", 8).output("y").found();
    assert_eq!(found.layers[1].parameters, ["y.s", "y.b"]);
    assert_eq!(found.layers[1].macs.as_ref().map(|macs| macs.with(&[8])), Some(0));
    assert_eq!(found.layers[1].name, "y.s");
}

#[test]
fn depthwise_ties_its_output_to_its_input() {
    let net = Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("c1", "x", 3, 8, 1)
        .op("Sigmoid", "s", &["c1"])
        .conv_with("dw", "s", 1, 16, 3, &[("group", int(8))])
        .conv("c2", "dw", 16, 4, 1)
        .conv("y", "c2", 4, 2, 1)
        .output("y");
    net.assert(&[
        // Sigmoid does no harm: weights of 0 follow.
        "8 c1.w[0]:o c1.b[0]:b dw.w[0]×2:o dw.b[0]×2:b c2.w[1]×2:i",
        "4 c2.w[0]:o c2.b[0]:b y.w[1]:i",
        &format!("2 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    let found = net.found();
    let [Edit::Group { node: 2, width }] = found.edits.as_slice() else { panic!("{:?}", found.edits) };
    assert_eq!((width.fixed, width.classes.as_slice()), (0, &[(0, 1)][..]));
    let macs = found.layers[1].macs.as_ref().expect("known");
    assert_eq!(macs.with(&[8, 4, 2]), 16 * 9 * 6 * 6);
    assert_eq!(macs.with(&[3, 4, 2]), 6 * 9 * 6 * 6);
}

#[test]
fn transposed_convolutions() {
    let net = Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("c1", "x", 3, 8, 1)
        .tensor("u.w", &[8, 1, 2, 2])
        .with("ConvTranspose", "u", &["c1", "u.w"], &[("group", int(8)), ("strides", ints(&[2, 2]))])
        .tensor("t.w", &[8, 4, 3, 3])
        .tensor("t.b", &[4])
        .with("ConvTranspose", "t", &["u", "t.w", "t.b"], &[("pads", ints(&[1; 4])), ("strides", ints(&[2, 2]))])
        .op("Flatten", "f", &["t"])
        .gemm("y", "f", 4 * 31 * 31, 2)
        .output("y");
    net.assert(&[
        "8 c1.w[0]:o c1.b[0]:b u.w[0]:o t.w[0]:i",
        "4 t.w[1]:o t.b[0]:b y.w[1]×961:i",
        &format!("2 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    let found = net.found();
    assert!(matches!(found.edits.as_slice(), [Edit::Group { node: 1, .. }]));
    assert_eq!(found.layers[2].macs.as_ref().map(|macs| macs.with(&[8, 4, 2])), Some(16 * 16 * 9 * 8 * 4));
}

#[test]
fn matrices_and_what_is_added() {
    Net::new(17)
        .input("x", &[-1, 12, 64])
        .tensor("a.w", &[64, 32])
        .tensor("a.b", &[32])
        .op("MatMul", "a", &["x", "a.w"])
        .op("Add", "b", &["a.b", "a"])
        .op("Gelu", "c", &["b"])
        .tensor("p", &[1, 12, 32])
        .op("Add", "d", &["c", "p"])
        .tensor("e.w", &[32, 16])
        .op("MatMul", "y", &["d", "e.w"])
        .output("y")
        .assert(&["32 a.w[1]:o a.b[0]:b p[2]:b e.w[0]:i", &format!("16 e.w[1]:o | {RESULT}")]);
}

#[test]
fn channels_that_come_in_stay() {
    let net = Net::new(17).input("x", &[1, 3, 8, 8]).op("Relu", "r", &["x"]).conv("y", "r", 3, 8, 3).output("y");
    net.assert(&[&format!("8 y.w[0]:o y.b[0]:b | {RESULT}")]);
}
