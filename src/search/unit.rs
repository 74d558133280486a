//! What has a rate of its own.

/// A tensor, or a class of channels, that has a rate of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The tensor's name, or the class's key.
    pub(super) name: String,
    /// Weights, or the channels that there were before any pruning.
    pub(super) size: u64,
    /// How many of them can be cut at most.
    pub(super) most: u64,
    /// What is cut is a multiple of this: the rows that all lose as many, or everything that N:M cuts.
    pub(super) grain: u64,
    /// How many are gone in the model as it is given, where that shows: channels.
    pub(super) gone: u64,
}

impl Unit {
    /// How many are cut at x = −ln(share kept): the nearest number that is possible.
    pub(super) fn cut(&self, x: f64) -> u64 {
        let wanted = -(-x).exp_m1() * self.size as f64;
        let grains = (wanted / self.grain.max(1) as f64).round_ties_even();
        // A share beyond 1 or no number saturates.
        (grains as u64).saturating_mul(self.grain).clamp(self.gone, self.most.max(self.gone))
    }

    /// −ln(share kept) where `cut` are cut; infinite where nothing is left.
    pub(super) fn x(&self, cut: u64) -> f64 {
        if self.size == 0 {
            return 0.0;
        }
        // A cut of nothing is exactly 0.
        -(-(cut.min(self.size) as f64 / self.size as f64)).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(size: u64, most: u64, grain: u64, gone: u64) -> Unit {
        Unit { name: "w".to_owned(), size, most, grain, gone }
    }

    #[test]
    fn cuts_and_shares() {
        let weights = unit(1000, 1000, 1, 0);
        for (x, cut) in [(0.0, 0), (2f64.ln(), 500), (4.0, 982), (50.0, 1000), (f64::INFINITY, 1000), (f64::NAN, 0)] {
            assert_eq!(weights.cut(x), cut, "{x}");
        }
        for cut in 0..1000 {
            assert_eq!(weights.cut(weights.x(cut)), cut);
        }
        assert_eq!((weights.x(0), weights.x(1000)), (0.0, f64::INFINITY));
        // Rows of 10 lose alike, the last channel stays, a quarter is gone already.
        assert_eq!(
            (unit(1000, 1000, 10, 0).cut(0.333), unit(16, 15, 1, 4).cut(9.0), unit(16, 15, 1, 4).cut(0.0)),
            (280, 15, 4)
        );
        // N:M has all of its cut or none.
        let half = unit(64, 32, 32, 0);
        assert_eq!((half.cut(0.1), half.cut(0.4), half.cut(2.0)), (0, 32, 32));
    }
}
