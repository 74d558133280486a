//! The rates that save most for a damage, if the damages of units add up.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::super::Phase;
use super::super::session::{Session, Stop};
use super::super::unit::Unit;
use super::damage::Curve;
use super::gains;

/// A rung of the ladder, in x = −ln(share kept): 2^(1/8) between shares.
const RUNG: f64 = std::f64::consts::LN_2 / 8.0;
/// Rungs beyond which nothing is left of any unit worth the name.
const RUNGS: u32 = 80;
/// A damage below this is none that could be measured.
const NOTHING: f64 = 1e-9;

/// Doubles the damage that is allowed while the floor holds, halves it when it breaks, then bisects: with at most a sixth of
/// all evaluations.
pub(super) fn knapsack(session: &mut Session, curves: &[Curve]) -> Result<(), Stop> {
    let gains = gains(session)?;
    let units = session.units();
    let best = session.best().cuts.clone();
    let damage: f64 = units.iter().zip(curves).zip(&best).map(|((unit, curve), cut)| curve.at(unit.x(*cut))).sum();
    let mut allowed = damage.max(NOTHING);
    let (mut good, mut bad) = (None, None);
    for _ in 0..session.budget() / 6 {
        let cuts = fill(units, curves, &gains, allowed);
        let held = session.attempt(Phase::Knapsack, None, cuts, None)?.held;
        if held {
            good = Some(allowed)
        } else {
            bad = Some(allowed)
        }
        allowed = match (good, bad) {
            (Some(good), Some(bad)) if bad / good < 1.02 => return Ok(()),
            // In between as a ratio: damages are of whatever scale.
            (Some(good), Some(bad)) => f64::sqrt(good * bad),
            (Some(good), None) => 2.0 * good,
            (None, Some(bad)) => bad / 2.0,
            (None, None) => allowed,
        };
        if !(NOTHING / 2.0..1e9).contains(&allowed) {
            return Ok(());
        }
    }
    Ok(())
}

/// A step of a unit up the ladder.
struct Step {
    ratio: f64,
    unit: usize,
    rung: u32,
    cut: u64,
    damage: f64,
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ratio.total_cmp(&other.ratio).then(other.unit.cmp(&self.unit))
    }
}

/// Cuts of all units: up their ladders, always that step which saves most for its damage, while all damages together are
/// at most `allowed`.
fn fill(units: &[Unit], curves: &[Curve], gains: &[f64], allowed: f64) -> Vec<u64> {
    let mut cuts: Vec<u64> = units.iter().map(|unit| unit.gone).collect();
    let mut spent = 0.0;
    let next = |unit: usize, rung: u32, now: u64| -> Option<Step> {
        let of = &units[unit];
        let before = curves[unit].at(of.x(now));
        // Rungs on which nothing more would go are left out.
        let (rung, cut) =
            (rung..RUNGS).map(|rung| (rung, of.cut(f64::from(rung) * RUNG))).find(|(_, cut)| *cut > now)?;
        let x = of.x(cut).min(f64::from(RUNGS) * RUNG);
        let damage = curves[unit].at(x) - before;
        let ratio = gains[unit] * (cut - now) as f64 / damage.max(NOTHING);
        Some(Step { ratio, unit, rung, cut, damage })
    };
    let mut heap: BinaryHeap<Step> = (0..units.len()).filter_map(|unit| next(unit, 1, cuts[unit])).collect();
    while let Some(step) = heap.pop() {
        if spent + step.damage > allowed {
            // This unit is at its end; a smaller step of another may still fit.
            continue;
        }
        spent += step.damage;
        cuts[step.unit] = step.cut;
        heap.extend(next(step.unit, step.rung + 1, step.cut));
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_least_goes_first() {
        let unit = |size| Unit { name: String::new(), size, most: size, grain: 1, gone: 0 };
        let units = [unit(1000), unit(1000), unit(10)];
        let curve = |slope: f64| Curve::new(vec![(1.0, slope), (2.0, 3.0 * slope)]);
        let curves = [curve(1.0), curve(0.1), curve(0.1)];
        let gains = [1.0, 1.0, 1.0];
        let cuts = fill(&units, &curves, &gains, 0.3);
        // The small one costs as much as the second and saves nothing.
        assert!(cuts[1] > 700 && cuts[0] < 200 && cuts[2] == 0, "{cuts:?}");
        let damage: f64 = units.iter().zip(&curves).zip(&cuts).map(|((u, c), cut)| c.at(u.x(*cut))).sum();
        assert!(damage <= 0.3);
        assert_eq!(fill(&units, &curves, &gains, 0.0), [0, 0, 0]);
        // Whatever costs nothing goes whole.
        let free = [Curve::default(), curve(1.0), curve(1.0)];
        assert!(fill(&units, &free, &gains, 1e-7)[0] > 998);
    }

    #[test]
    fn all_or_nothing() {
        let unit = |size| Unit { name: String::new(), size, most: size / 2, grain: size / 2, gone: 0 };
        let units = [unit(100), unit(100)];
        let curves = [Curve::new(vec![(0.69, 0.5)]), Curve::new(vec![(0.69, 0.2)])];
        assert_eq!(fill(&units, &curves, &[1.0, 1.0], 0.3), [0, 50]);
        assert_eq!(fill(&units, &curves, &[1.0, 1.0], 0.8), [50, 50]);
    }
}
