//! Pruned variants of one copy of the weights, switched on and off.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tiling::{TileWindow, Tiling};
use super::window::part;
use super::{Masks, Weights};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::overlay::{self, Mode};
use crate::{Error, Result};

/// Several sparsities of one model out of one copy of its weights, by the kernel `overlay`.
///
/// A variant is a mask. Switching it on takes the weights that it cuts out of their places, which leaves zeros, and keeps them
/// side by side in a store; switching it off puts them back, bit for bit. One variant is on at a time: beside the weights the
/// device holds one bit a weight for each variant, and a store as large as the largest of them cuts, which those that are
/// added later share. A variant that cuts more than all before it gets a store of its own, so add the sparsest first.
///
/// Which variant is on is known on the device, and every switch looks there: it puts back whatever is on, then takes out what is
/// wanted. So an encoder that is dropped or refused has switched nothing, and encoders that are submitted in another order than they
/// were recorded in leave on what the last of them says; no weight is ever lost. A switch looks at every variant once, which is
/// little work for those that are not on.
///
/// ```no_run
/// # async fn example(gpu: &secateur::gpu::Gpu, weights: &[secateur::gpu::Weights]) -> secateur::Result<()> {
/// use secateur::gpu::{Overlay, PrunePass, Rule};
/// use secateur::prune::Keep;
///
/// let prune = PrunePass::new(gpu, weights, Rule::Uniform, Keep::Largest)?;
/// let mut overlay = Overlay::new(gpu, weights)?;
/// let mut variants = Vec::new();
/// for rate in [0.9, 0.5] {
///     let mut encoder = gpu.device().create_command_encoder(&Default::default());
///     prune.encode_masks(&mut encoder, &prune.amounts(rate))?;
///     gpu.queue().submit([encoder.finish()]);
///     variants.push(overlay.add(prune.masks()).await?);
/// }
/// let mut encoder = gpu.device().create_command_encoder(&Default::default());
/// overlay.encode(&mut encoder, Some(variants[0]))?;
/// // … inference at 90 %, recorded into the same encoder …
/// overlay.encode(&mut encoder, None)?;
/// gpu.queue().submit([encoder.finish()]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Overlay {
    gpu: Gpu,
    id: u64,
    weights: Vec<Weights>,
    tiling: Tiling,
    variants: Vec<Held>,
    /// On the device: the number of the variant that is on, or 0.
    state: wgpu::Buffer,
}

/// A mask that an [`Overlay`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    overlay: u64,
    index: usize,
}

#[derive(Debug)]
struct Held {
    /// What it takes on the device for itself, in bytes.
    bytes: u64,
    store: wgpu::Buffer,
    cut: u64,
    take_out: Vec<Dispatch>,
    put_back: Vec<Dispatch>,
}

/// What a variant's dispatches are over, beside the weights.
struct Buffers {
    masks: Masks,
    places: wgpu::Buffer,
    store: wgpu::Buffer,
    number: wgpu::Buffer,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Overlay {
    /// An overlay over `weights`, without variants.
    ///
    /// # Errors
    /// Weights that overlap, a device that is out of memory or sees too little of a buffer at once.
    pub fn new(gpu: &Gpu, weights: &[Weights]) -> Result<Self> {
        let masks = Masks::new(gpu, weights)?;
        let tiling = Tiling::new(gpu, weights, &masks, |_| 1)?;
        let usage = wgpu::BufferUsages::STORAGE;
        Ok(Self {
            gpu: gpu.clone(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            weights: weights.to_vec(),
            tiling,
            variants: Vec::new(),
            state: gpu.filled("which variant is on", &[0; 4], usage | wgpu::BufferUsages::COPY_SRC)?,
        })
    }

    /// Adds a variant: a copy of `masks`, as they are on the device once what has been submitted is done. It is not switched on.
    /// The device is asked once how many weights each tile loses.
    ///
    /// # Errors
    /// Masks of other tensors, or a device that is out of memory: then nothing has been added.
    pub async fn add(&mut self, masks: &Masks) -> Result<Variant> {
        let own = Masks::new(&self.gpu, &self.weights)?;
        let counts = self.count(masks, &own)?.await?;
        let (places, parts, cut) = self.places(&counts);
        let store_bytes = parts.last().map_or(4, |part| part.end);
        let usage = wgpu::BufferUsages::STORAGE;
        let places = self.gpu.filled("places", bytemuck::cast_slice(&places), usage)?;
        let index = self.variants.len();
        let number = self.gpu.filled("a variant's number", &(index as u32 + 1).to_le_bytes(), usage)?;
        let (store, new_store) = match self.variants.iter().find(|held| held.store.size() >= store_bytes) {
            Some(held) => (held.store.clone(), 0),
            None => (self.gpu.buffer("store of an overlay", store_bytes, usage)?, store_bytes),
        };
        let bytes = own.bytes() + places.size() + number.size() + new_store;
        let buffers = Buffers { masks: own, places, store, number };
        let take_out = self.dispatches(&buffers, &parts, Mode::TakeOut, Mode::SwitchOn)?;
        let put_back = self.dispatches(&buffers, &parts, Mode::PutBack, Mode::SwitchOff)?;
        self.variants.push(Held { bytes, store: buffers.store, cut, take_out, put_back });
        Ok(Variant { overlay: self.id, index })
    }

    /// Records the switch to a variant, or with `None` to the weights as they were.
    ///
    /// # Errors
    /// A variant of another overlay.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, variant: Option<Variant>) -> Result<()> {
        let next = variant.map(|variant| self.held(variant)).transpose()?;
        // Whatever is on is put back, if it is: the kernels look.
        let others = self.variants.iter().enumerate().filter(|(index, _)| variant.is_none_or(|v| v.index != *index));
        kernel::record(encoder, "put back", others.flat_map(|(_, held)| &held.put_back));
        if let Some(next) = next {
            kernel::record(encoder, "take out", &next.take_out);
        }
        Ok(())
    }

    /// Records the question which variant is on when these commands run.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Option<Variant>>> {
        let overlay = self.id;
        Pending::record(&self.gpu, encoder, &self.state, 4, move |bytes| {
            let number: u32 = bytemuck::pod_read_unaligned(bytes);
            Ok(number.checked_sub(1).map(|index| Variant { overlay, index: index as usize }))
        })
    }

