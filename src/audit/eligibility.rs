//! Which tensors a pattern is asked of: those that pruning would cut.

use crate::Tensor;

use super::Pattern;

/// Why a floating tensor is not judged; `named` is whether the tensors were chosen by name, which makes any rank eligible.
pub(super) fn left_out(tensor: &Tensor, pattern: Pattern, named: bool) -> Option<String> {
    let by_name = || not_pruned(tensor).map(str::to_owned);
    by_name().filter(|_| !named).or_else(|| match tensor.shape() {
        [_, cols, ..] if cols.is_multiple_of(u64::from(pattern.of())) => None,
        [_, cols, ..] => Some(format!("axis 1 has {cols} elements, no multiple of {}", pattern.of())),
        _ => Some("it has no axis 1".to_owned()),
    })
}

/// Why pruning leaves a tensor out unless it is told otherwise.
fn not_pruned(tensor: &Tensor) -> Option<&'static str> {
    let name = tensor.name();
    let part = |parts: &[&str]| name.split('.').any(|part| parts.contains(&part));
    match () {
        () if tensor.shape().len() < 2 => Some("fewer than two axes"),
        () if name.contains("embed") && !name.contains("patch_embed") => Some("an embedding"),
        () if part(&["wte", "wpe"]) => Some("an embedding"),
        () if name.starts_with("lm_head") => Some("an output head"),
        () if name.contains("scale") || name.contains("zero_point") => {
            Some("a scale or zero point of quantised weights")
        }
        () if name.contains("router") => Some("a router"),
        () => None,
    }
}
