//! The best so far, unit by unit a little further.

use super::super::Phase;
use super::super::session::{Session, Stop};
use super::damage::Curve;
use super::gains;

/// The share of what a unit keeps that goes at first.
const FIRST: f64 = 0.3;
/// Below this a unit is left as it is.
const LAST: f64 = 0.03;

/// Where most is saved for least damage first; half as far where the floor breaks; until no unit goes further.
pub(super) fn refine(session: &mut Session, curves: &[Curve]) -> Result<(), Stop> {
    let gains = gains(session)?;
    let units = session.units();
    let mut steps = vec![FIRST; units.len()];
    loop {
        let best = session.best().cuts.clone();
        let mut next: Option<(f64, usize, u64)> = None;
        for (index, unit) in units.iter().enumerate().filter(|(index, _)| steps[*index] >= LAST) {
            let x = unit.x(best[index]);
            let mut cut = unit.cut(x - (-steps[index]).ln_1p());
            if cut <= best[index] && steps[index] >= FIRST {
                // Of a few channels, one at least.
                cut = best[index].saturating_add(unit.grain).min(unit.most);
            }
            if cut <= best[index] {
                continue;
            }
            let damage = curves[index].at(unit.x(cut)) - curves[index].at(x);
            let ratio = gains[index] * (cut - best[index]) as f64 / damage.max(1e-9);
            if next.is_none_or(|(most, ..)| ratio > most) {
                next = Some((ratio, index, cut));
            }
        }
        let Some((_, index, cut)) = next else { return Ok(()) };
        let mut cuts = best.clone();
        cuts[index] = cut;
        session.attempt(Phase::Refine, None, cuts, None)?;
        if session.best().cuts == best {
            steps[index] = if units[index].grain >= units[index].most { 0.0 } else { steps[index] / 2.0 };
        }
    }
}
