//! Products of lengths, some of which are known only when the network runs.

use std::ops::Range;

use super::super::super::value::{Axis, Length};

/// A number times symbols, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Monomial {
    number: u64,
    symbols: Vec<u32>,
}

impl Monomial {
    pub(super) fn one() -> Self {
        Self { number: 1, symbols: Vec::new() }
    }

    /// `None` where that is beyond u64, or 0: of nothing it cannot be said what becomes of it.
    pub(super) fn times(mut self, length: Length) -> Option<Self> {
        match length {
            Length::Fixed(0) => return None,
            Length::Fixed(length) => self.number = self.number.checked_mul(length)?,
            Length::Symbol(symbol) => {
                let at = self.symbols.partition_point(|&other| other < symbol);
                self.symbols.insert(at, symbol);
            }
        }
        Some(self)
    }

    /// The quotient, where it is even.
    pub(super) fn over(&self, by: &Self) -> Option<Self> {
        let mut symbols = self.symbols.clone();
        for symbol in &by.symbols {
            symbols.remove(symbols.binary_search(symbol).ok()?);
        }
        self.number.is_multiple_of(by.number).then(|| Self { number: self.number / by.number, symbols })
    }

    /// As one length, if it is one.
    pub(super) fn length(&self) -> Option<Length> {
        match (self.number, self.symbols.as_slice()) {
            (number, []) => Some(Length::Fixed(number)),
            (1, &[symbol]) => Some(Length::Symbol(symbol)),
            _ => None,
        }
    }
}

/// Axes before and after.
type Group = (Range<usize>, Range<usize>);

/// The smallest groups of neighbouring axes that hold the same elements, before and after.
pub(super) fn groups(before: &[Axis], after: &[Length]) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        let from = (i, j);
        let (mut a, mut b) = (Monomial::one(), Monomial::one());
        if let Some(axis) = before.get(i) {
            a = a.times(axis.length)?;
            i += 1;
        }
        if let Some(&length) = after.get(j) {
            b = b.times(length)?;
            j += 1;
        }
        while a != b {
            let smaller = a.symbols.is_empty() && b.symbols.is_empty() && a.number < b.number;
            let larger = a.symbols.is_empty() && b.symbols.is_empty() && a.number > b.number;
            if smaller || (!larger && b.over(&a).is_some()) {
                a = a.times(before.get(i)?.length)?;
                i += 1;
            } else if larger || a.over(&b).is_some() {
                b = b.times(*after.get(j)?)?;
                j += 1;
            } else {
                return None;
            }
        }
        groups.push((from.0..i, from.1..j));
    }
    Some(groups)
}
