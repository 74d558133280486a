//! The picture. Shapes say without colour what colours say.

use std::collections::BTreeSet;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::super::axis::Axis;
use super::super::style::{
    Area, At, BLUE, Drawn, GREEN, GREY, INK, MESH, PURPLE, SKY as LINE, VERMILLION, anchored, font, framed,
};
use super::super::words::safe;
use super::scale;
use super::{Curve, Point, words};
use crate::Result;

const WIDTH: u32 = 840;
const HEIGHT: u32 = 520;
/// Beside the plot, for the lines' names.
const RIGHT: i32 = 150;
/// Above it, for the title, the legend and the best point's name.
const TOP: i32 = 106;
/// Below its axis, for what is not shown.
const BOTTOM: i32 = 28;

/// As many points are drawn where they are, to the pixel.
const FEW: usize = 2000;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// What a point looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Rejected,
    Beyond,
    Accepted,
    Test,
    Unpruned,
    Best,
}

impl Mark {
    const ALL: [Self; 6] = [Self::Accepted, Self::Rejected, Self::Beyond, Self::Best, Self::Unpruned, Self::Test];

    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Beyond => "rejected, beyond the axis",
            Self::Best => "best",
            Self::Unpruned => "unpruned",
            Self::Test => "test set",
        }
    }

    /// Draws it; `down` says to which side what is beyond the axis lies.
    fn draw(self, area: &Area<'_>, (x, y): At, down: bool) -> Drawn {
        match self {
            Self::Accepted => area.draw(&Circle::new((x, y), 4, BLUE.filled()))?,
            Self::Rejected => {
                for slope in [-4, 4] {
                    let ends = vec![(x - 4, y - slope), (x + 4, y + slope)];
                    area.draw(&PathElement::new(ends, VERMILLION.stroke_width(2)))?;
                }
            }
            Self::Beyond => {
                let (base, tip) = if down { (y - 9, y - 1) } else { (y + 9, y + 1) };
                area.draw(&Polygon::new(vec![(x - 5, base), (x + 5, base), (x, tip)], VERMILLION.filled()))?;
            }
            Self::Test => {
                let corners = vec![(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)];
                area.draw(&Polygon::new(corners, PURPLE.filled()))?;
            }
            Self::Unpruned => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 5, y + 5)], GREEN.filled()))?,
            Self::Best => area.draw(&Circle::new((x, y), 9, INK.stroke_width(2)))?,
        }
        Ok(())
    }
}

pub(super) fn svg(curve: &Curve) -> Result<String> {
    let left_out = curve.points.iter().filter(|point| !scale::is_drawable(point)).count();
    let description = words::description(curve, left_out);
    // A ground of its own: readable on a dark page, too.
    framed((WIDTH, HEIGHT), &title(curve), &description, |area| picture(curve, area))
}

fn title(curve: &Curve) -> String {
    safe(&curve.title, 90)
}

fn picture(curve: &Curve, root: &Area<'_>) -> Drawn {
    root.draw(&Text::new(title(curve), (20, 16), font(21, INK)))?;
    let (x, y) = (scale::saved_axis(&curve.points), scale::metric_axis(curve));
    let inner = root.margin(TOP, BOTTOM, 12, RIGHT);
    let mut builder = ChartBuilder::on(&inner);
    builder.x_label_area_size(52).y_label_area_size(78);
    let mut chart: Chart<'_, '_> = builder.build_cartesian_2d(x.clone(), y.clone())?;
    mesh(curve, &mut chart)?;

    let place = |saved: f64, metric: f64| chart.backend_coord(&(100.0 * saved, metric * scale::factor(curve)));
    let (left, right) = (chart.backend_coord(&(x.from, y.from)), chart.backend_coord(&(x.to, y.to)));
    let (bottom, top) = (left.1, right.1);
    lines(curve, root, &place, (left.0, right.0))?;
    let has_line = frontier(curve, root, &place)?;

    let mut marks: BTreeSet<(Mark, At)> = BTreeSet::new();
    // Ten thousand points are no ten thousand marks: where many would be at one place there is one.
    let grid = if curve.points.len() > FEW { 3 } else { 1 };
    let snapped = |(x, y): At| (x / grid * grid, (y / grid * grid).clamp(top, bottom));
    for point in curve.points.iter().filter(|point| scale::is_drawable(point)) {
        let at = place(point.saved, point.metric);
        let mark = match point {
            Point { test: true, .. } => Mark::Test,
            Point { kept: true, .. } => Mark::Accepted,
            _ if at.1 > bottom || at.1 < top => Mark::Beyond,
            _ => Mark::Rejected,
        };
        marks.insert((mark, snapped(at)));
    }
    if curve.baseline.is_finite() {
        marks.insert((Mark::Unpruned, place(0.0, curve.baseline)));
    }
    if let Some(best) = curve.points.iter().find(|point| point.best && !point.test && scale::is_drawable(point)) {
        let at = place(best.saved, best.metric);
        marks.insert((Mark::Best, at));
        let anchor = if at.0 > (left.0 + right.0) / 2 { HPos::Right } else { HPos::Left };
        root.draw(&PathElement::new(vec![(at.0, top - 8), (at.0, at.1 - 10)], INK.stroke_width(1)))?;
        root.draw(&Text::new(words::label(curve, best), (at.0, top - 10), anchored(15, INK, anchor, VPos::Bottom)))?;
    }
    // In the order of `Mark`, the best on top.
    for (mark, at) in &marks {
        mark.draw(root, *at, curve.higher_is_better)?;
    }
    legend(root, &marks, has_line, curve.higher_is_better)?;
    caption(curve, root)
}

