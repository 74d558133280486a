//! Weights that a mask cuts, kept side by side, so that they can be put back.

/// The CPU twin: takes the elements of `width` bytes whose bit is 0 out of `bytes`, which leaves zeros, and returns them.
#[cfg(test)]
pub(crate) fn take_out(width: usize, bytes: &mut [u8], mask: &[u32]) -> Vec<u8> {
    let cut = |i: &usize| mask[i / 32] >> (i % 32) & 1 == 0;
    let mut store = Vec::new();
    for i in (0..bytes.len() / width).filter(cut) {
        let element = &mut bytes[i * width..][..width];
        store.extend_from_slice(element);
        element.fill(0);
    }
    store
}

/// The CPU twin of the way back.
#[cfg(test)]
pub(crate) fn put_back(width: usize, bytes: &mut [u8], mask: &[u32], store: &[u8]) {
    let cut = |i: &usize| mask[i / 32] >> (i % 32) & 1 == 0;
    for (i, element) in (0..bytes.len() / width).filter(cut).zip(store.chunks(width)) {
        bytes[i * width..][..width].copy_from_slice(element);
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{Gpu, Kernel};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/tile.wgsl"),
        include_str!("../../shaders/shared/scan.wgsl"),
        include_str!("../../shaders/overlay.wgsl")
    );

    /// What is done with the weights that a mask cuts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Mode {
        /// They are counted.
        Count,
        /// They are taken out, if no variant is on.
        TakeOut,
        /// They are put back, if their variant is on.
        PutBack,
        /// That they are taken out is noted.
        SwitchOn,
        /// That they are put back is noted.
        SwitchOff,
    }

    /// The kernel for a format.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, mode: Mode) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("overlay", SOURCE, &[("WIDTH", float.bits()), ("MODE", mode as u32)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_put_back() {
        for width in [1, 2, 4] {
            let bytes: Vec<u8> = (0..77 * width).map(|i| (i * 37 % 255) as u8 + 1).collect();
            let mask = [0x5bd1_e995, 0xdead_beef, 0x1234_5678];
            let mut pruned = bytes.clone();
            let store = take_out(width, &mut pruned, &mask);
            let mut want = bytes.clone();
            crate::kernels::apply_mask::apply_mask(width, &mut want, &mask);
            assert_eq!(pruned, want);
            put_back(width, &mut pruned, &mask, &store);
            assert_eq!(pruned, bytes);
        }
    }
}
