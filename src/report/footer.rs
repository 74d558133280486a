//! What is said below a table: how much was covered, how fast, and what was left out.

use super::{Header, number, text};
use crate::error::escape;
use crate::stats::{Grouping, Summary, Transform};

/// `291 tensors, 8,030,261,248 elements, 16.1 GB in 12.3 s (1.31 GB/s)`.
pub(super) fn covered(summary: &Summary) -> String {
    covered_by(summary.tensors, summary.total.count, summary.bytes, summary.seconds)
}

/// The same of any pass over a model.
pub(super) fn covered_by(tensors_seen: u64, elements: u64, bytes: u64, took: f64) -> String {
    let speed = match bytes as f64 / took {
        rate if rate.is_finite() && rate > 0.0 => format!(" ({}/s)", number::bytes(rate as u64)),
        _ => String::new(),
    };
    format!(
        "{}, {} elements, {} in {}{speed}",
        tensors(tensors_seen),
        number::grouped(elements),
        number::bytes(bytes),
        seconds(took),
    )
}

/// What computed, and what makes these numbers others than those of the plain weights.
pub(super) fn about(header: &Header) -> Vec<String> {
    let engine = header.engine;
    let mut line = format!("{}: {}", engine.kind, escape(&engine.name));
    for fallback in &engine.fallback {
        line.push_str(&format!("; {} on the {}", fallback.dtype, fallback.kind));
    }
    let by = header.options.by;
    let by = (by != Grouping::Tensor).then(|| format!("by {by}"));
    let of = match header.options.transform {
        Transform::None => None,
        Transform::Log => Some("of ln|w|, zeros left out and counted"),
        Transform::Standardize => Some("of (w − mean)/σ of each tensor"),
    };
    let what: Vec<String> = by.into_iter().chain(of.map(str::to_owned)).collect();
    std::iter::once(line).chain((!what.is_empty()).then(|| what.join(", "))).collect()
}

/// How much is not finite, if anything is.
pub(super) fn non_finite(summary: &Summary) -> Option<String> {
    let total = &summary.total;
    (total.nan > 0 || total.inf > 0).then(|| {
        let (nan, inf) = (number::grouped(total.nan), number::grouped(total.inf));
        format!("not finite: {nan} NaN, {inf} inf, left out of everything but count")
    })
}

/// One line for each reason, with as many names as fit.
pub(super) fn skipped(summary: &Summary, width: Option<usize>) -> Vec<String> {
    left_out("skipped", summary.skipped.iter().map(|skipped| (&*skipped.name, &*skipped.reason)), width)
}

/// One line for each reason, with as many names as fit: `3 tensors {what}: {reason} — {names}`.
pub(super) fn left_out<'a>(
    what: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    width: Option<usize>,
) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in pairs {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, members)) => members.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let lines = reasons.into_iter().map(|(reason, members)| {
        let mut line = format!("{} {what}: {} — ", tensors(members.len() as u64), escape(reason));
        for (index, name) in members.iter().enumerate() {
            let name = escape(name);
            let more = format!("{} more", number::grouped((members.len() - index) as u64));
            // Room for what would have to follow this name.
            let needed =
                text::width(&line) + text::width(&name) + if index + 1 < members.len() { more.len() + 3 } else { 0 };
            if index > 0 && (index == 8 || width.is_some_and(|width| needed > width)) {
                line.push_str(&more);
                return line;
            }
            line.push_str(&name);
            if index + 1 < members.len() {
                line.push_str(", ");
            }
        }
        line
    });
    lines.collect()
}

fn tensors(count: u64) -> String {
    if count == 1 { "1 tensor".to_owned() } else { format!("{} tensors", number::grouped(count)) }
}

/// Three digits or so: `38 ms`, `1.31 s`, `12 min 5 s`.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 119.95 => format!("{s:.1} s"),
        s => {
            let whole = s.round() as u64;
            format!("{} min {} s", whole / 60, whole % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (value, text) in
            [(0.0, "0 ms"), (0.0384, "38 ms"), (1.314, "1.31 s"), (61.2, "61.2 s"), (725.4, "12 min 5 s")]
        {
            assert_eq!(seconds(value), text);
        }
    }
}
