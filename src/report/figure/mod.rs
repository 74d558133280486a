//! Pictures, drawn with the crate plotters: SVG that is readable on white, and in the dark where a page turns its colours.
//!
//! Every picture has a title and a description for those who cannot see it, and says by shape or by words what it says by
//! colour. The same data give the same bytes.

mod axis;
mod bars;
mod curve;
mod histogram;
mod lines;
mod map;
#[cfg(feature = "png")]
mod png;
mod strip;
mod style;
mod words;

pub(super) use bars::{Bar, Bars};
pub use curve::{Curve, Point, curve_csv, curve_svg};
pub(super) use histogram::{HistogramFigure, Mark};
pub(super) use lines::{Line, Lines};
pub(super) use map::{Cell, Map, Scale};
pub(super) use strip::strip;
pub(super) use words::safe;

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// A name that a file can have, without an extension.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// The same in words, for those who cannot see it.
    pub description: String,
    /// The picture as SVG, complete.
    pub svg: String,
}

impl Figure {
    /// Adds elements of SVG that the drawing library has no words for.
    fn add(&mut self, elements: &str) {
        let end = self.svg.rfind("</svg>").unwrap_or(self.svg.len());
        self.svg.insert_str(end, elements);
    }

    /// The picture as PNG, in `scale` pixels a unit of the SVG.
    ///
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) where the picture is too large to be drawn.
    #[cfg(feature = "png")]
    pub fn png(&self, scale: f32) -> crate::Result<Vec<u8>> {
        png::render(&self.svg, scale)
    }
}
