//! Weights under a mask: a bitwise AND on what is stored, whatever it means.

use fearless_simd::{Level, dispatch, prelude::*};

use super::lanes::{Eight, Lanes, Sixteen, ThirtyTwo};

/// The CPU twin: elements of `width` bytes whose bit is 0 become all-zero bits.
pub(crate) fn apply_mask(width: usize, bytes: &mut [u8], mask: &[u32]) {
    dispatch!(Level::new(), simd => match width {
        1 => apply::<_, Eight<_>>(simd, bytes, mask),
        2 => apply::<_, Sixteen<_>>(simd, bytes, mask),
        4 => apply::<_, ThirtyTwo<_>>(simd, bytes, mask),
        _ => apply_to_eight_bytes(bytes, mask),
    });
}

/// Sets the bits beyond the last element to 0.
pub(crate) fn clear_padding(mask: &mut [u32], elements: usize) {
    if let Some(last) = mask.last_mut().filter(|_| !elements.is_multiple_of(32)) {
        *last &= !(u32::MAX << (elements % 32));
    }
}

#[inline(always)]
fn apply<S: Simd, L: Lanes<S>>(simd: S, bytes: &mut [u8], mask: &[u32]) {
    for (elements, &word) in bytes.chunks_mut(32 * L::WIDTH).zip(mask) {
        if word != u32::MAX {
            L::load(simd, elements).keep(simd, word).store(elements);
        }
    }
}

#[inline(always)]
fn apply_to_eight_bytes(bytes: &mut [u8], mask: &[u32]) {
    for (elements, &word) in bytes.chunks_mut(32 * 8).zip(mask) {
        for (i, element) in elements.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            // All ones or none, without a branch.
            let kept = u64::from(word >> i & 1).wrapping_neg();
            *element = (u64::from_le_bytes(*element) & kept).to_le_bytes();
        }
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Result;
    use crate::gpu::{Gpu, Kernel};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str =
        concat!(include_str!("../../shaders/shared/tile.wgsl"), include_str!("../../shaders/apply_mask.wgsl"));

    /// The kernel for elements of so many bytes.
    pub(crate) fn kernel(gpu: &Gpu, width: usize) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("apply_mask", SOURCE, &[("WIDTH", width as u32 * 8)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_one_by_one() {
        for width in [1, 2, 4, 8] {
            for elements in [1usize, 31, 32, 33, 200] {
                let bytes: Vec<u8> = (0..elements * width).map(|i| (i * 37 % 255) as u8 + 1).collect();
                let words: Vec<u32> =
                    (0..elements.div_ceil(32) as u32).map(|i| 0x9e37_79b9u32.wrapping_mul(i + 1)).collect();
                for mask in [words, vec![0; elements.div_ceil(32)], vec![u32::MAX; elements.div_ceil(32)]] {
                    let mut found = bytes.clone();
                    apply_mask(width, &mut found, &mask);
                    for i in 0..elements {
                        let kept = mask[i / 32] >> (i % 32) & 1 == 1;
                        let want = if kept { &bytes[i * width..][..width] } else { &[0; 8][..width] };
                        assert_eq!(&found[i * width..][..width], want, "{width} {elements} {i}");
                    }
                }
            }
        }
    }
}
