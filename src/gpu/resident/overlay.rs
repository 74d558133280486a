//! Pruned variants of one copy of the weights, switched on and off.

use super::tiling::{TileWindow, Tiling};
use super::window::part;
use super::{Masks, Weights};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::overlay::{self, Mode};
use crate::{Error, Result};

/// Several sparsities of one model out of one copy of its weights, by the kernel `overlay`.
///
/// A variant is a mask. Switching it on takes the weights that it cuts out of their places, which leaves zeros, and keeps them
/// side by side in a store; switching it off puts them back, bit for bit. One variant is on at a time, and all share one
/// store: beside the weights the device holds one bit a weight for each variant, and as much as the largest of them cuts.
///
/// ```no_run
/// # async fn example(gpu: &secateur::gpu::Gpu, weights: &[secateur::gpu::Weights]) -> secateur::Result<()> {
/// use secateur::gpu::{Overlay, PrunePass, Rule};
/// use secateur::prune::Keep;
///
/// let prune = PrunePass::new(gpu, weights, Rule::Uniform, Keep::Largest)?;
/// let mut overlay = Overlay::new(gpu, weights)?;
/// let mut variants = Vec::new();
/// for rate in [0.5, 0.9] {
///     let mut encoder = gpu.device().create_command_encoder(&Default::default());
///     prune.encode_masks(&mut encoder, &prune.amounts(rate))?;
///     gpu.queue().submit([encoder.finish()]);
///     variants.push(overlay.add(prune.masks()).await?);
/// }
/// let mut encoder = gpu.device().create_command_encoder(&Default::default());
/// overlay.encode(&mut encoder, Some(variants[1]))?;
/// // … inference at 90 %, recorded into the same encoder …
/// overlay.encode(&mut encoder, None)?;
/// gpu.queue().submit([encoder.finish()]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Overlay {
    gpu: Gpu,
    weights: Vec<Weights>,
    tiling: Tiling,
    variants: Vec<Held>,
    store: wgpu::Buffer,
    on: Option<Variant>,
}

/// A mask that an [`Overlay`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant(usize);

#[derive(Debug)]
struct Held {
    masks: Masks,
    /// Where each tile's weights are in its window's part of the store, in elements.
    places: wgpu::Buffer,
    /// Each window's part of the store, in bytes.
    parts: Vec<std::ops::Range<u64>>,
    cut: u64,
    take_out: Vec<Dispatch>,
    put_back: Vec<Dispatch>,
}

impl Overlay {
    /// An overlay over `weights`, without variants.
    ///
    /// # Errors
    /// A device that is out of memory or sees too little of a buffer at once.
    pub fn new(gpu: &Gpu, weights: &[Weights]) -> Result<Self> {
        let masks = Masks::new(gpu, weights)?;
        let tiling = Tiling::new(gpu, weights, &masks, |_| 1)?;
        let store = store(gpu, 0)?;
        let weights = weights.to_vec();
        Ok(Self { gpu: gpu.clone(), weights, tiling, variants: Vec::new(), store, on: None })
    }

    /// Adds a variant: a copy of `masks`, as they are on the device once what has been submitted is done. It is not switched on.
    /// The device is asked once how many weights each tile loses.
    ///
    /// # Errors
    /// Masks of other tensors, or a device that is out of memory.
    pub async fn add(&mut self, masks: &Masks) -> Result<Variant> {
        let own = Masks::new(&self.gpu, &self.weights)?;
        let counts = self.count(masks, &own)?.await?;
        let (places, parts, cut) = self.places(&counts);
        let bytes = parts.last().map_or(0, |part| part.end);
        let places = self.gpu.filled("places", bytemuck::cast_slice(&places), wgpu::BufferUsages::STORAGE)?;
        let (take_out, put_back) = (Vec::new(), Vec::new());
        self.variants.push(Held { masks: own, places, parts, cut, take_out, put_back });
        let (index, grown) = (self.variants.len() - 1, bytes > self.store.size());
        if grown {
            // What is out of its place stays out, at the same places of the larger store.
            let larger = store(&self.gpu, bytes)?;
            let mut encoder = self.gpu.encoder();
            encoder.copy_buffer_to_buffer(&self.store, 0, &larger, 0, self.store.size());
            self.gpu.submit("a larger store", encoder)?;
            self.store = larger;
        }
        for variant in if grown { 0..self.variants.len() } else { index..index + 1 } {
            let held = &self.variants[variant];
            let dispatches = [Mode::TakeOut, Mode::PutBack].map(|mode| self.dispatches(held, mode));
            let [take_out, put_back] = dispatches;
            (self.variants[variant].take_out, self.variants[variant].put_back) = (take_out?, put_back?);
        }
        Ok(Variant(index))
    }

