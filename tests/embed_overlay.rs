//! Pruned variants of one copy of the weights: exact, whatever becomes of the encoders that switch them.
#![cfg(feature = "gpu")]

#[path = "files/device.rs"]
mod device;
mod files;
#[path = "files/models.rs"]
mod models;

use device::{Host, host, host_with};
use models::{Made, noise};
use secateur::Dtype;
use secateur::gpu::{ApplyPass, Masks, Overlay, PrunePass, Rule, Variant, Weights};
use secateur::prune::Keep;

/// Any bits, of every format, that end anywhere.
fn tensors(elements: u64) -> Vec<Made> {
    let formats = [(Dtype::F32, 4), (Dtype::BF16, 2), (Dtype::F8_E4M3, 1), (Dtype::F16, 2)];
    let each = formats.into_iter().enumerate().map(|(i, (dtype, width))| {
        let mut random = noise(i as u64 + 1);
        let shape = [elements + 7 * i as u64];
        Made::new(
            &i.to_string(),
            dtype,
            &shape,
            (0..shape[0]).flat_map(|_| random().to_le_bytes()[..width].to_vec()).collect(),
        )
    });
    each.collect()
}

/// An overlay with variants of these rates, and what the buffers hold under each; dense first.
struct Variants {
    weights: Vec<Weights>,
    overlay: Overlay,
    variants: Vec<Variant>,
    dense: Vec<Vec<u8>>,
    expected: Vec<Vec<Vec<u8>>>,
}

impl Variants {
    fn new(host: &Host, weights: Vec<Weights>, rates: &[f64]) -> Self {
        let dense: Vec<Vec<u8>> = weights.iter().map(|w| host.bytes(w)).collect();
        let pass = PrunePass::new(&host.gpu, &weights, Rule::Uniform, Keep::Largest).expect("a pass");
        let mut overlay = Overlay::new(&host.gpu, &weights).expect("an overlay");
        let (mut variants, mut expected) = (Vec::new(), Vec::new());
        for rate in rates {
            let mut encoder = host.encoder();
            pass.encode_masks(&mut encoder, &pass.amounts(*rate)).expect("recorded");
            let words = pass.masks().read(&host.gpu, &mut encoder).expect("recorded");
            host.submit(encoder);
            let variant = pollster::block_on(overlay.add(pass.masks())).expect("a variant");
            let words = words.wait().expect("masks");
            let cut = words.iter().zip(&weights).map(|(words, w)| {
                let kept: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
                w.elements() - kept
            });
            assert_eq!(overlay.cut(variant).unwrap(), cut.sum::<u64>());
            let masked = |((bytes, words), weights): ((&Vec<u8>, &Vec<u32>), &Weights)| {
                let (mut bytes, width) = (bytes.clone(), weights.float().bytes());
                for (i, weight) in bytes.chunks_exact_mut(width).enumerate() {
                    if words[i / 32] >> (i % 32) & 1 == 0 {
                        weight.fill(0);
                    }
                }
                bytes
            };
            expected.push(dense.iter().zip(&words).zip(&weights).map(masked).collect());
            variants.push(variant);
        }
        Self { weights, overlay, variants, dense, expected }
    }

    fn record(&self, host: &Host, variant: Option<usize>) -> secateur::gpu::wgpu::CommandEncoder {
        let mut encoder = host.encoder();
        self.overlay.encode(&mut encoder, variant.map(|v| self.variants[v])).expect("recorded");
        encoder
    }

    fn switch(&self, host: &Host, variant: Option<usize>) {
        let encoder = self.record(host, variant);
        host.submit(encoder);
    }

    #[track_caller]
    fn assert_on(&self, host: &Host, variant: Option<usize>) {
        let mut encoder = host.encoder();
        let on = self.overlay.read(&mut encoder).expect("recorded");
        host.submit(encoder);
        assert_eq!(on.wait().expect("an answer"), variant.map(|v| self.variants[v]));
        let want = variant.map_or(&self.dense, |v| &self.expected[v]);
        for (weights, want) in self.weights.iter().zip(want) {
            assert!(host.bytes(weights) == *want, "variant {variant:?} of {:?}", weights.float());
        }
    }
}

#[test]
fn several_variants_share_one_copy() {
    let Some(host) = host() else { return };
    let weights = host.resident(&tensors(70_001), 4);
    let outside = host.contents(weights[0].buffer())[..48].to_vec();
    let mut all = Variants::new(&host, weights, &[0.9, 0.3, 0.6, 0.0]);
    for on in [0, 1, 2, 1, 3, 0, 0, 2] {
        all.switch(&host, Some(on));
        all.assert_on(&host, Some(on));
    }
    // A larger variant comes while another one is on.
    let masks = Masks::new(&host.gpu, &all.weights).expect("masks: everything cut");
    let none = pollster::block_on(all.overlay.add(&masks)).expect("a variant");
    all.assert_on(&host, Some(2));
    let mut encoder = host.encoder();
    all.overlay.encode(&mut encoder, Some(none)).expect("recorded");
    host.submit(encoder);
    assert!(all.weights.iter().all(|w| host.bytes(w).iter().all(|byte| *byte == 0)));
    all.switch(&host, Some(1));
    all.assert_on(&host, Some(1));
    all.switch(&host, None);
    all.assert_on(&host, None);
    assert_eq!(host.contents(all.weights[0].buffer())[..48], outside);
    // A store for 90 %, one for all, and a bit a weight for each mask.
    let bytes: u64 = all.weights.iter().map(|w| w.bytes()).sum();
    let bits: u64 = all.weights.iter().map(|w| w.elements() / 8 + 512).sum();
    assert!(all.overlay.bytes() < bytes * 19 / 10 + 6 * bits, "{} {bytes} {bits}", all.overlay.bytes());
    host.heard_nothing();
}

