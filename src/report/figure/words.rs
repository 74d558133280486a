//! Words in pictures.

use crate::escape;

/// A name for a picture: nothing that steers, nothing that XML forbids, not longer than there is room for.
pub(in crate::report) fn safe(name: &str, most: usize) -> String {
    let shown = escape(name).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    match shown.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Text of an element.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The end of a name, which is where kinds differ.
pub(super) fn ending(name: &str, most: usize) -> String {
    match name.chars().count().checked_sub(most) {
        Some(surplus) if surplus > 0 => format!("…{}", name.chars().skip(surplus + 1).collect::<String>()),
        _ => name.to_owned(),
    }
}

/// What the drawing library cannot draw: a place that says something where a pointer rests, and leads to a tensor.
pub(super) fn spot(tensor: usize, says: &str, (left, top): (i32, i32), (right, bottom): (i32, i32)) -> String {
    let says = xml(&safe(says, 300));
    let (width, height) = ((right - left).max(1), (bottom - top).max(1));
    format!(
        "<rect class=\"spot\" data-tensor=\"{tensor}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
         fill-opacity=\"0\"><title>{says}</title></rect>\n"
    )
}
