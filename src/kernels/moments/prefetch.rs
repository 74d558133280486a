//! Asking the caches for what is needed soon.

/// Starts fetching `line` where the processor can be asked to (x86-64); elsewhere does nothing.
#[inline(always)]
pub(super) fn prefetch(line: &[u8; 64]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint at any address, and this one is of a live reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
