//! Weights under a mask: a bitwise AND on what is stored, whatever it means.

use fearless_simd::{Level, dispatch};

/// The CPU twin: elements of `width` bytes whose bit is 0 become all-zero bits.
pub(crate) fn apply_mask(width: usize, bytes: &mut [u8], mask: &[u32]) {
    dispatch!(Level::new(), _ => match width {
        1 => apply::<1, 32>(bytes, mask),
        2 => apply::<2, 64>(bytes, mask),
        4 => apply::<4, 128>(bytes, mask),
        _ => apply::<8, 256>(bytes, mask),
    });
}

#[inline(always)]
fn apply<const WIDTH: usize, const BYTES: usize>(bytes: &mut [u8], mask: &[u32]) {
    let each = |elements: &mut [[u8; WIDTH]], word: u32| {
        for (i, element) in elements.iter_mut().enumerate() {
            // All ones or none, without a branch.
            let kept = ((word >> i & 1) as u8).wrapping_neg();
            *element = element.map(|b| b & kept);
        }
    };
    let (whole, rest) = bytes.as_chunks_mut::<BYTES>();
    for (elements, &word) in whole.iter_mut().zip(mask) {
        match word {
            u32::MAX => {}
            0 => *elements = [0; BYTES],
            _ => each(elements.as_chunks_mut().0, word),
        }
    }
    if let Some(&word) = mask.last().filter(|_| !rest.is_empty()) {
        each(rest.as_chunks_mut().0, word);
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{GpuEngine, Kernel};

    /// The shader.
    pub(crate) const SOURCE: &str = include_str!("../../shaders/apply_mask.wgsl");

    /// The kernel for elements of so many bytes.
    pub(crate) fn kernel(gpu: &GpuEngine, width: usize) -> std::sync::Arc<Kernel> {
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
