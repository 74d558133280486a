//! What all pictures share: colours, fonts, and the frame around what is drawn.
//!
//! Colours are those of Okabe and Ito, which the colour-blind tell apart. A page that turns dark replaces the neutral ones,
//! by their values: see `page.css`.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::words::{safe, xml};
use crate::{Error, Result};

pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const GREY: RGBColor = RGBColor(0x5c, 0x5c, 0x5c);
pub(super) const MESH: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// Blue, lighter.
pub(super) const SKY: RGBColor = RGBColor(0x66, 0xaa, 0xd1);
pub(super) const VERMILLION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(super) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
pub(super) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);

/// Width of a picture.
pub(super) const WIDTH: u32 = 640;

/// Pixels.
pub(super) type At = (i32, i32);
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(super) fn font(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

pub(super) fn anchored(size: i32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    font(size, colour).pos(Pos::new(horizontal, vertical))
}

/// About as many pixels as `text` takes, 14 pixels high.
pub(super) fn text_width(text: &str) -> i32 {
    7 * unicode_width::UnicodeWidthStr::width(text) as i32
}

/// A broken line, as a straight one cannot be with this library.
pub(super) fn dashed(area: &Area<'_>, from: At, to: At, dash: i32, style: ShapeStyle) -> Drawn {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let steps = dx.abs().max(dy.abs()) / dash.max(1);
    let at = |i: i32| (from.0 + dx * i / steps.max(1), from.1 + dy * i / steps.max(1));
    for i in (0..steps).step_by(2) {
        area.draw(&PathElement::new(vec![at(i), at(i + 1)], style))?;
    }
    Ok(())
}

/// The SVG of what `picture` draws on white, with a title over it, named and described.
pub(super) fn figure(
    name: &str,
    title: &str,
    description: &str,
    height: u32,
    picture: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Figure> {
    let title = safe(title, 90);
    let svg = framed((WIDTH, height), &title, description, |area| {
        area.draw(&Text::new(title.clone(), (16, 14), font(18, INK)))?;
        picture(area)
    })?;
    Ok(Figure { name: name.to_owned(), title, description: description.to_owned(), svg })
}

/// The SVG of what `picture` draws on white, named and described.
pub(super) fn framed(
    size: (u32, u32),
    title: &str,
    description: &str,
    picture: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| picture(&area)).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.map_err(|error| Error::Run(format!("`{title}` cannot be drawn: {error}")))?;
    let (title, description) = (xml(title), xml(description));
    let (tag, rest) = text.split_once('>').unwrap_or((&text, ""));
    Ok(format!("{tag} role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>{rest}"))
}
