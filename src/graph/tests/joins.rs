//! Where several values meet.

use super::*;

#[test]
fn residual_blocks_share_their_channels() {
    Net::new(17)
        .input("x", &[-1, 3, 32, 32])
        .conv("stem", "x", 3, 16, 3)
        .op("Relu", "r0", &["stem"])
        .conv("a1", "r0", 16, 24, 3)
        .op("Relu", "a2", &["a1"])
        .conv("a3", "a2", 24, 16, 3)
        .op("Add", "a4", &["a3", "r0"])
        .op("Relu", "a5", &["a4"])
        .conv("b1", "a5", 16, 16, 3)
        .op("Add", "b2", &["a5", "b1"])
        .op("GlobalAveragePool", "g", &["b2"])
        .op("Flatten", "f", &["g"])
        .gemm("y", "f", 16, 10)
        .output("y")
        .assert(&[
            "16 stem.w[0]:o stem.b[0]:b a1.w[1]:i a3.w[0]:o a3.b[0]:b b1.w[0]:o b1.b[0]:b b1.w[1]:i y.w[1]:i",
            "24 a1.w[0]:o a1.b[0]:b a3.w[1]:i",
            &format!("10 y.w[0]:o y.b[0]:b | {RESULT}"),
        ]);
}

#[test]
fn concat_takes_offsets() {
    let net = Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("a", "x", 3, 4, 1)
        .conv("b", "x", 3, 6, 1)
        .with("Concat", "c", &["a", "b", "a", "x"], &[("axis", int(1))])
        .conv("d", "c", 17, 5, 1)
        .with("Concat", "e", &["c", "d"], &[("axis", int(-3))])
        .batch_norm("n", "e", 22)
        .op("Flatten", "f", &["n"])
        .gemm("y", "f", 22 * 64, 2)
        .output("y");
    let vectors = |at: &str| format!("n.s[0]{at}:s n.b[0]{at}:b n.m[0]{at}:m n.v[0]{at}:m");
    let twice = |role: &str, name: &str| format!("{name}[0]:{role} {name}[0]@10:{role}");
    net.assert(&[
        &format!(
            "4 a.w[0]:o a.b[0]:b d.w[1]:i d.w[1]@10:i {} {} {} {} y.w[1]×64:i y.w[1]@640×64:i",
            twice("s", "n.s"),
            twice("b", "n.b"),
            twice("m", "n.m"),
            twice("m", "n.v")
        ),
        &format!("6 b.w[0]:o b.b[0]:b d.w[1]@4:i {} y.w[1]@256×64:i", vectors("@4")),
        &format!("5 d.w[0]:o d.b[0]:b {} y.w[1]@1088×64:i", vectors("@17")),
        &format!("2 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    let found = net.found();
    let width = found.values.iter().find(|(name, _)| name == "f").map(|(_, widths)| widths[0].1.clone());
    let width = width.expect("f carries channels");
    assert_eq!((width.fixed, width.classes.as_slice()), (3 * 64, &[(0, 128), (1, 64), (2, 64)][..]));
    assert_eq!(width.with(&[4, 6, 5, 2]), 22 * 64);
    let macs = found.layers.iter().find(|layer| layer.name == "d.w").and_then(|layer| layer.macs.clone());
    assert_eq!(macs.map(|macs| macs.with(&[1, 1, 1, 2])), Some((1 + 1 + 1 + 3) * 64));
}

/// What is added to a concatenation is as many classes as that has parts.
#[test]
fn a_sum_with_a_concatenation() {
    Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("a", "x", 3, 4, 1)
        .conv("b", "x", 3, 6, 1)
        .conv("c", "x", 3, 10, 1)
        .with("Concat", "d", &["a", "b"], &[("axis", int(1))])
        .op("Max", "e", &["c", "d", "d"])
        .conv("y", "e", 10, 5, 1)
        .output("y")
        .assert(&[
            "4 a.w[0]:o a.b[0]:b c.w[0]:o c.b[0]:b y.w[1]:i",
            "6 b.w[0]:o b.b[0]:b c.w[0]@4:o c.b[0]@4:b y.w[1]@4:i",
            &format!("5 y.w[0]:o y.b[0]:b | {RESULT}"),
        ]);
}

#[test]
fn concat_along_positions_unites() {
    Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("a", "x", 3, 4, 1)
        .conv("b", "x", 3, 4, 1)
        .with("Concat", "c", &["a", "b"], &[("axis", int(3))])
        .conv("y", "c", 4, 5, 1)
        .output("y")
        .assert(&["4 a.w[0]:o a.b[0]:b b.w[0]:o b.b[0]:b y.w[1]:i", &format!("5 y.w[0]:o y.b[0]:b | {RESULT}")]);
}

/// A channel times its own gate is 0 where the channel is, whatever the gate.
#[test]
fn squeeze_and_excite() {
    let net = |by: &str| {
        Net::new(17)
            .input("x", &[1, 3, 8, 8])
            .conv("a", "x", 3, 8, 3)
            .with("ReduceMean", "s", &["a"], &[("axes", ints(&[-1, -2]))])
            .conv("b", "s", 8, 2, 1)
            .op("Relu", "r", &["b"])
            .conv("c", "r", 2, 8, 1)
            .op("Sigmoid", "g", &["c"])
            .op(by, "m", &["g", "a"])
            .conv("y", "m", 8, 5, 3)
            .output("y")
    };
    net("Mul").assert(&[
        "8 a.w[0]:o a.b[0]:b b.w[1]:i c.w[0]:o c.b[0]:b y.w[1]:i",
        "2 b.w[0]:o b.b[0]:b c.w[1]:i",
        &format!("5 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    assert_eq!(net("Add").frozen("a.w"), "Sigmoid `g` does not give 0 for 0, and Conv `y` takes what it gives");
}

#[test]
fn silu_is_a_product() {
    let net = Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("a", "x", 3, 8, 3)
        .op("Sigmoid", "s", &["a"])
        .op("Mul", "m", &["a", "s"])
        .conv("y", "m", 8, 5, 3)
        .output("y");
    assert_eq!(net.frozen("a.w"), "");
}

#[test]
fn two_heads() {
    let net = Net::new(17)
        .input("x", &[1, 3, 8, 8])
        .conv("a", "x", 3, 8, 3)
        .conv("y", "a", 8, 5, 3)
        .conv("z", "a", 8, 6, 1)
        .with("Softmax", "p", &["z"], &[("axis", int(1))])
        .output("y")
        .output("p");
    net.assert(&[
        "8 a.w[0]:o a.b[0]:b y.w[1]:i z.w[1]:i",
        &format!("5 y.w[0]:o y.b[0]:b | {RESULT}"),
        "6 z.w[0]:o z.b[0]:b | Softmax `p` makes shares of all channels",
    ]);
}

#[test]
fn broadcasting() {
    let base = || Net::new(17).input("x", &[1, 3, 8, 8]).conv("a", "x", 3, 8, 3);
    // What is the same for all channels may be multiplied with, not added.
    let map = |op: &str, channels: u64| {
        let net = base().conv("b", "x", 3, channels, 1).op(op, "m", &["a", "b"]).conv("y", "m", 8, 5, 1).output("y");
        (net.frozen("a.w"), net.frozen("b.w"))
    };
    let spread = "Mul `m` spreads `b` over others".to_owned();
    assert_eq!(map("Mul", 1), (String::new(), spread));
    assert_eq!(map("Add", 1).0, "Add `m` does not give 0 for 0, and Conv `y` takes what it gives");
    assert_eq!(map("Add", 8), (String::new(), String::new()));
    // One channel for eight: the result has eight, of which the first operand was one.
    let net = base().conv("b", "x", 3, 1, 1).op("Sub", "m", &["b", "a"]).conv("y", "m", 8, 5, 1).output("y");
    assert!(net.frozen("b.w").starts_with("Sub `m` spreads `b`"), "{:?}", net.classes());
    // [8] lies along the last axis, of positions, not along the channels.
    let net = base().tensor("v", &[8]).op("Mul", "m", &["a", "v"]).conv("y", "m", 8, 5, 1).output("y");
    assert!(!net.classes()[0].contains(" v["), "{:?}", net.classes());
    let net = base().tensor("v", &[8]).op("Add", "m", &["a", "v"]).conv("y", "m", 8, 5, 1).output("y");
    assert_eq!(net.frozen("a.w"), "Add `m` does not give 0 for 0, and Conv `y` takes what it gives");
    // A map of another rank: its rows meet the channels.
    let net = base().input("z", &[8, 8, 1]).op("Mul", "m", &["a", "z"]).conv("y", "m", 8, 5, 1).output("y");
    assert_eq!(net.frozen("a.w"), "Mul `m` meets them with `z`, whose channels no weight makes");
    // A length that is not known may be that of the channels, or 1.
    let net = base().input("z", &[1, -2, 1, 1]).op("Mul", "m", &["a", "z"]).conv("y", "m", 8, 5, 1).output("y");
    assert_eq!(net.frozen("a.w"), "Mul `m` takes `z`, of which a length is known only when it runs");
}

#[test]
fn numbers_in_formulas() {
    let frozen = |op: &str, value: f64, first: bool| {
        let inputs = if first { ["a", "n"] } else { ["n", "a"] };
        let net = Net::new(17).input("x", &[1, 3, 8, 8]).conv("a", "x", 3, 8, 3).number("n", value);
        !net.op(op, "m", &inputs).conv("y", "m", 8, 5, 1).output("y").frozen("a.w").is_empty()
    };
    for (op, value, first, expected) in [
        ("Mul", 3.0, true, false),
        ("Mul", 3.0, false, false),
        ("Add", 3.0, true, true),
        ("Add", 0.0, true, false),
        ("Sub", 0.0, false, false),
        ("Div", 6.0, true, false),
        ("Div", 0.0, true, true),
        ("Div", 6.0, false, true),
        ("Pow", 2.0, true, false),
        ("Pow", 0.0, true, true),
        ("Pow", -1.0, true, true),
        ("Pow", 2.0, false, true),
        ("Max", 0.0, true, false),
        ("Max", 1.0, true, true),
        ("Mod", 2.0, true, true),
    ] {
        assert_eq!(frozen(op, value, first), expected, "{op} {value} {first}");
    }
}

#[test]
fn constants_along_channels() {
    let frozen = |op: &str, shape: &[u64]| {
        let net = Net::new(17).input("x", &[1, 3, 9, 9]).conv("a", "x", 3, 8, 3).tensor("v", shape);
        let net = net.op(op, "m", &["a", "v"]).conv("y", "m", 8, 5, 1).output("y");
        net.classes()[0].clone()
    };
    assert_eq!(frozen("Add", &[8, 1, 1]), "8 a.w[0]:o a.b[0]:b v[0]:b y.w[1]:i");
    assert_eq!(frozen("Sub", &[1, 8, 9, 9]), "8 a.w[0]:o a.b[0]:b v[1]:b y.w[1]:i");
    assert_eq!(frozen("Mul", &[1, 8, 1, 1]), "8 a.w[0]:o a.b[0]:b v[1]:s y.w[1]:i");
    assert!(frozen("Div", &[8, 1, 1]).contains("nothing is known of `v`"));
    let values: Vec<f64> = (1..=8).map(f64::from).collect();
    let net = Net::new(17).input("x", &[1, 3, 9, 9]).conv("a", "x", 3, 8, 3);
    let net =
        net.known("v", Dtype::F32, &[8, 1, 1], &values).op("Div", "m", &["a", "v"]).conv("y", "m", 8, 5, 1).output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b v[0]:m y.w[1]:i");
}
