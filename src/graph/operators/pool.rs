//! Windows that go over positions, and pools, whose windows keep channels apart.

use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::{Followed, freeze_others};

/// Where a kernel is applied, by axis of positions.
pub(super) struct Window {
    kernel: Vec<u64>,
    strides: Vec<u64>,
    dilations: Vec<u64>,
    /// Added at the begin and at the end.
    pads: Vec<(i64, i64)>,
    /// Pads such that no position is lost, whatever `pads` says.
    same: bool,
    ceil: bool,
}

impl Window {
    /// What the attributes say about a kernel.
    pub(super) fn read(site: &Site<'_>, kernel: &[u64]) -> Result<Self, String> {
        let count = kernel.len();
        let list = |name: &str, length: usize, default: i64| {
            let values = site.ints(name).unwrap_or_else(|| vec![default; length]);
            match values.len() == length {
                true => Ok(values),
                false => Err(format!("has {} {name} for {count} axes", values.len())),
            }
        };
        let positive = |name: &str| -> Result<Vec<u64>, String> {
            let values = list(name, count, 1)?.into_iter().map(|value| u64::try_from(value).ok().filter(|&v| v > 0));
            values.collect::<Option<_>>().ok_or_else(|| format!("has {name} that are not positive"))
        };
        let auto = site.text("auto_pad").unwrap_or("NOTSET");
        let pads = if auto == "NOTSET" { list("pads", count.saturating_mul(2), 0)? } else { vec![0; count * 2] };
        Ok(Self {
            kernel: kernel.to_vec(),
            strides: positive("strides")?,
            dilations: positive("dilations")?,
            pads: (0..count).map(|axis| (pads[axis], pads[axis + count])).collect(),
            same: matches!(auto, "SAME_UPPER" | "SAME_LOWER"),
            ceil: site.flag("ceil_mode", false),
        })
    }

    /// Positions along an axis of `length`.
    pub(super) fn length(&self, state: &mut State<'_>, axis: usize, length: Length) -> Length {
        let known = length.fixed().and_then(|length| self.positions(axis, length));
        known.map_or_else(|| state.symbol(), Length::Fixed)
    }

    fn positions(&self, axis: usize, length: u64) -> Option<u64> {
        let stride = self.strides[axis];
        if self.same {
            return Some(length.div_ceil(stride));
        }
        let (begin, end) = self.pads[axis];
        let padded = length.checked_add_signed(begin)?.checked_add_signed(end)?;
        let steps = padded.checked_sub(self.extent(axis)?)?;
        let positions = steps / stride + 1;
        if self.ceil && !steps.is_multiple_of(stride) {
            // A window that begins in the padding at the end is left out.
            let next = positions.checked_mul(stride)?;
            return Some(if next < length.checked_add_signed(begin)? { positions + 1 } else { positions });
        }
        Some(positions)
    }

    /// Positions that a transposed convolution makes of `length`.
    pub(super) fn transposed(&self, axis: usize, length: u64, more: i64) -> Option<u64> {
        let stride = self.strides[axis];
        if self.same {
            return length.checked_mul(stride);
        }
        let (begin, end) = self.pads[axis];
        let whole = length.checked_sub(1)?.checked_mul(stride)?.checked_add(self.extent(axis)?)?;
        let whole = whole.checked_add_signed(more)?;
        whole.checked_add_signed(begin.checked_neg()?)?.checked_add_signed(end.checked_neg()?)
    }

    /// Indices that a kernel spans.
    fn extent(&self, axis: usize) -> Option<u64> {
        self.kernel[axis].checked_sub(1)?.checked_mul(self.dilations[axis])?.checked_add(1)
    }
}

/// `[N, channels, …]`: a window of 0 gives 0.
pub(super) fn windows<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let kernel = site.ints("kernel_shape").unwrap_or_default();
    let kernel: Option<Vec<u64>> = kernel.into_iter().map(|length| u64::try_from(length).ok()).collect();
    let kernel = kernel.filter(|kernel| axes.len() == kernel.len() + 2).ok_or("has a kernel that does not fit")?;
    let window = Window::read(site, &kernel)?;
    freeze_others(state, &mut axes, |axis| axis < 2, &format!("{} mixes them", site.label()));
    for (index, axis) in axes[2..].iter_mut().enumerate() {
        *axis = Axis::plain(window.length(state, index, axis.length));
    }
    Ok(vec![Value::of(axes)])
}

/// The same over all positions.
pub(super) fn global<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    freeze_others(state, &mut axes, |axis| axis < 2, &format!("{} mixes them", site.label()));
    axes.iter_mut().skip(2).for_each(|axis| *axis = Axis::plain(Length::Fixed(1)));
    Ok(vec![Value::of(axes)])
}
