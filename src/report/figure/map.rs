//! A map: kinds of layers down, depth across, a colour for a number.

use plotters::prelude::*;
use plotters::style::colors::colormaps::ViridisRGB;
use plotters::style::text_anchor::{HPos, VPos};

use super::Figure;
use super::style::{Area, At, Drawn, GREY, INK, MESH, VERMILLION, WIDTH, anchored, figure};
use super::words::{ending, safe, spot};
use crate::Result;
use crate::report::number;

/// How numbers become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// From the least to the most.
    Linear,
    /// By their logarithms; 0 is at the foot.
    Log,
    /// By asinh, which is linear near 0 and a logarithm beyond; from blue through grey at 0 to vermillion.
    Signed,
}

/// One field of a map.
#[derive(Clone, Debug)]
pub(in crate::report) struct Cell {
    pub(in crate::report) column: usize,
    pub(in crate::report) row: usize,
    pub(in crate::report) value: f64,
    /// What is said of it where a pointer rests.
    pub(in crate::report) says: String,
    /// Which tensor it leads to.
    pub(in crate::report) tensor: usize,
    /// Whether it is far from the others of its row.
    pub(in crate::report) odd: bool,
}

/// A map, to be drawn.
#[derive(Clone, Debug)]
pub(in crate::report) struct Map<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) title: &'a str,
    pub(in crate::report) scale: Scale,
    /// Names of the columns and the rows.
    pub(in crate::report) columns: &'a [String],
    pub(in crate::report) rows: &'a [String],
    pub(in crate::report) cells: &'a [Cell],
}

const ROW: i32 = 22;
const TOP: i32 = 96;
const LEFT: i32 = 222;
const RIGHT: i32 = WIDTH as i32 - 20;

impl Map<'_> {
    /// The picture.
    pub(in crate::report) fn draw(&self) -> Result<Figure> {
        let height = TOP + ROW * self.rows.len() as i32 + 54;
        let odd: Vec<String> = self.cells.iter().filter(|cell| cell.odd).take(8).map(|c| safe(&c.says, 200)).collect();
        let odd = match odd.len() {
            0 => "None is far from the others of its kind".to_owned(),
            _ => format!("Far from the others of their kind: {}", odd.join("; ")),
        };
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let by = |a: &&Cell, b: &&Cell| a.value.total_cmp(&b.value);
        let ends = self.cells.iter().min_by(by).zip(self.cells.iter().max_by(by));
        let ends = ends.map_or_else(String::new, |(least, most)| {
            format!(" Least: {}. Most: {}.", safe(&least.says, 200), safe(&most.says, 200))
        });
        let description = format!(
            "{} for {rows} kinds of layers, {columns} deep.{ends} {odd}. Every value is in the table of tensors.",
            self.title
        );
        let mut made = figure(self.name, self.title, &description, height as u32, |root| self.picture(root, height))?;
        made.add(&self.cells.iter().map(|cell| self.spot(cell)).collect::<String>());
        Ok(made)
    }

    /// Left, upper, right and lower edge of a cell.
    fn place(&self, column: usize, row: usize) -> (At, At) {
        let x =
            |column: usize| LEFT + ((RIGHT - LEFT) as i64 * column as i64 / self.columns.len().max(1) as i64) as i32;
        let y = TOP + ROW * row as i32;
        ((x(column), y), (x(column + 1), y + ROW))
    }

    fn spot(&self, cell: &Cell) -> String {
        let ((left, top), (right, bottom)) = self.place(cell.column, cell.row);
        spot(cell.tensor, &cell.says, (left, top), (right, bottom))
    }

    fn picture(&self, root: &Area<'_>, height: i32) -> Drawn {
        let tone = Tone::new(self.scale, self.cells.iter().map(|cell| cell.value));
        for (row, name) in self.rows.iter().enumerate() {
            let ((_, top), (_, bottom)) = self.place(0, row);
            root.draw(&PathElement::new(vec![(LEFT, bottom), (RIGHT, bottom)], MESH))?;
            let style = anchored(14, INK, HPos::Right, VPos::Center);
            let name = ending(&safe(name, 200), 30);
            root.draw(&Text::new(name, (LEFT - 10, (top + bottom) / 2), style))?;
        }
        for cell in self.cells {
            let ((left, top), (right, bottom)) = self.place(cell.column, cell.row);
            let gap = i32::from(right - left > 4);
            let corners = [(left, top + 1), (right - gap, bottom - 1)];
            root.draw(&Rectangle::new(corners, tone.colour(cell.value).filled()))?;
            if cell.odd {
                // A frame: what stands out does so without colour, too.
                frame(root, (left, top + 1), (right - gap - 1, bottom - 2))?;
            }
        }
        let every = self.columns.len().div_ceil(13).max(1);
        for (column, name) in self.columns.iter().enumerate().step_by(every) {
            let ((left, _), (right, _)) = self.place(column, 0);
            let y = TOP + ROW * self.rows.len() as i32 + 6;
            let style = anchored(13, INK, HPos::Center, VPos::Top);
            root.draw(&Text::new(safe(name, 12), ((left + right) / 2, y), style))?;
        }
        let style = anchored(15, INK, HPos::Center, VPos::Bottom);
        root.draw(&Text::new("depth (number in the name)", ((LEFT + RIGHT) / 2, height - 8), style))?;
        self.key(root, &tone)
    }

    /// Which colour stands for what.
    fn key(&self, root: &Area<'_>, tone: &Tone) -> Drawn {
        let (left, width, y) = (LEFT, 200, 48);
        const STEPS: i32 = 40;
        for step in 0..STEPS {
            let x = |step| left + width * step / STEPS;
            let colour = tone.at(f64::from(step) / f64::from(STEPS - 1));
            root.draw(&Rectangle::new([(x(step), y), (x(step + 1), y + 12)], colour.filled()))?;
        }
        let ends = [(left, HPos::Left, tone.value(0.0)), (left + width, HPos::Right, tone.value(1.0))];
        for (x, anchor, value) in ends {
            let text = number::real(Some(value));
            root.draw(&Text::new(text, (x, y + 16), anchored(13, INK, anchor, VPos::Top)))?;
        }
        if self.scale == Scale::Signed {
            let style = anchored(13, INK, HPos::Center, VPos::Top);
            root.draw(&Text::new("0", (left + width / 2, y + 16), style))?;
        }
        frame(root, (left + width + 20, y - 1), (left + width + 40, y + 13))?;
        let style = anchored(14, INK, HPos::Left, VPos::Center);
        let x = left + width + 48;
        root.draw(&Text::new("far from others of its kind", (x, y + 6), style))?;
        Ok(())
    }
}

