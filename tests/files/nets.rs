//! A small network with everything that classes of channels have to do with: convolutions, two branches that are joined, a
//! flattened map, and matrices whose outputs lie along their second axis.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::models::{Made, noise};
use secateur::graph::{Class, Dependencies, Layer, Macs, Member, Role, Width};

/// Widths of the four classes that can be cut.
pub(crate) type Widths = [u64; 4];
pub(crate) const WIDTHS: Widths = [6, 4, 5, 8];
/// Positions of the flattened map.
const MAP: u64 = 4;

/// A network of those widths, weights of a seed.
pub(crate) struct Net {
    pub(crate) tensors: Vec<Made>,
    pub(crate) dependencies: Dependencies,
}

impl Net {
    pub(crate) fn new([a, b, c, d]: Widths, seed: u64) -> Self {
        let mut random = noise(seed);
        let mut tensor = |name: &str, shape: &[u64]| {
            let n = shape.iter().product::<u64>();
            // A sum of uniform numbers, the first axis of a scale of its own.
            let rows = shape[0];
            let scale: Vec<f32> = (0..rows).map(|_| (random() % 1000) as f32 / 500.0 + 0.05).collect();
            let mut normal = || (0..6).map(|_| (random() % 4001) as f32 / 2000.0 - 1.0).sum::<f32>() + 0.1;
            let values: Vec<f32> = (0..n).map(|i| normal() * scale[(i / (n / rows).max(1)) as usize]).collect();
            Made::f32(name, shape, &values)
        };
        let tensors = vec![
            tensor("conv1.weight", &[a, 3, 3, 3]),
            tensor("conv1.bias", &[a]),
            tensor("bn.weight", &[a]),
            tensor("conv2.weight", &[b, a, 3, 3]),
            tensor("conv2.bias", &[b]),
            tensor("side.weight", &[c, a, 1, 1]),
            tensor("fc1", &[(b + c) * MAP, d]),
            tensor("fc2", &[d, 10]),
        ];
        Self { tensors, dependencies: dependencies([a, b, c, d]) }
    }
}

fn member(tensor: &str, axis: usize, start: u64, run: u64, role: Role) -> Member {
    Member { tensor: tensor.to_owned(), axis, start, run, role }
}

fn class(channels: u64, members: Vec<Member>, frozen: Option<&str>) -> Class {
    Class { name: members[0].tensor.clone(), channels, members, frozen: frozen.map(str::to_owned) }
}

fn along(classes: &[(usize, u64)]) -> Width {
    Width { fixed: 0, classes: classes.to_vec() }
}

fn dependencies([a, b, c, d]: Widths) -> Dependencies {
    use Role::{Bias, Input, Output, Scale};
    let classes = vec![
        class(
            a,
            vec![
                member("conv1.weight", 0, 0, 1, Output),
                member("conv1.bias", 0, 0, 1, Bias),
                member("bn.weight", 0, 0, 1, Scale),
                member("conv2.weight", 1, 0, 1, Input),
                member("side.weight", 1, 0, 1, Input),
            ],
            None,
        ),
        class(
            b,
            vec![
                member("conv2.weight", 0, 0, 1, Output),
                member("conv2.bias", 0, 0, 1, Bias),
                member("fc1", 0, 0, MAP, Input),
            ],
            None,
        ),
        class(c, vec![member("side.weight", 0, 0, 1, Output), member("fc1", 0, b * MAP, MAP, Input)], None),
        class(d, vec![member("fc1", 1, 0, 1, Output), member("fc2", 0, 0, 1, Input)], None),
        class(10, vec![member("fc2", 1, 0, 1, Output)], Some("an output of the network")),
    ];
    let layer = |node, parameters: &[&str], positions, kernel, output, input| Layer {
        node,
        name: parameters[0].to_owned(),
        parameters: parameters.iter().map(|&name| name.to_owned()).collect(),
        macs: Some(Macs { positions, kernel, output, input }),
    };
    let layers = vec![
        layer(0, &["conv1.weight", "conv1.bias"], 16, 9, along(&[(0, 1)]), Width { fixed: 3, classes: vec![] }),
        layer(1, &["bn.weight"], 0, 0, Width::default(), Width::default()),
        layer(2, &["conv2.weight", "conv2.bias"], MAP, 9, along(&[(1, 1)]), along(&[(0, 1)])),
        layer(3, &["side.weight"], MAP, 1, along(&[(2, 1)]), along(&[(0, 1)])),
        layer(4, &["fc1"], 1, 1, along(&[(3, 1)]), along(&[(1, MAP), (2, MAP)])),
        layer(5, &["fc2"], 1, 1, along(&[(4, 1)]), along(&[(3, 1)])),
    ];
    Dependencies { classes, edits: Vec::new(), values: Vec::new(), layers }
}

/// Parameters and operations of the network at those widths, written out.
pub(crate) fn costs([a, b, c, d]: Widths) -> (u64, u64) {
    let parameters = a * 27 + a + a + b * a * 9 + b + c * a + (b + c) * MAP * d + d * 10;
    let macs = 16 * a * 27 + MAP * b * a * 9 + MAP * c * a + (b + c) * MAP * d + d * 10;
    (parameters, macs)
}
