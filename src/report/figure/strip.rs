//! The channels of a tensor as two rows of cells: variance and norm.

use plotters::prelude::*;
use plotters::style::colors::colormaps::ViridisRGB;
use plotters::style::text_anchor::{HPos, VPos};

use super::Figure;
use super::style::{Drawn, INK, VERMILLION, WIDTH, anchored, figure};
use crate::Result;
use crate::report::number;
use crate::survey::{ChannelCell, Channels};

const HEIGHT: u32 = 150;

/// The strip of a tensor.
pub(in crate::report) fn strip(name: &str, title: &str, channels: &Channels) -> Result<Figure> {
    let named = |what: &str, found: Option<(u64, f64)>| {
        let said = |(channel, variance)| format!(" {what}: channel {channel}, {}.", number::real(Some(variance)));
        found.map_or_else(String::new, said)
    };
    let description = format!(
        "Variance and norm of {} output channels (axis {}), {} of them dead.{}{}",
        channels.count,
        channels.axis,
        channels.dead,
        named("Least variance", channels.least),
        named("Largest variance", channels.most)
    );
    figure(name, title, &description, HEIGHT, |root| {
        let (left, right) = (96, WIDTH as i32 - 20);
        let cells = channels.cells.len().max(1) as i32;
        let x = |cell: usize| left + (right - left) * cell as i32 / cells;
        let row = |y: i32, what: &str, value: fn(&ChannelCell) -> Option<f64>| -> Drawn {
            let style = anchored(14, INK, HPos::Right, VPos::Center);
            root.draw(&Text::new(what.to_owned(), (left - 10, y + 12), style))?;
            let most = channels.cells.iter().filter_map(value).fold(f64::MIN_POSITIVE, f64::max);
            for (i, cell) in channels.cells.iter().enumerate() {
                let corners = [(x(i), y), (x(i + 1), y + 24)];
                let colour: RGBColor = ViridisRGB::get_color_normalized(value(cell).unwrap_or(0.0) / most, 0.0, 1.0);
                root.draw(&Rectangle::new(corners, colour.filled()))?;
            }
            Ok(())
        };
        row(46, "variance", |cell| cell.variance)?;
        row(76, "norm", |cell| cell.norm)?;
        for (i, _) in channels.cells.iter().enumerate().filter(|(_, cell)| cell.dead > 0) {
            let (middle, y) = ((x(i) + x(i + 1)) / 2, 104);
            root.draw(&Polygon::new(vec![(middle - 4, y + 7), (middle + 4, y + 7), (middle, y)], VERMILLION.filled()))?;
        }
        let last = channels.count.saturating_sub(1);
        let dead =
            if channels.dead > 0 { format!("; {} dead ones under the marks", channels.dead) } else { String::new() };
        let text = format!("output channels 0 to {last}; dark is 0, light the most{dead}");
        let style = anchored(14, INK, HPos::Left, VPos::Bottom);
        root.draw(&Text::new(text, (left, HEIGHT as i32 - 10), style))?;
        Ok(())
    })
}
