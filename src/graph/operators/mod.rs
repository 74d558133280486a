//! What each operator does to shapes and channels.
//!
//! A function for each family takes the inputs it understands from its [`Site`], notes in the [`State`] what its tensors
//! have to do with their channels, and gives what is known of its results. Its error says why it cannot, in words that follow
//! the operator's name; all channels that come in must stay then. What an operator does not take must stay, too.

mod convolution;
mod elementwise;
mod join;
mod normalization;
mod pool;
mod product;
mod rearrange;
mod reduce;
mod reshape;
mod resize;
mod select;
mod transposed;
mod unary;

use std::rc::Rc;

use super::atoms::{self, Channels, Segment};
use super::ir::{Attribute, Node};
use super::site::Site;
use super::state::State;
use super::value::{Axis, Length, Value};

/// What is known of an operator's results, by position, or why its inputs' channels must stay.
type Followed<'a> = Result<Vec<Value<'a>>, String>;

/// Follows an operator.
pub(super) fn follow<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    if !site.node.domain.is_empty() {
        return Err(format!("is an operator of `{}`, which is not known", crate::shortened(&site.node.domain)));
    }
    if !site.node.captured.is_empty() {
        return Err("has a graph inside that uses what is outside".to_owned());
    }
    match site.node.op.as_str() {
        "Conv" => convolution::conv(state, site),
        "ConvTranspose" => transposed::conv_transpose(state, site),
        "Gemm" => product::gemm(state, site),
        "MatMul" => product::mat_mul(state, site),
        "BatchNormalization" => normalization::batch(state, site),
        "InstanceNormalization" => normalization::instance(state, site),
        "LRN" | "LayerNormalization" | "GroupNormalization" | "RMSNormalization" => normalization::across(state, site),
        "Softmax" | "LogSoftmax" => normalization::softmax(state, site),
        "Add" | "Sub" | "Sum" | "Mean" | "Max" | "Min" => elementwise::follow(state, site, elementwise::Rule::Additive),
        "Mul" => elementwise::follow(state, site, elementwise::Rule::Product),
        "Div" => elementwise::follow(state, site, elementwise::Rule::Quotient),
        "Pow" => elementwise::follow(state, site, elementwise::Rule::Power),
        "PRelu" => elementwise::follow(state, site, elementwise::Rule::Slope),
        "MaxPool" | "AveragePool" | "LpPool" => pool::windows(state, site),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => pool::global(state, site),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
            reduce::follow(state, site)
        }
        "Flatten" => reshape::flatten(state, site),
        "Reshape" => reshape::reshape(state, site),
        "Squeeze" => rearrange::squeeze(state, site),
        "Unsqueeze" => rearrange::unsqueeze(site),
        "Transpose" => rearrange::transpose(site),
        "Concat" => join::concat(state, site),
        "Split" => select::split(state, site),
        "Slice" => select::slice(state, site),
        "Gather" => select::gather(state, site),
        "Pad" => select::pad(state, site),
        "Resize" | "Upsample" => resize::follow(state, site),
        "Shape" => Ok(shape(site)),
        "ConstantOfShape" => reshape::filled(state, site),
        op => unary::follow(state, site, unary::kind(op).ok_or("is not followed")?),
    }
}

/// Whether an operator gives what it gets, element for element: as it is, or as another kind of float.
pub(super) fn is_same_array(node: &Node) -> bool {
    let to_float = || matches!(node.attributes.get("to"), Some(Attribute::Int(1 | 10 | 11 | 16)));
    node.domain.is_empty() && (node.op == "Identity" || (node.op == "Cast" && to_float()))
}

/// Whether an operator knows what to do with shapes whose elements are numbers of channels.
pub(super) fn reads_shapes(op: &str) -> bool {
    matches!(op, "Reshape" | "Resize" | "Upsample")
}

/// A list of lengths, whose elements are `values`'s business.
fn shape<'a>(site: &mut Site<'a>) -> Vec<Value<'a>> {
    site.take(0);
    let list = |elements: Vec<_>| Value::of(vec![Axis::plain(Length::Fixed(elements.len() as u64))]);
    vec![super::values::shape(site).map(list).unwrap_or_default()]
}

/// Channels along all axes but `allowed` must stay.
fn freeze_others(state: &mut State<'_>, axes: &mut [Axis], allowed: impl Fn(usize) -> bool, why: &str) {
    for (_, axis) in axes.iter_mut().enumerate().filter(|(index, _)| !allowed(*index)) {
        if let Some(channels) = &axis.channels {
            state.atoms.freeze(channels, why);
        }
    }
}

/// These channels are taken by weights, each of which meets all of them: those whose deletion would not leave 0 must stay.
fn consume(state: &mut State<'_>, site: &Site<'_>, channels: &[Segment]) {
    if let Some(culprit) = atoms::nonzero(channels).and_then(|node| state.graph.nodes.get(node)) {
        let why =
            format!("{} does not give 0 for 0, and {} takes what it gives", super::check::label(culprit), site.label());
        for segment in channels.iter().filter(|segment| segment.nonzero.is_some()) {
            state.atoms.freeze(std::slice::from_ref(segment), &why);
        }
    }
}

/// `length` indices, of which none can go.
fn lane(length: u64) -> Channels {
    Rc::new([Segment::fixed(length)])
}
