//! Parameters and multiplications.

use super::*;

/// Of each layer: its name, parameters, and multiplications with all channels.
fn layers(net: &Net) -> Vec<(String, String, Option<u64>)> {
    let found = net.found();
    let channels: Vec<u64> = found.classes.iter().map(|class| class.channels).collect();
    let macs = |layer: &crate::graph::Layer| layer.macs.as_ref().map(|macs| macs.with(&channels));
    found.layers.iter().map(|layer| (layer.name.clone(), layer.parameters.join(" "), macs(layer))).collect()
}

#[test]
fn of_one_sample() {
    for batch in [-1, 1, 8] {
        let net = Net::new(17)
            .input("x", &[batch, 3, 10, 10])
            .conv_with("a", "x", 3, 8, 3, &[("strides", ints(&[2, 2]))])
            .conv_with("b", "a", 4, 6, 1, &[("group", int(2))])
            .op("Flatten", "f", &["b"])
            .gemm("y", "f", 96, 7)
            .output("y");
        let expected = [("a.w", 8 * 3 * 9 * 16), ("b.w", 6 * 4 * 16), ("y.w", 96 * 7)];
        for ((name, _, macs), (weight, count)) in layers(&net).iter().zip(expected) {
            assert_eq!((name.as_str(), *macs), (weight, Some(count)), "{batch}");
        }
    }
}

#[test]
fn rows_of_a_product() {
    let net =
        Net::new(17).input("x", &[-1, 12, 5, 64]).tensor("w", &[64, 32]).op("MatMul", "y", &["x", "w"]).output("y");
    assert_eq!(layers(&net), [("w".to_owned(), "w".to_owned(), Some(12 * 5 * 64 * 32))]);
    let net = Net::new(17).input("x", &[-1, -2, 64]).tensor("w", &[64, 32]).op("MatMul", "y", &["x", "w"]).output("y");
    assert_eq!(layers(&net), [("w".to_owned(), "w".to_owned(), None)]);
}

#[test]
fn maps_of_any_size() {
    let net = Net::new(17).input("x", &[-1, 3, -2, -2]).conv("a", "x", 3, 8, 3).op("GlobalAveragePool", "p", &["a"]);
    let net = net.op("Flatten", "f", &["p"]).gemm("y", "f", 8, 2).output("y");
    assert_eq!(net.frozen("a.w"), "");
    assert_eq!(layers(&net)[0].2, None);
    assert_eq!(layers(&net)[1].2, Some(16));
}

#[test]
fn parameters_are_counted_once() {
    let net = Net::new(17)
        .input("x", &[1, 8, 4, 4])
        .conv("a", "x", 8, 8, 1)
        .op("Conv", "b", &["a", "a.w"])
        .tensor("bias", &[8, 1, 1])
        .number("half", 0.5)
        .op("Mul", "c", &["b", "half"])
        .op("Add", "d", &["c", "bias"])
        .number("low", 0.0)
        .op("Clip", "e", &["d", "low"])
        .list("shape", &[0, -1])
        .op("Reshape", "y", &["e", "shape"])
        .output("y");
    let of = |name: &str, parameters: &str, macs: u64| (name.to_owned(), parameters.to_owned(), Some(macs));
    assert_eq!(layers(&net), [of("a.w", "a.w a.b", 1024), of("a.w", "", 1024), of("bias", "bias", 0)]);
}