    /// How many weights a variant cuts.
    ///
    /// # Errors
    /// A variant of another overlay.
    pub fn cut(&self, variant: Variant) -> Result<u64> {
        Ok(self.held(variant)?.cut)
    }

    /// Bytes that the device holds for it, beside the weights.
    pub fn bytes(&self) -> u64 {
        self.state.size() + self.tiling.list_bytes() + self.variants.iter().map(|held| held.bytes).sum::<u64>()
    }

    /// What `mode` does to every window of a variant, and the note that it is done.
    fn dispatches(&self, buffers: &Buffers, parts: &[Range<u64>], mode: Mode, note: Mode) -> Result<Vec<Dispatch>> {
        let whole = wgpu::Buffer::as_entire_buffer_binding;
        let others = |window: &TileWindow, bytes: &Range<u64>| {
            [
                part(buffers.masks.buffer(), window.masks.clone()),
                whole(&buffers.places),
                part(&buffers.store, bytes.clone()),
                whole(&self.state),
                whole(&buffers.number),
            ]
        };
        let mut dispatches = Vec::new();
        for (window, bytes) in self.tiling.windows.iter().zip(parts) {
            let kernel = overlay::kernel(&self.gpu, window.window.float, mode)?;
            dispatches.push(self.tiling.dispatch(&self.gpu, window, &kernel, &others(window, bytes))?);
        }
        if let (Some(window), Some(bytes)) = (self.tiling.windows.first(), parts.first()) {
            let kernel = overlay::kernel(&self.gpu, window.window.float, note)?;
            dispatches.push(self.tiling.dispatch_one(&self.gpu, window, &kernel, &others(window, bytes))?);
        }
        Ok(dispatches)
    }

    fn held(&self, variant: Variant) -> Result<&Held> {
        let held = self.variants.get(variant.index).filter(|_| variant.overlay == self.id);
        held.ok_or_else(|| Error::Device("a variant of another overlay".to_owned()))
    }

    /// Copies `masks`, and counts what each tile loses.
    fn count(&self, masks: &Masks, own: &Masks) -> Result<Pending<Vec<u32>>> {
        use wgpu::BufferUsages as Usage;
        let gpu = &self.gpu;
        let bytes = u64::from(self.tiling.total) * 4;
        let counts = gpu.buffer("counts", bytes, Usage::STORAGE | Usage::COPY_SRC)?;
        let nothing = [0; 3].map(|_| gpu.buffer("nothing", 16, Usage::STORAGE));
        let [store, state, number] = nothing;
        let (store, state, number) = (store?, state?, number?);
        let dispatch = |window: &TileWindow| {
            let kernel = overlay::kernel(gpu, window.window.float, Mode::Count)?;
            let words = part(own.buffer(), window.masks.clone());
            let whole = wgpu::Buffer::as_entire_buffer_binding;
            let others = [words, whole(&counts), whole(&store), whole(&state), whole(&number)];
            self.tiling.dispatch(gpu, window, &kernel, &others)
        };
        let dispatches: Vec<Dispatch> = self.tiling.windows.iter().map(dispatch).collect::<Result<_>>()?;
        gpu.run("count what masks cut", |encoder| {
            masks.encode_copy(encoder, own)?;
            kernel::record(encoder, "count", &dispatches);
            Pending::record(gpu, encoder, &counts, bytes, |bytes| {
                Ok(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
            })
        })
    }

    /// Where each tile's weights go, each window's part of the store, and how many there are.
    fn places(&self, counts: &[u32]) -> (Vec<u32>, Vec<Range<u64>>, u64) {
        let mut places = Vec::with_capacity(counts.len());
        let (mut parts, mut start, mut cut) = (Vec::new(), 0u64, 0);
        for window in &self.tiling.windows {
            let mut place = 0u32;
            for count in &counts[window.tiles.start as usize..window.tiles.end as usize] {
                places.push(place);
                place += count;
            }
            cut += u64::from(place);
            let bytes = (u64::from(place) * window.window.float.bytes() as u64).max(4).next_multiple_of(4);
            parts.push(start..start + bytes);
            start = (start + bytes).next_multiple_of(self.gpu.alignment());
        }
        (places, parts, cut)
    }
}