    /// Records the switch to a variant, or with `None` to the weights as they were. What is on is known by the order of these
    /// calls, hence encoders have to be submitted in that order.
    ///
    /// # Errors
    /// A variant of another overlay.
    pub fn encode(&mut self, encoder: &mut wgpu::CommandEncoder, variant: Option<Variant>) -> Result<()> {
        let next = variant.map(|variant| self.held(variant)).transpose()?;
        if variant == self.on {
            return Ok(());
        }
        if let Some(on) = self.on {
            kernel::record(encoder, "put back", &self.held(on)?.put_back);
        }
        if let Some(next) = next {
            encoder.clear_buffer(&self.store, 0, next.parts.last().map(|part| part.end.max(4)));
            kernel::record(encoder, "take out", &next.take_out);
        }
        self.on = variant;
        Ok(())
    }

    /// Which variant is on.
    pub fn on(&self) -> Option<Variant> {
        self.on
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
        let variants = self.variants.iter().map(|held| held.masks.buffer().size() + held.places.size());
        self.store.size() + variants.sum::<u64>()
    }

    fn held(&self, Variant(index): Variant) -> Result<&Held> {
        self.variants.get(index).ok_or_else(|| Error::Device("a variant of another overlay".to_owned()))
    }

    /// Copies `masks`, and counts what each tile loses.
    fn count(&self, masks: &Masks, own: &Masks) -> Result<Pending<Vec<u32>>> {
        use wgpu::BufferUsages as Usage;
        let gpu = &self.gpu;
        let bytes = u64::from(self.tiling.total) * 4;
        let counts = gpu.buffer("counts", bytes, Usage::STORAGE | Usage::COPY_SRC)?;
        let nothing = gpu.buffer("nothing", 16, Usage::STORAGE)?;
        let mut encoder = gpu.encoder();
        masks.encode_copy(&mut encoder, own)?;
        let dispatch = |window: &TileWindow| {
            let kernel = overlay::kernel(gpu, window.window.float, Mode::Count)?;
            let words = part(own.buffer(), window.masks.clone());
            let others = [words, counts.as_entire_buffer_binding(), nothing.as_entire_buffer_binding()];
            self.tiling.dispatch(gpu, window, &kernel, &others)
        };
        let dispatches: Vec<Dispatch> = self.tiling.windows.iter().map(dispatch).collect::<Result<_>>()?;
        kernel::record(&mut encoder, "count", &dispatches);
        let found = Pending::record(gpu, &mut encoder, &counts, bytes, |bytes| {
            Ok(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
        })?;
        Ok(found.submitted(gpu.submit("count what masks cut", encoder)?))
    }

    /// Where each tile's weights go, each window's part of the store, and how many there are.
    fn places(&self, counts: &[u32]) -> (Vec<u32>, Vec<std::ops::Range<u64>>, u64) {
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

    fn dispatches(&self, held: &Held, mode: Mode) -> Result<Vec<Dispatch>> {
        let of_window = |(window, bytes): (&TileWindow, &std::ops::Range<u64>)| {
            let kernel = overlay::kernel(&self.gpu, window.window.float, mode)?;
            let words = part(held.masks.buffer(), window.masks.clone());
            let others = [words, held.places.as_entire_buffer_binding(), part(&self.store, bytes.clone())];
            self.tiling.dispatch(&self.gpu, window, &kernel, &others)
        };
        self.tiling.windows.iter().zip(&held.parts).map(of_window).collect()
    }
}

fn store(gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
    use wgpu::BufferUsages as Usage;
    gpu.buffer("store of an overlay", bytes.max(16), Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
}
