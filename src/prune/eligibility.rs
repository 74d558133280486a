//! Which tensors take part.

use crate::{Dtype, Selection, Tensor};

/// Why a tensor is left out of pruning, or `None` where it takes part.
///
/// Where the user chose tensors (`only_given`), every floating one that is chosen takes part, of whatever rank and name.
/// Otherwise tensors of fewer than two dimensions (biases, norms), token embeddings and output heads of language
/// models, the scales and zero points of quantised tensors, and routers of mixtures of experts are left out: cutting them
/// saves little and costs much. Names are compared without regard to case.
pub fn left_out(tensor: &Tensor, selection: &Selection, only_given: bool) -> Option<String> {
    reason(tensor.name(), tensor.dtype(), tensor.shape(), selection, only_given)
}

fn reason(name: &str, dtype: Dtype, shape: &[u64], selection: &Selection, only_given: bool) -> Option<String> {
    if crate::Float::from_dtype(dtype).is_none() {
        return Some(format!("{dtype} is not a floating format that is pruned"));
    }
    if selection.skips(name) {
        return Some("skipped by --skip".to_owned());
    }
    if !selection.includes(name) {
        return Some("not chosen by --only".to_owned());
    }
    if shape.contains(&0) {
        return Some("no elements".to_owned());
    }
    if only_given {
        return None;
    }
    if shape.len() < 2 {
        return Some("fewer than two dimensions".to_owned());
    }
    by_name(&name.to_ascii_lowercase()).map(|kind| format!("{kind} (name it with --only to prune it)"))
}

/// What a tensor of that lower-case name is, if it is best left alone.
fn by_name(name: &str) -> Option<&'static str> {
    let mut parts = name.split(['.', '/']);
    let has_part = |wanted: &str| name.split(['.', '/']).any(|part| part == wanted);
    // The patches of a vision model are a convolution like any other.
    if (name.contains("embed") && !name.contains("patch_embed")) || has_part("wte") || has_part("wpe") {
        Some("an embedding")
    } else if parts.clone().any(|part| part.starts_with("lm_head")) {
        Some("an output head")
    } else if name.contains("scale") || name.contains("zero_point") {
        Some("a scale or zero point")
    } else if parts.any(|part| part.contains("router")) || name.ends_with(".gate.weight") {
        Some("a router")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, dtype: Dtype, shape: &[u64], only: &[&str], skip: &[&str]) -> Option<String> {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&owned(only), &owned(skip)).expect("good globs");
        reason(name, dtype, shape, &selection, !only.is_empty())
    }

    #[test]
    fn names() {
        let (embedding, head, scale, router) =
            (Some("an embedding"), Some("an output head"), Some("a scale"), Some("a router"));
        for (name, expected) in [
            ("conv1.weight", None),
            ("model.layers.0.mlp.gate_proj.weight", None),
            ("model.layers.0.mlp.up_proj.weight", None),
            ("model.embed_tokens.weight", embedding),
            ("Embedding.weight", embedding),
            ("bert.embeddings.word_embeddings.weight", embedding),
            ("vit.pos_embed", embedding),
            ("patch_embed.proj.weight", None),
            ("vit.embeddings.patch_embeddings.projection.weight", None),
            ("lm_head.weight", head),
            ("language_model.lm_head.weight", head),
            ("LM_HEAD.weight", head),
            ("lm_head", head),
            ("my_lm_head.weight", None),
            ("transformer.wte.weight", embedding),
            ("transformer/wpe", embedding),
            ("newte.weight", None),
            ("wte", embedding),
            ("layers.0.q_proj.weight_scale", scale),
            ("layers.0.q_proj.weight_scale_inv", scale),
            ("layers.0.Scales", scale),
            ("layers.0.q_proj.weight_zero_point", scale),
            ("layers.0.mlp.router.weight", router),
            ("layers.0.moe_router/kernel", router),
            ("layers.0.block_sparse_moe.gate.weight", router),
            ("layers.0.mlp.gate.weight", router),
            ("layers.0.mlp.gate.bias", None),
            ("gate.weight", None),
        ] {
            let reason = found(name, Dtype::F32, &[4, 4], &[], &[]);
            match expected {
                Some(expected) => {
                    assert!(reason.as_deref().is_some_and(|r| r.starts_with(expected)), "{name}: {reason:?}")
                }
                None => assert_eq!(reason, None, "{name}"),
            }
            assert_eq!(found(name, Dtype::F32, &[4, 4], &["*"], &[]), None, "{name}: --only takes any");
        }
    }

    /// Dtype, shape, globs of --only and --skip, how the reason starts.
    type Case = (Dtype, &'static [u64], &'static [&'static str], &'static [&'static str], Option<&'static str>);

    #[test]
    fn kinds_and_choices() {
        let cases: &[Case] = &[
            (Dtype::BF16, &[4, 4], &[], &[], None),
            (Dtype::F8_E4M3, &[4, 4], &[], &[], None),
            (Dtype::I64, &[4, 4], &["*"], &[], Some("I64 is not")),
            (Dtype::F8_E8M0, &[4, 4], &["*"], &[], Some("F8_E8M0 is not")),
            (Dtype::F32, &[4], &[], &[], Some("fewer than two")),
            (Dtype::F32, &[], &[], &[], Some("fewer than two")),
            (Dtype::F32, &[4], &["w*"], &[], None),
            (Dtype::F32, &[], &["w*"], &[], None),
            (Dtype::F32, &[0, 4], &[], &[], Some("no elements")),
            (Dtype::F32, &[0], &["w*"], &[], Some("no elements")),
            (Dtype::F32, &[4, 4], &["a*"], &[], Some("not chosen by --only")),
            (Dtype::F32, &[4, 4], &[], &["w*"], Some("skipped by --skip")),
            (Dtype::F32, &[4, 4], &["w*"], &["*t"], Some("skipped by --skip")),
        ];
        for (dtype, shape, only, skip, expected) in cases {
            let reason = found("weight", *dtype, shape, only, skip);
            let as_expected = match expected {
                Some(start) => reason.as_deref().is_some_and(|reason| reason.starts_with(start)),
                None => reason.is_none(),
            };
            assert!(as_expected, "{dtype} {shape:?} {only:?} {skip:?}: {reason:?}");
        }
    }
}
