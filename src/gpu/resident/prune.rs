//! Pruning of weights where they lie.

use std::collections::BTreeMap;

use super::selection::{Asked, Selection};
use super::tiling::{TileWindow, Tiling};
use super::window::part;
use super::{Masks, Weights, apply};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::digit_counts::Order;
use crate::kernels::nm_mask::Groups;
use crate::kernels::{mask_counts, nm_mask, threshold_mask, tie_counts, tie_scan};
use crate::prune::allocation::round_half_even;
use crate::prune::{Keep, NofM};
use crate::{Error, Float, Result};

/// Which weights are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As many of each tensor as is asked for it.
    Uniform,
    /// As many of all tensors together as is asked: by their exact magnitudes as f32, whatever the formats. Ties go in the
    /// order in which the tensors were given; the command line's is the bytewise order of their names.
    Global,
    /// All but N of every M along axis 1.
    NofM(NofM),
}

/// Exact pruning by magnitude, all of it on the device: selection (`digit_counts`, `digit_pick`), ties (`tie_counts`,
/// `tie_scan`), masks (`threshold_mask`, `nm_mask`), what they do (`mask_counts`) and the cut itself (`apply_mask`).
///
/// The same weights go as with `secateur prune`: exactly as many as asked, the smallest first, ties by lower index first, NaN
/// never. The host only says how many.
#[derive(Debug)]
pub struct PrunePass {
    gpu: Gpu,
    rule: Rule,
    elements: Vec<u64>,
    floats: Vec<Float>,
    masks: Masks,
    ones: Option<Masks>,
    selection: Option<Selection>,
    make: Vec<Dispatch>,
    count: Vec<Dispatch>,
    apply: Vec<Dispatch>,
    counts: wgpu::Buffer,
}

/// What has been cut of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Weights that the rule cut, zeros among them included.
    pub cut: u64,
    /// Weights that were ±0.
    pub zeros_before: u64,
    /// Weights that are ±0.
    pub zeros_after: u64,
    /// The largest |w| that was cut.
    pub threshold: Option<f64>,
}

