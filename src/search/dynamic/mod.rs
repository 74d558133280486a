//! Rates of all units, by what the evaluator says.
//!
//! One rate that all share, under each of a few allocations; what each unit costs alone; the rates that by this save most for
//! a damage; and then unit by unit, where most is saved for least. Whatever holds the floor and saves more than the best so
//! far is the best from then on, so that the end is never worse than the best single rate.

mod damage;
mod knapsack;
mod rate;
mod refine;
mod scan;

use super::session::{Session, Stop};
use super::{Order, Strategy, order};

/// All of it, until evaluations are used up or nothing helps.
pub(super) fn dynamic(session: &mut Session, order: Order) -> Result<(), Stop> {
    if order == Order::Together {
        rate::shared(session)?;
    } else {
        order::one_by_one(session, order, Strategy::Dynamic)?;
    }
    let curves = scan::scan(session)?;
    if order == Order::Together {
        knapsack::knapsack(session, &curves)?;
    }
    refine::refine(session, &curves)
}

/// What each unit saves a weight (or channel) that is cut of it alone.
fn gains(session: &Session) -> crate::Result<Vec<f64>> {
    let units = session.units();
    let nothing: Vec<u64> = units.iter().map(|unit| unit.gone).collect();
    let before = session.saved(&nothing)?;
    let mut gains = Vec::with_capacity(units.len());
    for (index, unit) in units.iter().enumerate() {
        let mut cuts = nothing.clone();
        cuts[index] = unit.most;
        let more = unit.most.saturating_sub(unit.gone).max(1);
        gains.push((session.saved(&cuts)? - before) / more as f64);
    }
    Ok(gains)
}
