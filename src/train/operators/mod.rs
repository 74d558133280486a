//! The operators that are known, each over burn's tensors.

mod activation;
mod convolution;
mod elementwise;
mod join;
mod normalization;
mod pool;
mod product;
mod rearrange;
mod reduce;
mod site;
mod window;

pub(super) use site::{Mode, Site, Statistics};

use site::Made;

/// What runs an operator.
type Operator = fn(&mut Site<'_>) -> Made;

/// Every operator of ONNX itself that is known, by name.
const KNOWN: [(&str, Operator); 47] = [
    ("Add", elementwise::add),
    ("AveragePool", pool::average),
    ("BatchNormalization", normalization::batch),
    ("Cast", rearrange::cast),
    ("Clip", activation::clip),
    ("Concat", join::concat),
    ("ConstantOfShape", join::constant_of_shape),
    ("Conv", convolution::conv),
    ("Div", elementwise::div),
    ("Dropout", activation::dropout),
    ("Erf", activation::erf),
    ("Exp", activation::exp),
    ("Flatten", rearrange::flatten),
    ("Gather", join::gather),
    ("Gelu", activation::gelu),
    ("Gemm", product::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalMaxPool", pool::global_max),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", rearrange::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("Log", activation::log),
    ("LogSoftmax", activation::log_softmax),
    ("MatMul", product::mat_mul),
    ("MaxPool", pool::max),
    ("Mul", elementwise::mul),
    ("Neg", activation::neg),
    ("Pad", join::pad),
    ("Pow", elementwise::pow),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceSum", reduce::sum),
    ("Relu", activation::relu),
    ("Reshape", rearrange::reshape),
    ("Shape", rearrange::shape),
    ("Sigmoid", activation::sigmoid),
    ("Slice", join::slice),
    ("Softmax", activation::softmax),
    ("Softplus", activation::softplus),
    ("Sqrt", activation::sqrt),
    ("Squeeze", rearrange::squeeze),
    ("Sub", elementwise::sub),
    ("Sum", elementwise::sum),
    ("Tanh", activation::tanh),
    ("Transpose", rearrange::transpose),
    ("Unsqueeze", rearrange::unsqueeze),
];

/// What runs that operator; an error that says what is known.
pub(super) fn find(domain: &str, op: &str) -> Result<Operator, String> {
    let ours = domain.is_empty() || domain == "ai.onnx";
    let found = KNOWN.iter().find(|(name, _)| *name == op).filter(|_| ours);
    found.map(|(_, run)| *run).ok_or_else(|| {
        let domain = if ours { String::new() } else { format!(" of `{}`", crate::shortened(domain)) };
        let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
        format!(
            "the operator `{}`{domain} is not known to the trainer, which knows {}",
            crate::shortened(op),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_sorted() {
        assert!(super::KNOWN.is_sorted_by_key(|(name, _)| *name));
    }
}