impl PrunePass {
    /// A pass over `weights`.
    ///
    /// # Errors
    /// A tensor whose axis 1 is no multiple of M; more than 65,535 tensors; a device that is out of memory or sees too little
    /// of a buffer at once.
    pub fn new(gpu: &Gpu, weights: &[Weights], rule: Rule, keep: Keep) -> Result<Self> {
        if weights.len() > 65_535 {
            return Err(Error::Device("a pass takes at most 65,535 tensors: make several".to_owned()));
        }
        if let Rule::NofM(pattern) = rule {
            check(weights, pattern)?;
        }
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let masks = Masks::new(gpu, weights)?;
        let unit = |tensor: usize| match rule {
            Rule::NofM(pattern) => u64::from(pattern.of()) * stride(&weights[tensor]),
            Rule::Uniform | Rule::Global => 1,
        };
        let tiling = Tiling::new(gpu, weights, &masks, unit)?;
        // All formats are compared as f32 where there are several.
        let wide = rule == Rule::Global && weights.windows(2).any(|pair| pair[0].float() != pair[1].float());
        let budget_of = |tensor: usize| if rule == Rule::Global { 0 } else { tensor };
        let cuts: Vec<threshold_mask::Cut> = (0..)
            .zip(&tiling.tiles)
            .map(|(tensor, tiles)| {
                threshold_mask::Cut::new(None, budget_of(tensor), tiles.start as usize..tiles.end as usize)
            })
            .collect();
        let cuts = gpu.filled("cuts", bytemuck::cast_slice(&cuts), usage)?;
        let tensors = weights.len() as u64;
        let budgets = gpu.buffer("budgets", tensors * 8, usage)?;
        let ties = gpu.buffer("ties", (u64::from(tiling.total) + 1) * 4, usage)?;
        let allowed = gpu.buffer("allowed ties", tensors * 4, usage)?;
        let counts = gpu.buffer("cut counts", tensors * 16, usage)?;
        let above = keep == Keep::Smallest;
        let asked = |range: std::ops::Range<usize>| Asked { tensors: range.clone(), cuts: range };
        let asked: Vec<Asked> = match rule {
            Rule::Uniform => (0..weights.len()).map(|tensor| asked(tensor..tensor + 1)).collect(),
            Rule::Global if weights.is_empty() => Vec::new(),
            Rule::Global => vec![asked(0..weights.len())],
            Rule::NofM(_) => Vec::new(),
        };
        let selection = match rule {
            Rule::NofM(_) => None,
            _ => {
                let order = Order::Magnitude { above, wide };
                Some(Selection::new(gpu, weights, order, &asked, Some((&cuts, &budgets)))?)
            }
        };
        let (mut make, mut count) = (Vec::new(), Vec::new());
        let whole = wgpu::Buffer::as_entire_buffer_binding;
        if selection.is_some() && tiling.total > 0 {
            for window in &tiling.windows {
                let kernel = tie_counts::kernel(gpu, window.window.float, wide)?;
                make.push(tiling.dispatch(gpu, window, &kernel, &[whole(&cuts), whole(&ties)])?);
            }
            let buffers = [whole(&cuts), whole(&ties), whole(&allowed), whole(&budgets)];
            make.push(tie_scan::kernel(gpu)?.prepare(gpu, &buffers, 1)?);
        }
        for window in &tiling.windows {
            let float = window.window.float;
            let words = part(masks.buffer(), window.masks.clone());
            if let Rule::NofM(pattern) = rule {
                for (kind, groups) in groups(weights, window, pattern, above, &masks) {
                    let list = gpu.filled("groups", bytemuck::cast_slice(&groups), Usage::STORAGE)?;
                    let buffers = [window.window.binding(), whole(&list), words.clone()];
                    make.push(nm_mask::kernel(gpu, float, kind)?.prepare(gpu, &buffers, groups.len() as u32)?);
                }
            } else {
                let kernel = threshold_mask::kernel(gpu, float, wide)?;
                let others = [whole(&cuts), whole(&ties), whole(&allowed), words.clone()];
                make.push(tiling.dispatch(gpu, window, &kernel, &others)?);
            }
            let kernel = mask_counts::kernel(gpu, float)?;
            count.push(tiling.dispatch(gpu, window, &kernel, &[words, whole(&counts)])?);
        }
        let apply = apply::dispatches(gpu, &tiling, &masks)?;
        let elements = weights.iter().map(Weights::elements).collect();
        let floats = weights.iter().map(Weights::float).collect();
        let ones = ones(gpu, weights, rule)?;
        Ok(Self { gpu: gpu.clone(), rule, elements, floats, masks, ones, selection, make, count, apply, counts })
    }

    /// How many weights a rate asks for: k = round-half-to-even(rate·n) of each tensor, or of all; nothing for N:M, which
    /// says it itself.
    pub fn amounts(&self, rate: f64) -> Vec<u64> {
        match self.rule {
            Rule::Uniform => self.elements.iter().map(|n| round_half_even(rate, *n)).collect(),
            Rule::Global if self.elements.is_empty() => Vec::new(),
            Rule::Global => vec![round_half_even(rate, self.elements.iter().sum())],
            Rule::NofM(_) => Vec::new(),
        }
    }

    /// The masks that the last encoding made.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Records the making of masks that cut `amounts` weights: one number for each tensor, one for all, or none for N:M. No
    /// weight changes.
    ///
    /// # Errors
    /// Another number of amounts, more weights than there are, or a device that is out of memory.
    pub fn encode_masks(&self, encoder: &mut wgpu::CommandEncoder, amounts: &[u64]) -> Result<()> {
        let all = [self.elements.iter().sum()];
        let most: &[u64] = match self.rule {
            Rule::Uniform => &self.elements,
            Rule::Global if self.elements.is_empty() => &[],
            Rule::Global => &all,
            Rule::NofM(_) => &[],
        };
        if amounts.len() != most.len() || amounts.iter().zip(most).any(|(amount, most)| amount > most) {
            return Err(Error::Device(format!("amounts to cut of {most:?} weights are {amounts:?}")));
        }
        if let Some(selection) = &self.selection {
            selection.encode(&self.gpu, encoder, amounts)?;
        }
        if let Some(ones) = &self.ones {
            ones.encode_copy(encoder, &self.masks)?;
        }
        kernel::record(encoder, "make masks", &self.make);
        Ok(())
    }

