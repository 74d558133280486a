//! One rate that all units share.

use super::super::bisection::bisect;
use super::super::session::{Session, Stop};
use super::super::{Cut, Phase};
use crate::prune::{Allocation, Pattern};

/// Bisections under the first allocation.
const HALVINGS: u32 = 8;
/// Bisections under another one, that has shown to be better.
const FURTHER: u32 = 3;
/// The largest x = −ln(share kept) that is tried.
const MOST_X: f64 = 4.0;
/// How much less has to stay for another allocation to be worth an evaluation.
const BETTER: f64 = 0.02;

/// The best rate under the first allocation; the others are tried a little above it, and where that holds followed.
pub(super) fn shared(session: &mut Session) -> Result<(), Stop> {
    let options = session.options();
    if matches!(&options.cut, Cut::Elements(elements) if elements.pattern != Pattern::Element) {
        // N:M has one rate.
        let cuts = session.units().iter().map(|unit| unit.most).collect();
        return session.attempt(Phase::Rate, None, cuts, None).map(drop);
    }
    let Some((first, others)) = options.allocations.split_first() else { return Ok(()) };
    bisect(0.0, MOST_X, HALVINGS, |x| attempt(session, *first, x))?;
    for other in others {
        let now = -(-session.saved(&session.best().cuts.clone())?).ln_1p();
        // The rate at which this allocation saves a little more than the best does.
        let (mut low, mut high) = (0.0, MOST_X);
        for _ in 0..20 {
            let middle = (low + high) / 2.0;
            let saved = session.saved(&session.allocate(*other, rate(middle))?)?;
            if -(-saved).ln_1p() < now + BETTER { low = middle } else { high = middle }
        }
        if attempt(session, *other, high)? {
            bisect(high, f64::min(2.0 * high + 0.1, MOST_X), FURTHER, |x| attempt(session, *other, x))?;
        }
    }
    Ok(())
}

fn attempt(session: &mut Session, by: Allocation, x: f64) -> Result<bool, Stop> {
    let cuts = session.allocate(by, rate(x))?;
    Ok(session.attempt(Phase::Rate, Some(by), cuts, None)?.held)
}

fn rate(x: f64) -> f64 {
    -(-x).exp_m1()
}
