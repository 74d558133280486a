//! Horizontal bars with names: one number a tensor or layer.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::Figure;
use super::axis::Axis;
use super::style::{Area, BLUE, Drawn, GREY, INK, MESH, SKY, VERMILLION, WIDTH, anchored, figure};
use super::words::{ending, safe, spot};
use crate::Result;
use crate::report::number;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Bar {
    pub(in crate::report) name: String,
    pub(in crate::report) value: f64,
    /// Where a tick goes, to compare with.
    pub(in crate::report) reference: Option<f64>,
    /// A wider and lighter bar behind it: what there was before.
    pub(in crate::report) before: Option<f64>,
    /// What is written at its end.
    pub(in crate::report) label: String,
    /// Which tensor it leads to.
    pub(in crate::report) tensor: Option<usize>,
}

/// Bars, to be drawn.
#[derive(Clone, Debug)]
pub(in crate::report) struct Bars<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) title: &'a str,
    /// What is on the axis, with its unit.
    pub(in crate::report) what: &'a str,
    /// What the ticks stand for, where there are any.
    pub(in crate::report) reference: Option<&'a str>,
    pub(in crate::report) bars: &'a [Bar],
    /// Whether the axis is logarithmic.
    pub(in crate::report) log: bool,
    /// Where the axis ends at least.
    pub(in crate::report) at_least: f64,
}

const ROW: i32 = 24;
const TOP: i32 = 66;
const LEFT: i32 = 222;

impl Bars<'_> {
    /// The picture.
    pub(in crate::report) fn draw(&self) -> Result<Figure> {
        let height = TOP + ROW * self.bars.len().max(1) as i32 + 58;
        let named = |bar: &Bar| format!("{}: {}", safe(&bar.name, 120), bar.label);
        let list: Vec<String> = self.bars.iter().take(10).map(named).collect();
        let more = self.bars.len().saturating_sub(list.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let description = format!("{}. {}{more}.", self.what, list.join("; "));
        let mut made = figure(self.name, self.title, &description, height as u32, |root| self.picture(root, height))?;
        let spots = (0..).zip(self.bars).filter_map(|(row, bar)| {
            let top = TOP + ROW * row;
            Some(spot(bar.tensor?, &named(bar), (0, top), (WIDTH as i32, top + ROW)))
        });
        made.add(&spots.collect::<String>());
        Ok(made)
    }

    fn picture(&self, root: &Area<'_>, height: i32) -> Drawn {
        let values = || self.bars.iter().flat_map(|bar| [Some(bar.value), bar.reference, bar.before]).flatten();
        let finite = || values().filter(|value| value.is_finite());
        let most = finite().fold(self.at_least, f64::max);
        let least = finite().filter(|value| *value > 0.0).fold(most, f64::min);
        let (from, to) = if self.log {
            ((least.max(1e-300).log2() - 0.1).floor(), (most.max(1e-300).log2() + 0.1).ceil())
        } else {
            (0.0, if most > 0.0 { most } else { 1.0 })
        };
        let to = if to > from { to } else { from + 1.0 };
        let right = WIDTH as i32 - 90;
        let across = |value: f64| {
            let value = if self.log { value.max(1e-300).log2() } else { value };
            LEFT + ((value - from) / (to - from) * f64::from(right - LEFT)).clamp(0.0, f64::from(right - LEFT)) as i32
        };
        let bottom = TOP + ROW * self.bars.len().max(1) as i32;
        let (ticks, label): (Vec<f64>, Box<dyn Fn(f64) -> String>) = if self.log {
            let step = ((to - from) / 8.0).ceil().max(1.0) as usize;
            let powers = (from as i32..=to as i32).step_by(step).map(f64::from);
            (
                powers.map(f64::exp2).collect(),
                Box::new(|tick: f64| if tick < 1.0 { number::real(Some(tick)) } else { format!("{tick}") }),
            )
        } else {
            let axis = Axis::new(from, to);
            (axis.ticks.clone(), Box::new(move |tick| axis.label(tick)))
        };
        for tick in ticks {
            let x = across(tick);
            root.draw(&PathElement::new(vec![(x, TOP - 6), (x, bottom)], MESH))?;
            let style = anchored(14, INK, HPos::Center, VPos::Top);
            root.draw(&Text::new(label(tick), (x, bottom + 6), style))?;
        }
        for (row, bar) in self.bars.iter().enumerate() {
            let y = TOP + ROW * row as i32 + ROW / 2;
            let name = ending(&safe(&bar.name, 200), 30);
            root.draw(&Text::new(name, (LEFT - 10, y), anchored(14, INK, HPos::Right, VPos::Center)))?;
            if let Some(before) = bar.before.filter(|before| before.is_finite()) {
                root.draw(&Rectangle::new([(LEFT, y - 9), (across(before), y + 9)], SKY.filled()))?;
            }
            let end = if bar.value.is_finite() { across(bar.value) } else { LEFT };
            root.draw(&Rectangle::new([(LEFT, y - 5), (end, y + 5)], BLUE.filled()))?;
            let ends = [bar.reference, bar.before].into_iter().flatten().filter(|value| value.is_finite());
            if let Some(reference) = bar.reference.filter(|reference| reference.is_finite()) {
                let x = across(reference);
                root.draw(&PathElement::new(vec![(x, y - 9), (x, y + 9)], VERMILLION.stroke_width(3)))?;
            }
            let beside = ends.map(across).fold(end, i32::max) + 6;
            root.draw(&Text::new(bar.label.clone(), (beside, y), anchored(14, INK, HPos::Left, VPos::Center)))?;
        }
        root.draw(&PathElement::new(vec![(LEFT, TOP - 6), (LEFT, bottom)], GREY))?;
        let style = anchored(15, INK, HPos::Center, VPos::Bottom);
        root.draw(&Text::new(self.what.to_owned(), ((LEFT + right) / 2, height - 8), style))?;
        if let Some(reference) = self.reference {
            root.draw(&PathElement::new(vec![(LEFT, 40), (LEFT, 54)], VERMILLION.stroke_width(3)))?;
            let style = anchored(14, INK, HPos::Left, VPos::Center);
            root.draw(&Text::new(reference.to_owned(), (LEFT + 10, 47), style))?;
        }
        Ok(())
    }
}
