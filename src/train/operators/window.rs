//! Where a kernel is applied, along one axis or two of positions.

use super::site::Site;

/// A kernel over two axes of positions; of one axis, the first is 1 long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Added at the begin and at the end.
    pub(super) pads: [(usize, usize); 2],
    pub(super) ceil: bool,
}

/// Beyond any kernel, stride or pad.
const MOST: i64 = 1 << 16;

impl Window {
    /// What the attributes say about a kernel over `positions`, of which there is one axis or two.
    pub(super) fn read(site: &Site<'_>, kernel: &[usize], positions: &[usize]) -> Result<Self, String> {
        let count = positions.len();
        if !(1..=2).contains(&count) || kernel.len() != count {
            let axes = kernel.len();
            return Err(format!("has a kernel of {axes} axes over {count}: one or two of each are known"));
        }
        let list = |name: &str, length: usize, default: i64, least: i64| {
            let values = site.ints(name).unwrap_or_else(|| vec![default; length]);
            let fits = values.len() == length && values.iter().all(|value| (least..=MOST).contains(value));
            if fits { Ok(values) } else { Err(format!("has {name} {values:?}")) }
        };
        let (strides, dilations) = (list("strides", count, 1, 1)?, list("dilations", count, 1, 1)?);
        let auto = site.text("auto_pad").unwrap_or("NOTSET");
        let explicit = if auto == "NOTSET" { list("pads", count * 2, 0, 0)? } else { vec![0; count * 2] };
        let mut window = Self {
            kernel: [1; 2],
            strides: [1; 2],
            dilations: [1; 2],
            pads: [(0, 0); 2],
            ceil: site.int("ceil_mode", 0) != 0,
        };
        for axis in 0..count {
            let to = 2 - count + axis;
            window.kernel[to] = kernel[axis];
            (window.strides[to], window.dilations[to]) = (strides[axis] as usize, dilations[axis] as usize);
            window.pads[to] = (explicit[axis] as usize, explicit[axis + count] as usize);
            let extent = window.extent(to).ok_or_else(|| format!("has a kernel {kernel:?}"))?;
            if matches!(auto, "SAME_UPPER" | "SAME_LOWER") {
                // As many positions as strides: what is missing is added at both ends, the odd one at the end, or begin.
                let steps = positions[axis].div_ceil(window.strides[to]);
                let all = ((steps - 1) * window.strides[to] + extent).saturating_sub(positions[axis]);
                let (less, more) = (all / 2, all - all / 2);
                window.pads[to] = if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
            let (begin, end) = window.pads[to];
            if positions[axis] + begin + end < extent {
                return Err(format!("has a kernel {kernel:?} that is larger than {positions:?} with what is added"));
            }
        }
        Ok(window)
    }

    fn extent(&self, axis: usize) -> Option<usize> {
        self.kernel[axis].checked_sub(1)?.checked_mul(self.dilations[axis])?.checked_add(1)
    }

    /// Positions along axes of these lengths, in which the kernel fits.
    pub(super) fn positions(&self, lengths: [usize; 2]) -> [usize; 2] {
        let positions = |axis: usize| {
            let padded = lengths[axis] + self.pads[axis].0 + self.pads[axis].1;
            padded.saturating_sub(self.extent(axis).unwrap_or(usize::MAX)) / self.strides[axis] + 1
        };
        [positions(0), positions(1)]
    }

    /// The pad of each axis where begin and end are alike.
    pub(super) fn symmetric(&self) -> Option<[usize; 2]> {
        self.pads.iter().all(|(begin, end)| begin == end).then(|| self.pads.map(|(begin, _)| begin))
    }
}

/// The shape of `[n, channels, positions…]` with two axes of positions.
pub(super) fn flat(shape: &[usize]) -> [usize; 4] {
    match *shape {
        [n, channels, length] => [n, channels, 1, length],
        [n, channels, height, width, ..] => [n, channels, height, width],
        _ => [0; 4],
    }
}

/// The two axes of positions of such a shape.
pub(super) fn positions(shape: &[usize]) -> [usize; 2] {
    let [_, _, height, width] = flat(shape);
    [height, width]
}
