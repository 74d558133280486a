//! What is not proven, and what is said about it.

use super::*;

fn base() -> Net {
    Net::new(17).input("x", &[1, 3, 4, 4]).conv("a", "x", 3, 8, 3)
}

/// What one operator between two convolutions does to the class of the first; empty where it does nothing.
#[track_caller]
fn between(opset: i64, op: &str, more: &[&str], attributes: &[(&str, Attribute)], net: Net) -> String {
    let mut net = net;
    net.0.opset = opset;
    let inputs: Vec<&str> = ["a"].iter().chain(more).copied().collect();
    net.with(op, "b", &inputs, attributes).conv("y", "b", 8, 5, 1).output("y").frozen("a.w")
}

#[test]
fn activations() {
    for op in [
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "ThresholdedRelu",
        "Tanh",
        "Gelu",
        "Erf",
        "HardSwish",
        "Mish",
        "Swish",
        "Softsign",
        "Sin",
        "Asinh",
        "Atan",
        "Tan",
        "Neg",
        "Abs",
        "Sqrt",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "Identity",
        "Dropout",
        "Clip",
        "Shrink",
        "Sinh",
    ] {
        assert_eq!(between(17, op, &[], &[], base()), "", "{op}");
    }
    for op in ["Sigmoid", "HardSigmoid", "Softplus", "Exp", "Cos", "Cosh"] {
        let why = format!("{op} `b` does not give 0 for 0, and Conv `y` takes what it gives");
        assert_eq!(between(17, op, &[], &[], base()), why);
    }
    for op in
        ["Log", "Reciprocal", "Acosh", "IsNaN", "Not", "TopK", "ArgMax", "NonZero", "DepthToSpace", "CumSum", "Loop"]
    {
        assert_eq!(between(17, op, &[], &[], base()), format!("{op} `b` is not followed"));
    }
}

#[test]
fn bounds() {
    let clip = |low: Option<f64>, high: Option<f64>| {
        let mut net = base();
        let mut inputs = Vec::new();
        for (name, bound) in [("low", low), ("high", high)] {
            if let Some(bound) = bound {
                net = net.number(name, bound);
            }
            inputs.push(if bound.is_some() { name } else { "" });
        }
        between(17, "Clip", &inputs, &[], net)
    };
    assert_eq!(clip(Some(0.0), Some(6.0)), "");
    assert_eq!(clip(None, Some(6.0)), "");
    assert_eq!(clip(Some(-1.0), None), "");
    assert!(clip(Some(0.5), Some(6.0)).starts_with("Clip `b` does not give 0"));
    assert!(clip(None, Some(-1.0)).starts_with("Clip `b` does not give 0"));
    assert!(clip(Some(f64::NAN), None).starts_with("Clip `b` does not give 0"));
    // Attributes before version 11.
    let attributes = |low: f32| between(10, "Clip", &[], &[("min", float(low)), ("max", float(6.0))], base());
    assert_eq!(attributes(0.0), "");
    assert!(attributes(0.1).starts_with("Clip `b` does not give 0"));
    // Through Identity and Cast.
    let cast = |low: f64, to: i64| {
        let net = base().number("n", low).op("Identity", "i", &["n"]).with("Cast", "c", &["i"], &[("to", int(to))]);
        between(17, "Clip", &["c"], &[], net)
    };
    assert_eq!(cast(0.0, 10), "");
    assert!(cast(1.0, 1).starts_with("Clip `b` does not give 0"));
    assert!(cast(0.0, 8).starts_with("Clip `b` does not give 0"), "to text");
    // A bound that is known only when it runs.
    let net = base().input("low", &[]);
    assert!(between(17, "Clip", &["low"], &[], net).starts_with("Clip `b` does not give 0"));
}

#[test]
fn modes() {
    let training = |value: f64| between(17, "Dropout", &["", "t"], &[], base().known("t", Dtype::BOOL, &[], &[value]));
    assert_eq!(training(0.0), "");
    assert_eq!(training(1.0), "Dropout `b` may be in training mode");
    let net = base().input("t", &[]);
    assert_eq!(between(17, "Dropout", &["", "t"], &[], net), "Dropout `b` may be in training mode");
    assert_eq!(between(6, "Dropout", &[], &[("is_test", int(1))], base()), "");
    assert_eq!(between(6, "Dropout", &[], &[], base()), "Dropout `b` may be in training mode");
    let norm = |attributes: &[(&str, Attribute)]| {
        let net = base().tensor("s", &[8]).tensor("t", &[8]).tensor("m", &[8]).tensor("v", &[8]);
        between(17, "BatchNormalization", &["s", "t", "m", "v"], attributes, net)
    };
    assert_eq!(norm(&[]), "");
    assert_eq!(norm(&[("training_mode", int(1))]), "BatchNormalization `b` is in training mode");
}

