//! One unit after the other: each is cut as far as its part of the allowed drop goes.

use super::bisection::bisect;
use super::session::{Session, Stop};
use super::{Order, Phase, Strategy};

/// Bisections of a unit.
const HALVINGS: u32 = 6;
/// The largest x = −ln(share kept) that is tried.
const MOST_X: f64 = 4.0;

/// Units in `order`; unit j has to keep what is left of the baseline after D · (weights up to j) / (all weights), where D is
/// the whole drop that is allowed.
pub(super) fn one_by_one(session: &mut Session, order: Order, strategy: Strategy) -> Result<(), Stop> {
    let units = session.units();
    let mut turn: Vec<usize> = (0..units.len()).collect();
    if order == Order::LastToFirst {
        turn.reverse();
    }
    let all: f64 = units.iter().map(|unit| unit.size as f64).sum();
    let base = session.rounds().first().and_then(|round| round.metric).unwrap_or(0.0);
    let drop = base - session.floor();
    let mut visited = 0.0;
    for unit in turn {
        visited += units[unit].size as f64;
        let floor = base - drop * visited / all.max(1.0);
        match strategy {
            Strategy::Fixed { step } => stepwise(session, unit, floor, step)?,
            Strategy::Dynamic => bisected(session, unit, floor)?,
        }
    }
    Ok(())
}

fn bisected(session: &mut Session, unit: usize, floor: f64) -> Result<(), Stop> {
    if session.units()[unit].grain > 1 && session.units()[unit].grain >= session.units()[unit].most {
        // All or nothing.
        return attempt(session, unit, MOST_X, floor).map(drop);
    }
    bisect(0.0, MOST_X, HALVINGS, |x| attempt(session, unit, x, floor))
}

fn stepwise(session: &mut Session, unit: usize, floor: f64, step: f64) -> Result<(), Stop> {
    let x = |rate: f64| -(-rate).ln_1p();
    let (mut good, mut bad) = (0.0, 1.0);
    for round in 1.. {
        let rate = step * f64::from(round);
        if rate >= 1.0 {
            break;
        }
        if !attempt(session, unit, x(rate), floor)? {
            bad = rate;
            break;
        }
        good = rate;
    }
    bisect(good, bad, HALVINGS / 2, |rate| attempt(session, unit, x(rate), floor))
}

/// The best so far with more cut of one unit.
fn attempt(session: &mut Session, unit: usize, x: f64, floor: f64) -> Result<bool, Stop> {
    let mut cuts = session.best().cuts.clone();
    let wanted = session.units()[unit].cut(x);
    if wanted <= cuts[unit] {
        return Ok(true);
    }
    cuts[unit] = wanted;
    Ok(session.attempt(Phase::Order, None, cuts, Some(floor))?.held)
}
