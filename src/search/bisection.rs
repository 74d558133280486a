//! Halving the stretch between what holds and what does not.

use super::session::Stop;

/// Asks `holds` in the middle between `good` and `bad`, `times` times, each time of the half that the answer leaves.
pub(super) fn bisect(
    mut good: f64,
    mut bad: f64,
    times: u32,
    mut holds: impl FnMut(f64) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    for _ in 0..times {
        let middle = good + (bad - good) / 2.0;
        if holds(middle)? { good = middle } else { bad = middle }
    }
    Ok(())
}