#[test]
fn channels_that_meet() {
    let softmax = |opset: i64, axis: Option<i64>| {
        let attributes: Vec<_> = axis.map(|axis| ("axis", int(axis))).into_iter().collect();
        between(opset, "Softmax", &[], &attributes, base())
    };
    let shares = "Softmax `b` makes shares of all channels";
    let ones = "Softmax `b` does not give 0 for 0, and Conv `y` takes what it gives";
    assert_eq!(softmax(17, Some(1)), shares);
    assert_eq!(softmax(17, Some(-3)), shares);
    assert_eq!(softmax(17, None), ones);
    assert_eq!(softmax(11, None), shares);
    assert_eq!(softmax(11, Some(0)), shares);
    assert_eq!(softmax(11, Some(2)), ones);
    assert_eq!(between(17, "LRN", &[], &[("size", int(3))], base()), "LRN `b` normalizes across channels");
    let mean = |axes: &[i64]| between(17, "ReduceMean", &[], &[("axes", ints(axes))], base());
    assert_eq!(mean(&[2, 3]), "");
    assert_eq!(mean(&[-3]), "ReduceMean `b` reduces along them");
    assert_eq!(mean(&[]), "ReduceMean `b` reduces along them");
    assert_eq!(between(18, "ReduceMax", &["n"], &[], base().list("n", &[-1])), "");
    assert_eq!(between(18, "ReduceMax", &[], &[("noop_with_empty_axes", int(1))], base()), "");
}

#[test]
fn parts_of_channels() {
    let slice = |from: i64, to: i64| {
        let net = base().list("f", &[from]).list("t", &[to]).list("on", &[1]);
        between(17, "Slice", &["f", "t", "on"], &[], net)
    };
    assert_eq!(slice(0, 8), "");
    assert_eq!(slice(0, 7), "Slice `b` takes a part of them");
    assert_eq!(slice(1, 8), "Slice `b` takes a part of them");
    assert_eq!(slice(0, -1), "Slice `b` takes a part of them");
    let pad =
        |pads: &[i64], value: f64| between(17, "Pad", &["p", "v"], &[], base().list("p", pads).number("v", value));
    assert_eq!(pad(&[0, 0, 1, 1, 0, 0, 1, 1], 0.0), "");
    assert_eq!(pad(&[0, 0, 0, 0, 0, 0, 0, 0], 1.0), "");
    assert!(pad(&[0, 0, 1, 1, 0, 0, 1, 1], 1.0).starts_with("Pad `b` does not give 0 for 0"));
    assert_eq!(pad(&[0, -1, 0, 0, 0, 1, 0, 0], 0.0), "Pad `b` adds channels or takes some away");
    assert_eq!(pad(&[0, 1, 0, 0, 0, 0, 0, 0], 1.0), "Pad `b` adds channels or takes some away");
    let mut net = base().with("Split", "b", &["a"], &[("axis", int(1))]);
    net.0.nodes[1].outputs.push("c".to_owned());
    assert_eq!(net.conv("y", "b", 4, 2, 1).output("y").frozen("a.w"), "Split `b` takes them apart");
    let gather = between(17, "Gather", &["i"], &[("axis", int(1))], base().list("i", &[7, 6, 5, 4, 3, 2, 1, 0]));
    assert_eq!(gather, "Gather `b` takes a part of them");
}

#[test]
fn groups() {
    let net = base().conv_with("b", "a", 4, 6, 1, &[("group", int(2))]).conv("y", "b", 6, 5, 1).output("y");
    assert_eq!(net.frozen("a.w"), "Conv `b` has 2 groups of channels");
    assert_eq!(net.frozen("b.w"), "Conv `b` has 2 groups of channels");
    let net = Net::new(17)
        .input("x", &[1, 3, 4, 4])
        .conv_with("b", "x", 1, 3, 1, &[("group", int(3))])
        .conv("y", "b", 3, 5, 1);
    assert_eq!(net.output("y").frozen("b.w"), "Conv `b` ties them to channels that no weight makes");
    assert!(base().op("Relu", "r", &["a"]).found().edits.is_empty());
}

