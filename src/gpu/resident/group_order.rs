//! Exact order statistics of channels and blocks where they lie.

use super::Weights;
use super::groups::Groups;
use super::window::{Span, Window};
use crate::gpu::{Dispatch, Gpu, Pending, kernel, pool};
use crate::kernels::select::{self, View};
use crate::stats::Grouping;
use crate::{Error, Float, Result};

/// Order statistics of the finite weights of each group of some tensors, by the kernel `select`: a workgroup for each. For whole
/// tensors there is [`OrderPass`](super::OrderPass).
#[derive(Debug)]
pub struct GroupOrderPass {
    gpu: Gpu,
    ranks_each: usize,
    /// The format of each group.
    floats: Vec<Float>,
    ranks: wgpu::Buffer,
    keys: wgpu::Buffer,
    /// For each key, which group and rank it is of.
    places: Vec<(usize, usize)>,
    dispatches: Vec<Dispatch>,
}

/// Elements of a group that one workgroup goes over.
const MOST: u64 = 1 << 20;

impl GroupOrderPass {
    /// A pass that finds `ranks_each` order statistics of each group of `weights`.
    ///
    /// # Errors
    /// A group of more than 2^20 elements, or that a kernel of this device does not see at once; a device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights], by: Grouping, ranks_each: usize) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let groups = Groups::new(weights, by);
        if let Some((span, view)) = groups.views.iter().find(|(_, view)| u64::from(view.length) > MOST) {
            return Err(Error::Device(format!(
                "a group of {} elements of a tensor of shape {:?}: OrderPass takes whole tensors of any size",
                view.length,
                weights[span.tensor].shape()
            )));
        }
        let floats = weights.iter().zip(&groups.counts);
        let floats: Vec<Float> =
            floats.flat_map(|(weights, n)| std::iter::repeat_n(weights.float(), *n as usize)).collect();
        let spans: Vec<Span> = groups.views.iter().map(|(span, _)| *span).collect();
        let each = ranks_each as u64 * 4;
        let windows = Window::cover(gpu, weights, &spans, |_| each.max(size_of::<View>() as u64))?;
        // Each window's ranks and keys are bound by themselves; its groups are numbered from 0.
        let (mut places, mut starts) = (Vec::new(), Vec::new());
        for window in &windows {
            let aligned = (gpu.alignment() / 4) as usize;
            places.resize(places.len().next_multiple_of(aligned), (usize::MAX, 0));
            starts.push(places.len() as u64 * 4);
            for (_, view) in &groups.views[window.spans.clone()] {
                places.extend((0..ranks_each).map(|rank| (view.group as usize, rank)));
            }
        }
        let bytes = places.len() as u64 * 4;
        let ranks = gpu.buffer("ranks", bytes, Usage::STORAGE | Usage::COPY_DST)?;
        let keys = gpu.buffer("keys", bytes, Usage::STORAGE | Usage::COPY_SRC)?;
        let mut dispatches = Vec::new();
        for (window, start) in windows.iter().zip(starts).filter(|_| ranks_each > 0) {
            let view = |(group, (span, view)): (usize, &(Span, View))| {
                let start = window.element(&weights[span.tensor], span.first);
                View { start, group: group as u32, ..*view }
            };
            let views: Vec<View> = groups.views[window.spans.clone()].iter().enumerate().map(view).collect();
            let list = gpu.filled("groups", bytemuck::cast_slice(&views), Usage::STORAGE)?;
            let bytes = start..start + views.len() as u64 * each;
            let buffers = [
                window.binding(),
                list.as_entire_buffer_binding(),
                super::window::part(&ranks, bytes.clone()),
                super::window::part(&keys, bytes),
            ];
            let kernel = select::kernel(gpu, window.float, false, ranks_each)?;
            dispatches.push(kernel.prepare(gpu, &buffers, (views.len() * ranks_each) as u32)?);
        }
        Ok(Self { gpu: gpu.clone(), ranks_each, floats, ranks, keys, places, dispatches })
    }

    /// Records the search for `ranks`, those of each group ascending, group after group: 0 is the smallest finite weight, and a rank
    /// beyond a group's finite weights stands for the largest.
    ///
    /// # Errors
    /// Another number of ranks, ranks that fall, or a device that is out of memory.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, ranks: &[u64]) -> Result<()> {
        let each = self.ranks_each;
        if ranks.len() != self.floats.len() * each || ranks.chunks(each.max(1)).any(|ranks| !ranks.is_sorted()) {
            return Err(Error::Device(format!(
                "{each} ascending ranks are asked for each of {} groups",
                self.floats.len()
            )));
        }
        let rank = |(group, rank): &(usize, usize)| {
            let rank = ranks.get(group.saturating_mul(each) + rank).copied().unwrap_or(0);
            u32::try_from(rank).unwrap_or(u32::MAX)
        };
        let placed: Vec<u32> = self.places.iter().map(rank).collect();
        if !placed.is_empty() {
            pool::send(&self.gpu, encoder, bytemuck::cast_slice(&placed), &self.ranks, 0)?;
        }
        kernel::record(encoder, "select in groups", &self.dispatches);
        Ok(())
    }

    /// Records the results' way to the host: of each group its weights, `None` where it has no finite one.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Vec<Option<f64>>>>> {
        let (places, floats, each) = (self.places.clone(), self.floats.clone(), self.ranks_each);
        Pending::record(&self.gpu, encoder, &self.keys, self.places.len() as u64 * 4, move |bytes| {
            let mut found = vec![vec![None; each]; floats.len()];
            for ((group, rank), key) in places.into_iter().zip(bytes.as_chunks().0) {
                let key = u64::from(u32::from_le_bytes(*key));
                if let Some((of_group, float)) = found.get_mut(group).zip(floats.get(group)) {
                    // Where there is no finite weight, the kernel ends at the key of one that is not.
                    let is_finite = float.is_finite(float.key_bits(key));
                    of_group[rank] = is_finite.then(|| float.key_value(key, false));
                }
            }
            Ok(found)
        })
    }

    /// Encodes and submits.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and a device that refuses the commands.
    pub fn run(&self, ranks: &[u64]) -> Result<Pending<Vec<Vec<Option<f64>>>>> {
        self.gpu.run("order statistics of groups", |encoder| {
            self.encode(encoder, ranks)?;
            self.read(encoder)
        })
    }
}
