//! A few lines over the tensors of a model, in their order.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::Figure;
use super::axis::Axis;
use super::style::{
    Area, BLUE, Drawn, GREEN, GREY, INK, MESH, ORANGE, VERMILLION, WIDTH, anchored, dashed, figure, font, text_width,
};
use crate::Result;

const HEIGHT: u32 = 360;
/// As many points of a line are drawn at most: where there are more, neighbours share one.
const POINTS: usize = 330;

/// One line.
#[derive(Clone, Debug)]
pub(in crate::report) struct Line {
    pub(in crate::report) name: String,
    /// A value for each tensor.
    pub(in crate::report) values: Vec<f64>,
    /// A level that is drawn dashed, in the same colour.
    pub(in crate::report) level: Option<f64>,
}

/// Lines, to be drawn.
#[derive(Clone, Debug)]
pub(in crate::report) struct Lines<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) title: &'a str,
    pub(in crate::report) description: &'a str,
    /// What is on the axes, with units.
    pub(in crate::report) x: &'a str,
    pub(in crate::report) y: &'a str,
    /// Where the upright axis ends.
    pub(in crate::report) to: f64,
    /// Places before which lines are broken.
    pub(in crate::report) breaks: &'a [usize],
    pub(in crate::report) lines: &'a [Line],
}

impl Lines<'_> {
    /// The picture.
    pub(in crate::report) fn draw(&self) -> Result<Figure> {
        figure(self.name, self.title, self.description, HEIGHT, |root| self.picture(root))
    }

    fn picture(&self, root: &Area<'_>) -> Drawn {
        let (left, right, top, bottom) = (70, WIDTH as i32 - 90, 70, HEIGHT as i32 - 60);
        let count = self.lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(1);
        let across = |place: f64| left + (place / (count.max(2) - 1) as f64 * f64::from(right - left)).round() as i32;
        let up = |value: f64| bottom - ((value / self.to).clamp(0.0, 1.0) * f64::from(bottom - top)).round() as i32;
        let axis = Axis::new(0.0, self.to);
        for tick in &axis.ticks {
            root.draw(&PathElement::new(vec![(left, up(*tick)), (right, up(*tick))], MESH))?;
            let style = anchored(14, INK, HPos::Right, VPos::Center);
            root.draw(&Text::new(axis.label(*tick), (left - 8, up(*tick)), style))?;
        }
        root.draw(&PathElement::new(vec![(left, bottom), (right, bottom)], GREY))?;
        for place in self.breaks.iter().filter(|place| **place < count) {
            let x = across(*place as f64 - 0.5);
            root.draw(&PathElement::new(vec![(x, top), (x, bottom)], MESH))?;
        }
        let places = Axis::new(1.0, count.max(2) as f64);
        for tick in places.ticks.iter().filter(|tick| tick.fract() == 0.0 && (1.0..=count as f64).contains(*tick)) {
            let style = anchored(14, INK, HPos::Center, VPos::Top);
            root.draw(&Text::new(format!("{tick:.0}"), (across(tick - 1.0), bottom + 6), style))?;
        }
        const COLOURS: [RGBColor; 4] = [BLUE, GREEN, ORANGE, VERMILLION];
        let (mut x, mut ends) = (left, Vec::new());
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let step = line.values.len().div_ceil(POINTS).max(1);
            let (mut parts, mut from) = (Vec::new(), 0);
            for to in self.breaks.iter().copied().chain([line.values.len()]) {
                let values = line.values.get(from..to).unwrap_or_default();
                let point = |(i, part): (usize, &[f64])| {
                    let mean = part.iter().sum::<f64>() / part.len() as f64;
                    (across((from + i * step) as f64 + (part.len() - 1) as f64 / 2.0), up(mean))
                };
                parts.push(values.chunks(step).enumerate().map(point).collect::<Vec<_>>());
                from = to;
            }
            if let Some(level) = line.level {
                dashed(root, (left, up(level)), (right, up(level)), 6, colour.stroke_width(1))?;
            }
            let few = parts.iter().map(Vec::len).sum::<usize>() < 60;
            for point in parts.iter().flatten().filter(|_| few) {
                self.mark(root, index, *point, colour)?;
            }
            ends.extend(parts.last().and_then(|points| points.last()).map(|(_, y)| (*y, line.name.clone())));
            for points in parts {
                root.draw(&PathElement::new(points, colour.stroke_width(2)))?;
            }
            self.mark(root, index, (x + 6, 50), colour)?;
            root.draw(&Text::new(line.name.clone(), (x + 18, 50), anchored(14, INK, HPos::Left, VPos::Center)))?;
            x += 40 + text_width(&line.name);
        }
        self.name_ends(root, ends, right + 10)?;
        if self.lines.iter().any(|line| line.level.is_some()) {
            dashed(root, (x, 50), (x + 24, 50), 6, INK.stroke_width(1))?;
            let style = anchored(14, INK, HPos::Left, VPos::Center);
            root.draw(&Text::new("the same of every tensor (uniform)", (x + 32, 50), style))?;
        }
        let style = anchored(15, INK, HPos::Center, VPos::Bottom);
        root.draw(&Text::new(self.x.to_owned(), ((left + right) / 2, HEIGHT as i32 - 10), style))?;
        let style = font(15, INK).transform(FontTransform::Rotate270);
        root.draw(&Text::new(self.y.to_owned(), (10, (top + bottom) / 2 + 4 * self.y.len() as i32), style))?;
        Ok(())
    }

    /// Names beside the ends of lines, apart and in their order: the last line is the highest.
    fn name_ends(&self, root: &Area<'_>, mut ends: Vec<(i32, String)>, x: i32) -> Drawn {
        const APART: i32 = 16;
        ends.reverse();
        ends.sort_by_key(|(y, _)| *y);
        // From below, upwards: there is room above, and the axis below.
        let mut lowest = i32::MAX;
        for (y, _) in ends.iter_mut().rev() {
            *y = (*y).min(lowest);
            lowest = *y - APART;
        }
        for (y, name) in ends {
            root.draw(&Text::new(name, (x, y), anchored(14, INK, HPos::Left, VPos::Center)))?;
        }
        Ok(())
    }

    /// A mark of a shape of its own.
    fn mark(&self, root: &Area<'_>, index: usize, (x, y): (i32, i32), colour: RGBColor) -> Drawn {
        let style = colour.filled();
        match index % 4 {
            0 => root.draw(&Circle::new((x, y), 4, style))?,
            1 => root.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], style))?,
            2 => root.draw(&Polygon::new(vec![(x - 5, y + 4), (x + 5, y + 4), (x, y - 5)], style))?,
            _ => root.draw(&Polygon::new(vec![(x - 5, y), (x, y - 5), (x + 5, y), (x, y + 5)], style))?,
        }
        Ok(())
    }
}
