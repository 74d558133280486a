//! Graphs that cannot be, and graphs that nobody would write.

use super::*;

fn refused(net: &Net) -> String {
    Dependencies::of(&net.0).expect_err("it does not fit together").to_string()
}

#[test]
fn order_and_names() {
    let base = || Net::new(17).input("x", &[1, 3, 4, 4]);
    assert_eq!(
        refused(&base().op("Add", "a", &["x", "b"]).op("Relu", "b", &["a"])),
        "Add `a` takes `b`, which Relu `b` makes only later: the graph is cyclic or out of order"
    );
    assert_eq!(
        refused(&base().op("Add", "a", &["x", "a"])),
        "Add `a` takes `a`, which Add `a` makes only later: the graph is cyclic or out of order"
    );
    assert_eq!(
        refused(&base().op("Relu", "a", &["w\u{1b}"])),
        "Relu `a` takes `w\\u{1b}`, which nothing makes: the file is incomplete"
    );
    assert_eq!(
        refused(&base().op("Relu", "a", &["x"]).op("Tanh", "a", &["x"])),
        "Tanh `a` makes `a`, which is there already"
    );
    assert_eq!(refused(&base().op("Relu", "x", &["x"])), "Relu `x` makes `x`, which is there already");
    assert_eq!(refused(&base().input("x", &[])), "the input `x` is there twice");
    assert_eq!(refused(&base().output("z")), "nothing makes `z`, a result of the network");
    let mut net = base().op("If", "a", &["x"]);
    net.0.nodes[0].captured.push("z".to_owned());
    assert_eq!(refused(&net), "If `a` takes `z`, which nothing makes: the file is incomplete");
    let mut net = base().op("Relu", "", &["z"]);
    net.0.nodes[0].outputs = vec!["r".to_owned()];
    assert_eq!(refused(&net), "Relu (that makes `r`) takes `z`, which nothing makes: the file is incomplete");
    assert_eq!(Dependencies::of(&Graph::default()).expect("nothing is wrong with it"), Dependencies::default());
}

const OPS: &[&str] = &[
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "Softmax",
    "LogSoftmax",
    "Add",
    "Sub",
    "Sum",
    "Max",
    "Mul",
    "Div",
    "Pow",
    "PRelu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "ReduceMean",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "Pad",
    "Resize",
    "Upsample",
    "Shape",
    "ConstantOfShape",
    "Relu",
    "Sigmoid",
    "Sinh",
    "Clip",
    "Shrink",
    "Cast",
    "Dropout",
    "Identity",
    "Floor",
    "Unheard",
];

const ATTRIBUTES: &[&str] = &[
    "group",
    "kernel_shape",
    "pads",
    "strides",
    "dilations",
    "auto_pad",
    "output_shape",
    "output_padding",
    "ceil_mode",
    "axis",
    "axes",
    "perm",
    "transA",
    "transB",
    "keepdims",
    "starts",
    "ends",
    "split",
    "shape",
    "scales",
    "allowzero",
    "to",
    "mode",
    "value",
    "training_mode",
    "broadcast",
    "start",
    "end",
    "noop_with_empty_axes",
];

const NUMBERS: &[i64] = &[0, 1, -1, 2, 3, -2, 4, 8, 63, 64, -9, 1 << 20, 1 << 31, 1 << 62, i64::MAX, i64::MIN];

/// Lengths of 0, and slices beyond all ends.
#[test]
fn slices_of_nothing() {
    for length in [0, 1, 5, i64::MAX] {
        for (start, end, step) in
            [(0, -1, -1), (-1, i64::MIN, -1), (i64::MIN, i64::MAX, i64::MAX), (i64::MAX, 0, i64::MIN), (0, 1, 0)]
        {
            let net = Net::new(17).input("x", &[1, 3, length]).tensor("w", &[4, 3, 1]).op("Conv", "a", &["x", "w"]);
            let net = net.list("s", &[start]).list("e", &[end]).list("on", &[2]).list("step", &[step]);
            assert_eq!(net.op("Slice", "y", &["a", "s", "e", "on", "step"]).output("y").found().classes.len(), 1);
        }
    }
}

