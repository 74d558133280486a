//! How many weights lie where, with the normal curve over it.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::Figure;
use super::axis::Axis;
use super::style::{
    Area, Drawn, GREY, INK, MESH, ORANGE, SKY, VERMILLION, WIDTH, anchored, dashed, figure, font, text_width,
};
use crate::Result;
use crate::report::number;

const HEIGHT: u32 = 380;
/// Pixels of a mark's name, above the plot.
const ROW: i32 = 20;

/// A histogram, to be drawn.
#[derive(Clone, Debug)]
pub(in crate::report) struct HistogramFigure<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) title: String,
    /// What is on the axis.
    pub(in crate::report) what: &'a str,
    pub(in crate::report) edges: &'a [f64],
    pub(in crate::report) counts: &'a [f64],
    /// Counts of what there was before, over the same edges.
    pub(in crate::report) before: Option<&'a [f64]>,
    /// Values beyond the edges.
    pub(in crate::report) beyond: f64,
    /// Mean, standard deviation and count of the normal distribution to compare with.
    pub(in crate::report) normal: Option<(f64, f64, f64)>,
    /// Whether counts are on a logarithmic scale.
    pub(in crate::report) log: bool,
    /// Places to mark.
    pub(in crate::report) marks: Vec<Mark>,
}

/// A place on the axis.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Mark {
    pub(in crate::report) at: f64,
    pub(in crate::report) label: String,
}

/// The height of a count: its share of the scale.
struct Heights {
    log: bool,
    top: f64,
}

/// Counts below are at the foot of a logarithmic scale.
const FOOT: f64 = 0.5;

impl Heights {
    fn of(&self, count: f64) -> f64 {
        let share = match self.log {
            true => (count.max(FOOT) / FOOT).ln() / (self.top / FOOT).ln(),
            false => count / self.top,
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.log {
            return Axis::new(0.0, self.top).ticks.iter().copied().filter(|tick| *tick <= self.top).collect();
        }
        let powers = self.top.log10().floor().max(0.0) as i32;
        let step = (powers / 6 + 1) as usize;
        (0..=powers).step_by(step).map(|power| 10f64.powi(power)).collect()
    }
}

impl HistogramFigure<'_> {
    /// The picture.
    pub(in crate::report) fn draw(&self) -> Result<Figure> {
        let height = HEIGHT + ROW as u32 * self.marks.len() as u32;
        figure(self.name, &self.title, &self.description(), height, |root| self.picture(root, height as i32))
    }

    fn description(&self) -> String {
        let sum: f64 = self.counts.iter().sum();
        let peak = self.counts.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let peak = peak.filter(|(_, count)| **count > 0.0).map_or_else(String::new, |(bin, count)| {
            let (from, to) = (number::real(Some(self.edges[bin])), number::real(Some(self.edges[bin + 1])));
            format!(" Most, {} of them, lie from {from} to {to}.", number::count(count.round() as u64))
        });
        let marks: String = self.marks.iter().map(|mark| format!(" {}.", mark.label)).collect();
        format!("{} weights by {} in {} bins.{peak}{marks}", number::count(sum as u64), self.what, self.counts.len())
    }

