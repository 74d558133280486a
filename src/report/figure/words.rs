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