mod any {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![4 => proptest::sample::select(&NUMBERS[1..8]), 1 => proptest::sample::select(NUMBERS)]
    }

    fn attribute() -> impl Strategy<Value = Attribute> {
        prop_oneof![
            3 => number().prop_map(Attribute::Int),
            3 => proptest::collection::vec(number(), 0..9).prop_map(Attribute::Ints),
            1 => any::<f32>().prop_map(Attribute::Float),
            1 => Just(text("SAME_UPPER")),
            1 => proptest::collection::vec(any::<f32>(), 0..5).prop_map(Attribute::Floats),
            1 => Just(Attribute::Other),
        ]
    }

    fn shape() -> impl Strategy<Value = Vec<u64>> {
        let length = prop_oneof![5 => 1..5_u64, 1 => Just(0), 1 => Just(1 << 40), 1 => Just(u64::MAX)];
        prop_oneof![8 => proptest::collection::vec(1..5_u64, 0..5), 2 => proptest::collection::vec(length, 0..70)]
    }

    prop_compose! {
        fn constant()(
            shape in shape(),
            numbers in proptest::option::of(proptest::collection::vec(number(), 0..10)),
            list in any::<bool>(),
            is_tensor in proptest::bool::weighted(0.8),
        ) -> Constant {
            let values = numbers.map(|numbers| numbers.iter().map(|&number| number as f64).collect::<Vec<_>>());
            let shape = values.as_ref().filter(|_| list).map_or(shape, |values| vec![values.len() as u64]);
            Constant { shape, dtype: Some(if list { Dtype::I64 } else { Dtype::F32 }), values, is_tensor }
        }
    }

    /// Operators take any of what is there before them.
    fn node(index: usize) -> impl Strategy<Value = Node> {
        let take = proptest::collection::vec(any::<proptest::sample::Index>(), 0..6);
        let attributes = proptest::collection::btree_map(proptest::sample::select(ATTRIBUTES), attribute(), 0..5);
        (proptest::sample::select(OPS), take, attributes, 1..4_usize).prop_map(
            move |(op, take, attributes, outputs)| {
                let before = |at: &proptest::sample::Index| match at.index(index + 12) {
                    0 => String::new(),
                    at @ 1..=3 => format!("x{}", at - 1),
                    at @ 4..=11 => format!("c{}", at - 4),
                    at => format!("v{}", at - 12),
                };
                Node {
                    op: op.to_owned(),
                    inputs: take.iter().map(before).collect(),
                    outputs: (0..outputs)
                        .map(|at| if at == 0 { format!("v{index}") } else { format!("v{index}.{at}") })
                        .collect(),
                    attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                    ..Node::default()
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// Whatever a file says, there is an answer, and every member of it lies in its tensor.
        #[test]
        fn graph(
            opset in proptest::sample::select(&[0_i64, 1, 6, 9, 11, 13, 18, i64::MIN][..]),
            inputs in proptest::collection::vec(proptest::option::of(shape()), 3),
            constants in proptest::collection::vec(constant(), 8),
            nodes in (0..9_usize).prop_flat_map(|count| (0..count).map(node).collect::<Vec<_>>()),
        ) {
            let input = |(index, shape): (usize, Option<Vec<u64>>)| Value {
                name: format!("x{index}"),
                shape: shape.map(|shape| shape.into_iter().map(Dim::Fixed).collect()),
            };
            let last = nodes.last().map(|node| node.outputs[0].clone());
            let graph = Graph {
                opset,
                nodes,
                inputs: inputs.into_iter().enumerate().map(input).collect(),
                outputs: last.into_iter().collect(),
                constants: constants.into_iter().enumerate().map(|(index, constant)| (format!("c{index}"), constant)).collect(),
            };
            let found = Dependencies::of(&graph).expect("its order is right");
            super::super::random::check(&graph, &found);
        }
    }
}
