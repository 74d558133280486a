//! Exact order statistics of groups that are small enough for one workgroup.

/// The CPU twin: the keys of `ranks` (ascending, below `keys.len()`) among `keys`, which are reordered. A radix
/// selection by bytes, most significant first: no sort, and work that shrinks from byte to byte.
pub(crate) fn select(keys: &mut [u64], bits: u32, ranks: &[u64], found: &mut Vec<u64>) {
    let first = found.len();
    found.resize(first + ranks.len(), 0);
    descend(keys, bits - 8, ranks, 0, &mut found[first..]);
}

fn descend(keys: &mut [u64], shift: u32, ranks: &[u64], below: u64, found: &mut [u64]) {
    if ranks.is_empty() {
        return;
    }
    if let [only] = keys {
        found.fill(*only);
        return;
    }
    let byte = |key: u64| (key >> shift & 0xff) as usize;
    let mut counts = [0u32; 256];
    keys.iter().for_each(|k| counts[byte(*k)] += 1);
    let (mut before, mut taken, mut start) = (below, 0, 0);
    for (value, &count) in counts.iter().enumerate() {
        let end = before + u64::from(count);
        let inside = ranks[taken..].iter().take_while(|r| **r < end).count();
        if inside > 0 {
            // Values of earlier bytes were moved to the front already: this byte's are all behind `start`.
            let mut middle = start;
            for i in start..keys.len() {
                if byte(keys[i]) == value {
                    keys.swap(i, middle);
                    middle += 1;
                }
            }
            let (these, found) = (&mut keys[start..middle], &mut found[taken..taken + inside]);
            if shift == 0 {
                found.fill(these[0]);
            } else {
                descend(these, shift - 8, &ranks[taken..taken + inside], before, found);
            }
            start = middle;
            taken += inside;
        }
        before = end;
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/view.wgsl"),
        include_str!("../../shaders/select.wgsl")
    );

    /// Elements that a workgroup is given: see `shaders/shared/view.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct View {
        /// First element, from the start of the data.
        pub(crate) start: u32,
        /// Elements in all.
        pub(crate) length: u32,
        /// Elements side by side.
        pub(crate) run: u32,
        /// Elements from the start of one run to the next.
        pub(crate) stride: u32,
        /// Which ranks or thresholds are asked about it.
        pub(crate) group: u32,
    }

    /// The kernel for a format and so many ranks a group.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, magnitudes: bool, ranks: usize) -> Result<std::sync::Arc<Kernel>> {
        let constants = [format_constant(float), ("MAGNITUDES", u32::from(magnitudes)), ("RANKS", ranks as u32)];
        gpu.kernel("select", SOURCE, &constants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_sort(
            keys in prop_oneof![prop::collection::vec(any::<u16>(), 1..300), prop::collection::vec(0..5u16, 1..300)],
            at in prop::collection::vec(0.0..1.0f64, 0..6),
        ) {
            let mut keys: Vec<u64> = keys.into_iter().map(u64::from).collect();
            let mut ranks: Vec<u64> = at.iter().map(|q| (q * keys.len() as f64) as u64).collect();
            ranks.sort_unstable();
            let mut found = vec![7];
            let mut sorted = keys.clone();
            select(&mut keys, 16, &ranks, &mut found);
            sorted.sort_unstable();
            let want: Vec<u64> = std::iter::once(7).chain(ranks.iter().map(|r| sorted[*r as usize])).collect();
            prop_assert_eq!(found, want);
        }
    }
}