#[test]
fn encoders_that_are_dropped_have_switched_nothing() {
    let Some(host) = host() else { return };
    let all = Variants::new(&host, host.resident(&tensors(9_000), 4), &[0.8, 0.5]);
    drop(all.record(&host, Some(0)));
    all.switch(&host, None);
    all.assert_on(&host, None);
    all.switch(&host, Some(1));
    all.assert_on(&host, Some(1));
    drop(all.record(&host, None));
    all.switch(&host, Some(0));
    all.assert_on(&host, Some(0));
    // Dropped while another one, recorded after it, is on its way.
    let (first, second) = (all.record(&host, None), all.record(&host, Some(1)));
    drop(first);
    host.submit(second);
    all.assert_on(&host, Some(1));
    let (first, second) = (all.record(&host, Some(0)), all.record(&host, None));
    drop(first);
    host.submit(second);
    all.assert_on(&host, None);
    host.heard_nothing();
}

#[test]
fn encoders_in_another_order_lose_nothing() {
    let Some(host) = host() else { return };
    let all = Variants::new(&host, host.resident(&tensors(9_000), 4), &[0.8, 0.5, 0.2]);
    for round in 0..12 {
        let order = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]][round % 4];
        let wanted =
            [Some(round % 3), Some((round + 1) % 3), if round % 2 == 0 { None } else { Some((round + 2) % 3) }];
        let mut encoders: Vec<_> = wanted.iter().map(|v| Some(all.record(&host, *v))).collect();
        for i in order {
            host.submit(encoders[i].take().expect("once"));
        }
        // The last that was submitted counts.
        all.assert_on(&host, wanted[order[2]]);
        if round % 3 == 0 {
            all.switch(&host, None);
            all.assert_on(&host, None);
        }
    }
    host.heard_nothing();
}

#[test]
fn encoders_that_are_refused_have_switched_nothing() {
    let Some(host) = host() else { return };
    let all = Variants::new(&host, host.resident(&tensors(9_000), 4), &[0.8, 0.5]);
    for (on, refused, next) in [(None, Some(0), Some(1)), (Some(0), None, None), (Some(1), Some(0), None)] {
        all.switch(&host, on);
        let scope = host.device.push_error_scope(secateur::gpu::wgpu::ErrorFilter::Validation);
        let mut encoder = all.record(&host, refused);
        let buffer = all.weights[0].buffer();
        encoder.copy_buffer_to_buffer(buffer, 0, buffer, 0, 1 << 40);
        host.submit(encoder);
        assert!(pollster::block_on(scope.pop()).is_some(), "the host is told");
        all.assert_on(&host, on);
        all.switch(&host, next);
        all.assert_on(&host, next);
    }
    // Masks cannot be bound beside the weights that they cut, in one buffer.
    let buffer = host.buffer(&[1; 4096]);
    let weights = [Weights::new(&buffer, 0, secateur::Float::F32, &[100]).expect("they lie in it")];
    let masks = Masks::in_buffer(&buffer, 1024, &weights).expect("masks");
    let why = ApplyPass::new(&host.gpu, &weights, &masks).expect_err("one buffer").to_string();
    assert!(why.contains("one buffer"), "{why}");
    host.heard_nothing();
}

#[test]
fn weights_in_several_buffers_and_in_parts() {
    let small = |limits: &mut secateur::gpu::wgpu::Limits| limits.max_storage_buffer_binding_size = 512 << 10;
    let Some(host) = host_with(small) else { return };
    let tensors = tensors(400_001);
    // Each in a buffer of its own, and the first two once more in one.
    let mut weights: Vec<Weights> =
        tensors.iter().flat_map(|tensor| host.resident(std::slice::from_ref(tensor), 4)).collect();
    weights.extend(host.resident(&tensors[..2], 4));
    let all = Variants::new(&host, weights, &[0.7, 0.4]);
    for on in [Some(0), Some(1), None, Some(1), Some(0), None] {
        all.switch(&host, on);
        all.assert_on(&host, on);
    }
    // Masks in a buffer of the host's, at an offset.
    let bytes = Masks::new(&host.gpu, &all.weights).expect("masks").bytes();
    let words: Vec<u8> = (0..bytes + 512).map(|i| (i * 37 % 251) as u8).collect();
    let masks = Masks::in_buffer(&host.buffer(&words), 512, &all.weights).expect("masks");
    ApplyPass::new(&host.gpu, &all.weights, &masks).expect("a pass").run().expect("submitted").wait().expect("applied");
    for (t, weights) in all.weights.iter().enumerate() {
        let (start, width) = (masks.offset(t).expect("a tensor") as usize, weights.float().bytes());
        let mut want = all.dense[t].clone();
        for (i, weight) in want.chunks_exact_mut(width).enumerate() {
            if words[start + i / 8] >> (i % 8) & 1 == 0 {
                weight.fill(0);
            }
        }
        assert!(host.bytes(weights) == want, "tensor {t}");
    }
    assert_eq!(masks.offset(all.weights.len()), None);
    host.heard_nothing();
}
