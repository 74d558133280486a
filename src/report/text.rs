//! Text in columns: display widths, names shortened in the middle, histograms as blocks.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::stats::Histogram;

/// Terminal cells that `text` takes: two for a CJK character, none for a combining mark.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `name` in at most `limit` cells: one stretch is replaced by `…`, the one nearest the middle that costs the fewest
/// digits, because a layer's number is what tells it from its neighbours, that cuts no number in two and that leaves
/// something at either end.
pub(super) fn shorten(name: &str, limit: usize) -> String {
    if width(name) <= limit {
        return name.to_owned();
    }
    let chars: Vec<char> = name.chars().collect();
    let cells: Vec<usize> = chars.iter().map(|c| c.width().unwrap_or(0)).collect();
    let surplus = (cells.iter().sum::<usize>() + 1).saturating_sub(limit);
    let digit = |i: usize| usize::from(chars[i].is_ascii_digit());
    // Slide the shortest stretch of at least `surplus` cells along the name.
    let (mut best, mut best_cost) = (0..chars.len(), usize::MAX);
    let (mut end, mut removed, mut digits) = (0, 0, 0);
    for start in 0..chars.len() {
        while end < chars.len() && removed < surplus {
            removed += cells[end];
            digits += digit(end);
            end += 1;
        }
        if removed < surplus {
            break;
        }
        // A combining mark stays with the character that it marks.
        let stop = (end..chars.len()).find(|&i| cells[i] > 0).unwrap_or(chars.len());
        let bare = usize::from(start.min(chars.len() - stop) < limit / 6);
        let split = |i: usize| usize::from(i > 0 && i < chars.len() && digit(i - 1) + digit(i) == 2);
        let cost = 1000 * digits + 2000 * (split(start) + split(stop)) + 1500 * bare;
        let cost = cost + (start + stop).abs_diff(chars.len());
        if cells[start] > 0 && cost < best_cost {
            (best, best_cost) = (start..stop, cost);
        }
        removed -= cells[start];
        digits -= digit(start);
    }
    let (head, tail) = (&chars[..best.start], &chars[best.end..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// A histogram as at most `limit` block characters, the mean of neighbouring bins each; empty is blank, and whatever is
/// not empty shows.
pub(super) fn blocks(histogram: &Histogram, limit: usize) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bins = histogram.counts.len();
    let columns = bins.min(limit.max(1));
    let heights: Vec<f64> = (0..columns)
        .map(|i| &histogram.counts[i * bins / columns..(i + 1) * bins / columns])
        .map(|bins| bins.iter().map(|&count| count as f64).sum::<f64>() / bins.len() as f64)
        .collect();
    let highest = heights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    // The cast saturates, and no height is above the highest.
    heights.iter().map(|height| LEVELS[((height / highest * 8.0).ceil() as usize).min(8)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers() {
        for (name, limit, short) in [
            ("conv1.weight", 12, "conv1.weight"),
            ("conv1.weight", 8, "conv1…ht"),
            ("model.layers.31.self_attn.q_proj.weight", 32, "model.layers.31…tn.q_proj.weight"),
            ("model.layers.0.mlp.experts.13.down_proj.weight", 32, "model.layers…13.down_proj.weight"),
            (
                "a.name.that.goes.on.and.on.block.12.and.says.very.little.weight",
                36,
                "a.nam…12.and.says.very.little.weight",
            ),
            ("層一の畳み込みの重み", 11, "層一…の重み"),
            ("abc", 1, "…"),
            ("abc", 0, "…"),
        ] {
            assert_eq!(shorten(name, limit), short);
        }
    }

    #[test]
    fn combining_marks_stay_with_their_letter() {
        let name = "e\u{301}".repeat(9);
        assert_eq!(shorten(&name, 5), format!("{0}{0}…{0}{0}", "e\u{301}"));
    }

    #[test]
    fn histograms() {
        let of = |counts: &[u64]| Histogram { edges: vec![], counts: counts.to_vec() };
        assert_eq!(blocks(&of(&[0, 1, 4, 8, 1000, u64::MAX]), 8), " ▁▁▁▁█");
        assert_eq!(blocks(&of(&[1, 1, 2, 2, 4, 4]), 3), "▂▄█");
        assert_eq!(blocks(&of(&[0, 0]), 3), "  ");
        assert_eq!(blocks(&of(&[]), 3), "");
    }
}