fn mesh(curve: &Curve, chart: &mut Chart<'_, '_>) -> Drawn {
    let unit = if curve.percent { ", %" } else { "" };
    chart
        .configure_mesh()
        .bold_line_style(MESH)
        .light_line_style(TRANSPARENT)
        .axis_style(GREY)
        .label_style(font(14, INK))
        .axis_desc_style(font(16, INK))
        .x_desc(format!("{}, %", words::name(&curve.saved_name)))
        .y_desc(format!("{}{unit}", words::name(&curve.metric_name)))
        .draw()?;
    Ok(())
}

/// The floor and the unpruned model's metric, with their names beside the plot, where no points are.
fn lines(curve: &Curve, root: &Area<'_>, place: &dyn Fn(f64, f64) -> At, (left, right): (i32, i32)) -> Drawn {
    let mut labels = Vec::new();
    for (value, what, colour, dash) in
        [(curve.baseline, "unpruned", GREEN, 2), (curve.floor, words::floor(curve), INK, 8)]
    {
        if value.is_finite() {
            let y = place(0.0, value).1;
            for start in (left..right).step_by(2 * dash) {
                let end = (start + dash as i32).min(right);
                root.draw(&PathElement::new(vec![(start, y), (end, y)], colour.stroke_width(1 + dash as u32 / 8)))?;
            }
            labels.push((y, format!("{what} {}", words::metric(curve, value)), colour));
        }
    }
    // Apart, and in the lines' order.
    const APART: i32 = 17;
    labels.sort_by_key(|(y, _, _)| *y);
    if let [(upper, ..), (lower, ..)] = labels.as_mut_slice() {
        let missing = APART - (*lower - *upper);
        if missing > 0 {
            (*upper, *lower) = (*upper - missing / 2, *lower + (missing + 1) / 2);
        }
    }
    for (y, text, colour) in labels {
        root.draw(&Text::new(text, (right + 8, y), anchored(15, dark(colour), HPos::Left, VPos::Center)))?;
    }
    Ok(())
}

/// Text has to be darker than a line to be read on white.
fn dark(colour: RGBColor) -> RGBColor {
    if colour == GREEN { RGBColor(0x00, 0x6b, 0x4e) } else { colour }
}

/// A line through those accepted candidates that are better than any that cuts as much or more; whether there is one.
fn frontier(curve: &Curve, root: &Area<'_>, place: &dyn Fn(f64, f64) -> At) -> Drawn<bool> {
    let kept = curve.points.iter().filter(|point| point.kept && !point.test && scale::is_drawable(point));
    let mut kept: Vec<(f64, f64)> = kept.map(|point| (point.saved, point.metric)).collect();
    if curve.baseline.is_finite() {
        kept.push((0.0, curve.baseline));
    }
    let goodness = |metric: f64| if curve.higher_is_better { metric } else { -metric };
    kept.sort_by(|a, b| b.0.total_cmp(&a.0).then(goodness(b.1).total_cmp(&goodness(a.1))));
    let mut best = f64::NEG_INFINITY;
    kept.retain(|(_, metric)| {
        goodness(*metric) > best && {
            best = goodness(*metric);
            true
        }
    });
    let mut path: Vec<At> = kept.into_iter().map(|(saved, metric)| place(saved, metric)).collect();
    path.dedup();
    let has_line = path.len() > 1;
    if has_line {
        root.draw(&PathElement::new(path, LINE.stroke_width(2)))?;
    }
    Ok(has_line)
}

/// From one name of the legend to the next; letters are about 6 pixels wide.
fn advance(name: &str) -> i32 {
    40 + 6 * name.len() as i32
}

/// Above the plot, where no points are.
fn legend(root: &Area<'_>, marks: &BTreeSet<(Mark, At)>, has_line: bool, down: bool) -> Drawn {
    let mut x = 28;
    for mark in Mark::ALL.into_iter().filter(|mark| marks.iter().any(|(other, _)| other == mark)) {
        let y = 58;
        mark.draw(root, (x, if mark == Mark::Beyond { y + if down { 5 } else { -5 } } else { y }), down)?;
        root.draw(&Text::new(mark.name(), (x + 14, y), anchored(15, INK, HPos::Left, VPos::Center)))?;
        x += advance(mark.name());
    }
    if has_line {
        root.draw(&PathElement::new(vec![(x - 8, 58), (x + 10, 58)], LINE.stroke_width(2)))?;
        root.draw(&Text::new("best trade-offs", (x + 16, 58), anchored(15, INK, HPos::Left, VPos::Center)))?;
    }
    Ok(())
}

/// Below the plot: what it does not show.
fn caption(curve: &Curve, root: &Area<'_>) -> Drawn {
    let left_out = curve.points.iter().filter(|point| !scale::is_drawable(point)).count();
    let text = match (left_out, curve.points.len()) {
        (_, 0) => "no candidate has been evaluated".to_owned(),
        (0, _) => return Ok(()),
        (1, _) => "1 candidate without a finite metric is left out".to_owned(),
        _ => format!("{left_out} candidates without a finite metric are left out"),
    };
    let style = anchored(14, GREY, HPos::Left, VPos::Bottom);
    root.draw(&Text::new(text, (20, HEIGHT as i32 - 10), style))?;
    Ok(())
}
