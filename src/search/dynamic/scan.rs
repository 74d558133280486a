//! What each unit costs alone.

use super::super::session::{Session, Stop};
use super::damage::Curve;

/// Where a unit is looked at, as multiples of where the best is: by how many times it can be.
const PLACES: [&[f64]; 4] = [&[1.5], &[1.0, 3.0], &[0.7, 1.5, 3.0], &[0.5, 1.0, 2.0, 4.0]];
/// The best may be nothing at all, or nearly everything.
const NEAREST: f64 = 0.1;
const FARTHEST: f64 = 1.5;

/// A curve of damage for each unit, with at most half of all evaluations. Where there are more units than that, neighbours
/// are looked at together, and each counts by its size.
pub(super) fn scan(session: &mut Session) -> Result<Vec<Curve>, Stop> {
    let units = session.units();
    let most = (session.budget() / 2).min(session.left()) as usize;
    if most == 0 || units.is_empty() {
        return Err(Stop::Spent);
    }
    let together = units.len().div_ceil(most);
    let groups: Vec<std::ops::Range<usize>> =
        (0..units.len()).step_by(together).map(|first| first..(first + together).min(units.len())).collect();
    let times = (most / groups.len()).clamp(1, PLACES.len());
    let centre = -(-session.best().sparsity).ln_1p();
    let centre = centre.clamp(NEAREST, FARTHEST);
    let mut curves = vec![Curve::default(); units.len()];
    for group in groups {
        let all: f64 = units[group.clone()].iter().map(|unit| unit.size as f64).sum();
        let mut points: Vec<Vec<(f64, f64)>> = vec![Vec::new(); group.len()];
        for place in PLACES[times - 1] {
            let mut cuts: Vec<u64> = units.iter().map(|unit| unit.gone).collect();
            for index in group.clone() {
                // Of what goes wholly or not at all, that is what has to be known.
                let unit = &units[index];
                let whole = unit.grain >= unit.most;
                cuts[index] = if whole { unit.most } else { unit.cut(centre * place) };
            }
            if group.clone().all(|index| cuts[index] == units[index].gone) {
                continue;
            }
            let damage = session.probe(cuts.clone())?.damage;
            for (points, index) in points.iter_mut().zip(group.clone()) {
                points.push((units[index].x(cuts[index]), damage * units[index].size as f64 / all.max(1.0)));
            }
        }
        for (points, index) in points.into_iter().zip(group) {
            curves[index] = Curve::new(points);
        }
    }
    Ok(curves)
}