    /// Records counting what the masks will do: before they are applied.
    pub fn encode_counts(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.counts, 0, None);
        kernel::record(encoder, "count", &self.count);
    }

    /// Records the cut: weights whose bit is 0 become zeros.
    pub fn encode_apply(&self, encoder: &mut wgpu::CommandEncoder) {
        kernel::record(encoder, "apply masks", &self.apply);
    }

    /// Records all of it: masks, what they do, and the cut.
    ///
    /// # Errors
    /// As [`encode_masks`](Self::encode_masks).
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, amounts: &[u64]) -> Result<()> {
        self.encode_masks(encoder, amounts)?;
        self.encode_counts(encoder);
        self.encode_apply(encoder);
        Ok(())
    }

    /// Where the counts of [`encode_counts`](Self::encode_counts) are: of each tensor four u32, weights that are kept, zeros,
    /// zeros that are kept, and the bits of the largest magnitude that is cut plus one.
    pub fn counts(&self) -> &wgpu::Buffer {
        &self.counts
    }

    /// Records the counts' way to the host, tensor by tensor: those of the last [`encode`](Self::encode) or
    /// [`encode_counts`](Self::encode_counts).
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Cut>>> {
        let (elements, floats) = (self.elements.clone(), self.floats.clone());
        Pending::record(&self.gpu, encoder, &self.counts, self.elements.len() as u64 * 16, move |bytes| {
            let each = bytes.as_chunks::<16>().0.iter().zip(elements).zip(floats).map(|((bytes, elements), float)| {
                let [kept, zeros_before, kept_zeros, largest] =
                    bytemuck::pod_read_unaligned::<[u32; 4]>(bytes).map(u64::from);
                let cut = elements.saturating_sub(kept);
                let threshold = largest.checked_sub(1).filter(|_| cut > 0).map(|bits| float.value(bits));
                Cut { cut, zeros_before, zeros_after: cut + kept_zeros, threshold }
            });
            Ok(each.collect())
        })
    }

    /// Encodes and submits: masks, counts and the cut.
    ///
    /// # Errors
    /// As [`encode_masks`](Self::encode_masks), and a device that refuses the commands.
    pub fn run(&self, amounts: &[u64]) -> Result<Pending<Vec<Cut>>> {
        self.gpu.run("prune", |encoder| {
            self.encode(encoder, amounts)?;
            self.read(encoder)
        })
    }
}

/// Elements from one of axis 1 to the next.
fn stride(weights: &Weights) -> u64 {
    weights.shape().iter().skip(2).product::<u64>().max(1)
}

fn check(weights: &[Weights], pattern: NofM) -> Result<()> {
    for weights in weights {
        let inputs = weights.shape().get(1).copied();
        if inputs.is_none_or(|n| !n.is_multiple_of(u64::from(pattern.of()))) {
            return Err(Error::Device(format!(
                "{pattern} does not fit weights of shape {:?}: axis 1 has to be a multiple of {}",
                weights.shape(),
                pattern.of()
            )));
        }
    }
    Ok(())
}

/// The groups of a window's weights, for each kernel that they need.
fn groups(
    weights: &[Weights],
    window: &TileWindow,
    pattern: NofM,
    above: bool,
    masks: &Masks,
) -> BTreeMap<(u32, bool), Vec<Groups>> {
    let mut all: BTreeMap<_, Vec<Groups>> = BTreeMap::new();
    for span in &window.spans {
        let of = &weights[span.tensor];
        let start = window.window.element(of, span.first);
        let mask = ((masks.offset(span.tensor).unwrap_or(0) + span.first / 8 - window.masks.start) / 4) as u32;
        let (n, m, stride) = (pattern.kept().into(), pattern.of().into(), stride(of) as u32);
        let pattern = nm_mask::Pattern { n, m, stride, above };
        let lists = pattern.lists(of.float(), start, span.elements as u32, mask);
        all.entry(pattern.kind()).or_default().extend(lists);
    }
    all
}

/// A copy of the masks in which every weight is kept, where a pattern clears bits of them; `None` where it makes all of them.
fn ones(gpu: &Gpu, weights: &[Weights], rule: Rule) -> Result<Option<Masks>> {
    let Rule::NofM(pattern) = rule else { return Ok(None) };
    if 32 % pattern.of() == 0 && weights.iter().all(|weights| stride(weights) == 1) {
        return Ok(None);
    }
    let words: Vec<Vec<u32>> =
        weights.iter().map(|weights| vec![u32::MAX; weights.elements().div_ceil(32) as usize]).collect();
    let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    Masks::upload(gpu, weights, &words).map(Some)
}
