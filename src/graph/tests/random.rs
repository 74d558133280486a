//! Networks by chance, of layers that fit together.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What must hold of any answer.
pub(super) fn check(graph: &Graph, found: &Dependencies) {
    let mut seen: HashMap<(&str, usize), Vec<(u64, u64)>> = HashMap::new();
    for class in &found.classes {
        assert!(class.channels > 0 && !class.members.is_empty(), "{class:?}");
        assert_eq!(class.name, class.members[0].tensor);
        assert_eq!(class.members[0].role, Role::Output);
        for member in &class.members {
            let length = graph.constants[&member.tensor].shape[member.axis];
            let end = member.start + class.channels * member.run;
            assert!(member.run > 0 && end <= length, "{member:?} of {length}");
            seen.entry((&member.tensor, member.axis)).or_default().push((member.start, end));
        }
    }
    for (place, mut ranges) in seen {
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{place:?}: {ranges:?}");
    }
    let all: Vec<u64> = found.classes.iter().map(|class| class.channels).collect();
    for (_, widths) in &found.values {
        for (_, width) in widths {
            assert!(width.classes.iter().all(|&(class, run)| class < all.len() && run > 0), "{width:?}");
        }
    }
    for layer in &found.layers {
        assert!(layer.node < graph.nodes.len() && graph.constants.contains_key(&layer.name));
    }
}

/// What follows a map of 4 × 4 positions.
#[derive(Clone, Debug)]
enum Step {
    Conv(u64),
    Norm,
    Relu,
    Depthwise,
    Residual,
    Beside(u64),
    Excite,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..9_u64).prop_map(Step::Conv),
        Just(Step::Norm),
        Just(Step::Relu),
        Just(Step::Depthwise),
        Just(Step::Residual),
        (1..5_u64).prop_map(Step::Beside),
        Just(Step::Excite),
    ];
    proptest::collection::vec(step, 1..14)
}

fn build(steps: &[Step]) -> Net {
    let mut net = Net::new(17).input("x", &[-1, 3, 4, 4]).conv("first", "x", 3, 5, 3);
    let (mut last, mut width) = ("first".to_owned(), 5);
    for (index, step) in steps.iter().enumerate() {
        let (name, side) = (format!("n{index}"), format!("s{index}"));
        (net, width) = match *step {
            Step::Conv(out) => (net.conv(&name, &last, width, out, 3), out),
            Step::Norm => (net.batch_norm(&name, &last, width), width),
            Step::Relu => (net.op("Relu", &name, &[&last]), width),
            Step::Depthwise => {
                let attributes = [("group", int(width as i64)), ("pads", ints(&[1; 4]))];
                (net.conv_with(&name, &last, 1, width, 3, &attributes), width)
            }
            Step::Residual => (net.conv(&side, &last, width, width, 3).op("Add", &name, &[&side, &last]), width),
            Step::Beside(out) => {
                let net = net.conv(&side, &last, width, out, 1);
                (net.with("Concat", &name, &[&last, &side], &[("axis", int(1))]), width + out)
            }
            Step::Excite => {
                let pool = format!("p{index}");
                let net = net.op("GlobalAveragePool", &pool, &[&last]).conv(&side, &pool, width, width, 1);
                let gate = format!("g{index}");
                (net.op("Sigmoid", &gate, &[&side]).op("Mul", &name, &[&last, &gate]), width)
            }
        };
        last = name;
    }
    net.op("Flatten", "flat", &[&last]).gemm("y", "flat", width * 16, 3).output("y")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In such networks everything but the result can be cut, and each axis of each weight is in classes as a whole.
    #[test]
    fn all_of_it_is_proven(steps in steps()) {
        let net = build(&steps);
        let found = net.found();
        check(&net.0, &found);
        let frozen: Vec<_> = found.classes.iter().filter(|class| class.frozen.is_some()).map(|class| &class.name).collect();
        prop_assert_eq!(frozen, ["y.w"]);
        let mut covered: HashMap<(&str, usize), u64> = HashMap::new();
        for class in &found.classes {
            for member in &class.members {
                *covered.entry((&member.tensor, member.axis)).or_default() += class.channels * member.run;
            }
        }
        for (name, constant) in &net.0.constants {
            for axis in 0..constant.shape.len().min(2) {
                let from_input = name == "first.w" && axis == 1;
                let depthwise = constant.shape[axis] == 1;
                let covered = covered.get(&(name.as_str(), axis)).copied().unwrap_or(0);
                prop_assert!(from_input || depthwise || covered == constant.shape[axis], "{} {}", name, axis);
            }
        }
    }
}

/// Thousands of channels and hundreds of layers are no trouble: nothing here is quadratic.
#[test]
fn wide_and_deep() {
    let mut net = Net::new(17).input("x", &[1, 3, 7, 7]).conv("c0", "x", 3, 4096, 1);
    for index in 1..300 {
        net = net.conv(&format!("c{index}"), &format!("c{}", index - 1), 4096, 4096, 1);
        net = net.op("Add", &format!("a{index}"), &[&format!("c{index}"), &format!("c{}", index - 1)]);
    }
    let net = net.op("Flatten", "f", &["a299"]).gemm("y", "f", 4096 * 49, 10).output("y");
    let before = std::time::Instant::now();
    let found = net.found();
    assert_eq!(found.classes.len(), 2);
    assert!(before.elapsed().as_secs() < 20, "{:?}", before.elapsed());
}