/// Dark without and light within: it shows on any colour, in the dark, too. A page replaces neither of these two.
fn frame(root: &Area<'_>, (left, top): At, (right, bottom): At) -> Drawn {
    root.draw(&Rectangle::new([(left, top), (right, bottom)], RGBColor(0, 0, 0).stroke_width(2)))?;
    root.draw(&Rectangle::new([(left + 2, top + 2), (right - 2, bottom - 2)], RGBColor(0xfe, 0xfe, 0xfe)))?;
    Ok(())
}

/// From numbers to colours.
struct Tone {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Tone {
    fn new(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let placed = || values.clone().filter(|value| value.is_finite()).map(|value| Self::place(scale, value));
        let placed = || placed().filter(|place| place.is_finite());
        let (from, to) = placed().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let (from, to) = if from <= to { (from, to) } else { (0.0, 1.0) };
        let most = from.abs().max(to.abs()).max(1e-3);
        let (from, to) = if scale == Scale::Signed { (-most, most) } else { (from, to) };
        Self { scale, from, to }
    }

    fn place(scale: Scale, value: f64) -> f64 {
        match scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Signed => value.asinh(),
        }
    }

    /// The value at a share of the scale.
    fn value(&self, share: f64) -> f64 {
        let place = self.from + share * (self.to - self.from);
        match self.scale {
            Scale::Linear => place,
            Scale::Log => 10f64.powf(place),
            Scale::Signed => place.sinh(),
        }
    }

    fn colour(&self, value: f64) -> RGBColor {
        let place = Self::place(self.scale, value);
        match (value.is_finite(), place.is_nan()) {
            (false, _) | (_, true) => GREY,
            _ if self.from == self.to => self.at(0.5),
            _ => self.at(((place - self.from) / (self.to - self.from)).clamp(0.0, 1.0)),
        }
    }

    fn at(&self, share: f64) -> RGBColor {
        if self.scale != Scale::Signed {
            return ViridisRGB::get_color_normalized(share, 0.0, 1.0);
        }
        // Near the colours of the other pictures, but none that a dark page replaces: here they stand for numbers.
        const LOW: RGBColor = RGBColor(0x00, 0x70, 0xb4);
        const MIDDLE: RGBColor = RGBColor(0xd2, 0xd2, 0xd2);
        let (end, share) = if share < 0.5 { (LOW, 1.0 - 2.0 * share) } else { (VERMILLION, 2.0 * share - 1.0) };
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        RGBColor(mix(MIDDLE.0, end.0), mix(MIDDLE.1, end.1), mix(MIDDLE.2, end.2))
    }
}