    fn picture(&self, root: &Area<'_>, height: i32) -> Drawn {
        let (Some(first), Some(last)) = (self.edges.first(), self.edges.last()) else { return Ok(()) };
        let x = Axis::new(*first, *last);
        let normal = |bin: usize| {
            let (mean, sigma, n) = self.normal?;
            let (from, to) = (self.edges[bin], self.edges[bin + 1]);
            let z = ((from + to) / 2.0 - mean) / sigma;
            Some(n * (to - from) / sigma * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt())
        };
        let curve: Vec<f64> = (0..self.counts.len()).filter_map(normal).collect();
        let all = self.counts.iter().chain(&curve).chain(self.before.unwrap_or_default());
        let heights = Heights { log: self.log, top: all.copied().fold(1.0, f64::max) * 1.05 };
        let top = 78 + ROW * self.marks.len() as i32;
        let (left, right, bottom) = (76, WIDTH as i32 - 24, height - 62);
        let across = |value: f64| {
            left + ((value - first) / (last - first) * f64::from(right - left)).clamp(-1.0, 1e5).round() as i32
        };
        let up = |count: f64| bottom - (heights.of(count) * f64::from(bottom - top)).round() as i32;

        for tick in heights.ticks() {
            let y = up(tick);
            root.draw(&PathElement::new(vec![(left, y), (right, y)], MESH))?;
            let label = number::count(tick.round() as u64);
            root.draw(&Text::new(label, (left - 8, y), anchored(14, INK, HPos::Right, VPos::Center)))?;
        }
        let mut legend = Legend { x: left, root };
        if let Some(before) = self.before {
            self.bars(root, before, ORANGE, &across, &up, bottom)?;
            legend.square("before", ORANGE)?;
        }
        self.bars(root, self.counts, SKY, &across, &up, bottom)?;
        legend.square(if self.before.is_some() { "after" } else { "weights" }, SKY)?;
        if !curve.is_empty() {
            let middle = |bin: usize| across((self.edges[bin] + self.edges[bin + 1]) / 2.0);
            let points: Vec<_> = curve.iter().enumerate().map(|(bin, count)| (middle(bin), up(*count))).collect();
            root.draw(&PathElement::new(points, INK.stroke_width(2)))?;
            legend.line(match (self.before, self.what.contains("zeros left out")) {
                (Some(_), _) => "normal distribution like the weights after that are not 0",
                (None, true) => "normal distribution like the weights that are not 0",
                (None, false) => "normal distribution of the same mean and variance",
            })?;
        }
        root.draw(&PathElement::new(vec![(left, bottom), (right, bottom)], GREY))?;
        for tick in x.ticks.iter().filter(|tick| (*first..=*last).contains(*tick)) {
            let at = across(*tick);
            root.draw(&PathElement::new(vec![(at, bottom), (at, bottom + 5)], GREY))?;
            let style = anchored(14, INK, HPos::Center, VPos::Top);
            root.draw(&Text::new(x.label(*tick), (at, bottom + 8), style))?;
        }
        for (i, mark) in self.marks.iter().filter(|mark| (*first..=*last).contains(&mark.at)).enumerate() {
            let at = across(mark.at);
            let y = 78 + ROW * i as i32;
            dashed(root, (at, y), (at, bottom), 5, VERMILLION.stroke_width(2))?;
            let fits = at + 6 + text_width(&mark.label) < right;
            let (anchor, x) = if fits { (HPos::Left, at + 6) } else { (HPos::Right, at - 6) };
            root.draw(&Text::new(mark.label.clone(), (x, y), anchored(14, INK, anchor, VPos::Top)))?;
        }
        let middle = (left + right) / 2;
        let style = anchored(15, INK, HPos::Center, VPos::Bottom);
        let beyond = match self.beyond.round() as u64 {
            0 => String::new(),
            1 => "; 1 weight lies beyond".to_owned(),
            n => format!("; {} weights lie beyond", number::count(n)),
        };
        root.draw(&Text::new(format!("{}{beyond}", self.what), (middle, height - 12), style))?;
        let unit = if self.log { "weights a bin, logarithmic" } else { "weights a bin" };
        let style = font(15, INK).transform(FontTransform::Rotate270);
        root.draw(&Text::new(unit, (10, (top + bottom) / 2 + 4 * unit.len() as i32), style))?;
        Ok(())
    }

    fn bars(
        &self,
        root: &Area<'_>,
        counts: &[f64],
        colour: RGBColor,
        across: &dyn Fn(f64) -> i32,
        up: &dyn Fn(f64) -> i32,
        bottom: i32,
    ) -> Drawn {
        // One outline for all: a bar each would be many times as much to draw.
        let mut outline = Vec::with_capacity(2 * counts.len() + 2);
        outline.push((across(self.edges[0]), bottom));
        for (bin, count) in counts.iter().enumerate() {
            // Whatever is not empty shows.
            let y = if *count > 0.0 { up(*count).min(bottom - 1) } else { bottom };
            outline.extend([(across(self.edges[bin]), y), (across(self.edges[bin + 1]), y)]);
        }
        outline.push((across(self.edges[counts.len()]), bottom));
        root.draw(&Polygon::new(outline, colour.filled()))?;
        Ok(())
    }
}

/// Above the plot.
struct Legend<'a, 'b> {
    x: i32,
    root: &'a Area<'b>,
}

impl Legend<'_, '_> {
    const Y: i32 = 56;

    fn text(&mut self, text: &str) -> Drawn {
        let style = anchored(14, INK, HPos::Left, VPos::Center);
        self.root.draw(&Text::new(text.to_owned(), (self.x + 20, Self::Y), style))?;
        self.x += 40 + text_width(text);
        Ok(())
    }

    fn square(&mut self, text: &str, colour: RGBColor) -> Drawn {
        let corners = [(self.x, Self::Y - 6), (self.x + 13, Self::Y + 7)];
        self.root.draw(&Rectangle::new(corners, colour.filled()))?;
        self.text(text)
    }

    fn line(&mut self, text: &str) -> Drawn {
        let ends = vec![(self.x, Self::Y), (self.x + 14, Self::Y)];
        self.root.draw(&PathElement::new(ends, INK.stroke_width(2)))?;
        self.text(text)
    }
}
