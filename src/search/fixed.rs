//! So much more at each round until the floor breaks, then bisection.

use super::bisection::bisect;
use super::session::{Session, Stop};
use super::{Phase, Ramp};
use crate::prune::Allocation;

/// How often the stretch between the last good and the first bad rate is halved.
const HALVINGS: u32 = 6;

/// One rate that all units share grows by `step`, or along `ramp`: to its end, whatever the rounds before that are worth.
pub(super) fn fixed(session: &mut Session, step: f64, ramp: Option<Ramp>, allocation: Allocation) -> Result<(), Stop> {
    let rate = |round: u32| match ramp {
        Some(Ramp { schedule, rounds, target }) => (round <= rounds).then(|| schedule.rate(target, round, rounds)),
        // As a product, not a sum: 0.05 · 20 is 1.
        None => Some(step * f64::from(round)).filter(|rate| *rate < 1.0),
    };
    let (mut good, mut bad) = (0.0, 1.0);
    for round in 1.. {
        let Some(rate) = rate(round) else { break };
        if ramp.is_some() {
            session.follow();
        }
        let held = attempt(session, allocation, rate)?;
        if held {
            (good, bad) = (rate, 1.0);
        } else {
            bad = f64::min(bad, rate);
        }
        if !held && ramp.is_none() {
            break;
        }
    }
    session.leave();
    if ramp.is_some_and(|ramp| good >= ramp.target) {
        // All that was asked for.
        return Ok(());
    }
    bisect(good, bad, HALVINGS, |rate| attempt(session, allocation, rate))
}

fn attempt(session: &mut Session, allocation: Allocation, rate: f64) -> Result<bool, Stop> {
    let cuts = session.allocate(allocation, rate)?;
    Ok(session.attempt(Phase::Rate, Some(allocation), cuts, None)?.held)
}