#[test]
fn shared_tensors() {
    let net = base().op("Conv", "c", &["a", "y.w"]).conv("y", "c", 8, 8, 1).output("y");
    let why = "`y.w` is shared: Conv `c` takes it, Conv `y` too";
    assert_eq!((net.frozen("a.w").as_str(), net.frozen("y.w").as_str()), (why, why));
    // Under another name.
    let net = base().op("Identity", "i", &["y.w"]).op("Conv", "c", &["a", "i"]).conv("y", "c", 8, 8, 1).output("y");
    assert_eq!(net.frozen("a.w"), why);
    let net = base().op("Identity", "i", &["w"]).op("Identity", "j", &["i"]).tensor("w", &[4, 8, 1, 1]);
    let net = net.op("Conv", "c", &["a", "j"]).conv("y", "c", 4, 2, 1).output("y");
    assert_eq!(net.classes()[0], "8 a.w[0]:o a.b[0]:b w[1]:i");
    // Vectors of two normalizations.
    let net = base().batch_norm("n", "a", 8).op("BatchNormalization", "m", &["n", "n.s", "n.b", "n.m", "n.v"]);
    let net = net.conv("y", "m", 8, 2, 1).output("y");
    assert_eq!(net.frozen("a.w"), "`n.s` is shared: BatchNormalization `n` takes it, BatchNormalization `m` too");
    let net = base().output("a.b").conv("y", "a", 8, 2, 1).output("y");
    assert_eq!(net.frozen("a.w"), "`a.b` is a result of the network");
    let mut net = base().conv("y", "a", 8, 2, 1).output("y").op("If", "i", &[]);
    net.0.nodes[2].captured.push("a.w".to_owned());
    assert_eq!(net.frozen("a.w"), "`a.w` is shared: Conv `a` takes it, If `i` too");
}

#[test]
fn what_is_used_elsewhere() {
    let net = base().conv("y", "a", 8, 2, 1).output("y").output("a");
    assert_eq!(net.frozen("a.w"), "they are in `a`, a result of the network");
    let mut net = base().conv("y", "a", 8, 2, 1).output("y").op("Loop", "l", &[]);
    net.0.nodes[2].captured.push("a".to_owned());
    assert_eq!(net.frozen("a.w"), "a graph inside Loop `l` uses `a`");
    let mut net = base().op("Relu", "b", &["a"]).conv("y", "b", 8, 2, 1).output("y");
    net.0.nodes[1].domain = "com.example".to_owned();
    assert_eq!(net.frozen("a.w"), "Relu `b` is an operator of `com.example`, which is not known");
    // A second result that somebody uses.
    let mut net =
        base().with("MaxPool", "b", &["a"], &[("kernel_shape", ints(&[1, 1]))]).conv("y", "b", 8, 2, 1).output("y");
    net.0.nodes[1].outputs.push("where".to_owned());
    assert_eq!(net.frozen("a.w"), "");
    assert_eq!(net.output("where").frozen("a.w"), "MaxPool `b` makes `where`, which is not followed");
}

#[test]
fn weights_that_are_none() {
    let net = base().input("w", &[5, 8, 1, 1]).op("Conv", "y", &["a", "w"]).output("y");
    assert_eq!(net.frozen("a.w"), "Conv `y` takes `w`, which is computed, as its weight");
    let mut net = base().conv("y", "a", 8, 2, 1).output("y");
    net.0.constants.get_mut("y.w").expect("it is there").is_tensor = false;
    assert_eq!(net.frozen("a.w"), "Conv `y` takes `y.w`, which is no tensor of the checkpoint");
    let net = base().conv("y", "a", 9, 2, 1).output("y");
    assert_eq!(net.frozen("a.w"), "Conv `y` takes another number of channels than `y.w` has");
    let net = base().op("Flatten", "f", &["a"]).op("Transpose", "t", &["f"]).op("MatMul", "y", &["f", "t"]).output("y");
    assert_eq!(net.frozen("a.w"), "MatMul `y` multiplies `f` by `t`, which is no constant");
    let net = base().op("Flatten", "f", &["a"]).tensor("w", &[128, 4]);
    let net = net.with("Gemm", "y", &["f", "w"], &[("transA", int(1))]).output("y");
    assert_eq!(net.frozen("a.w"), "Gemm `y` transposes its first input");
    // Of what nothing is known, a weight still makes so many channels.
    let mut net = Net::new(17)
        .input("x", &[])
        .conv("a", "x", 3, 8, 3)
        .conv("b", "a", 8, 4, 3)
        .conv("y", "b", 4, 2, 1)
        .output("y");
    net.0.inputs[0].shape = None;
    assert_eq!(net.frozen("a.w"), "Conv `a` takes `x`, whose shape is unknown");
    assert_eq!(net.frozen("b.w"), "");
}

/// What a weight of no checkpoint makes is frozen, and no class, whatever else lies along it.
#[test]
fn channels_without_a_class() {
    let mut net = base().conv("b", "a", 8, 4, 1).conv("y", "b", 4, 2, 1).output("y");
    net.0.constants.get_mut("b.w").expect("it is there").is_tensor = false;
    net.assert(&[
        "8 a.w[0]:o a.b[0]:b | Conv `b` takes `b.w`, which is no tensor of the checkpoint",
        &format!("2 y.w[0]:o y.b[0]:b | {RESULT}"),
    ]);
    let found = net.found();
    assert!(found.values.iter().all(|(name, _)| name != "b"));
    assert_eq!(found.layers[2].macs.as_ref().map(|macs| macs.input.fixed), Some(4));
}
