//! Exact order statistics of weights where they lie.

use super::Weights;
use super::selection::{Asked, Selection};
use crate::gpu::{Gpu, Pending};
use crate::kernels::digit_counts::{Order, Pick};
use crate::{Error, Float, Result};

/// Order statistics of some tensors, by selection (`digit_counts`, `digit_pick`): exact, without a sort. Medians, quantiles,
/// the k-th weight.
#[derive(Debug)]
pub struct OrderPass {
    gpu: Gpu,
    selection: Selection,
    floats: Vec<Float>,
    most: Vec<u64>,
}

impl OrderPass {
    /// A pass that finds `ranks_each` order statistics of each of `weights`.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights], ranks_each: usize) -> Result<Self> {
        let tensors = || (0..weights.len()).flat_map(|tensor| std::iter::repeat_n(tensor, ranks_each));
        let asked: Vec<Asked> = tensors().map(|tensor| Asked { tensors: tensor..tensor + 1, cuts: 0..0 }).collect();
        let selection = Selection::new(gpu, weights, Order::Values, &asked, None)?;
        let floats = tensors().map(|tensor| weights[tensor].float()).collect();
        let most = tensors().map(|tensor| weights[tensor].elements()).collect();
        Ok(Self { gpu: gpu.clone(), selection, floats, most })
    }

    /// Records the search for `ranks`, tensor by tensor: 0 is the smallest finite weight.
    ///
    /// # Errors
    /// Another number of ranks, a rank beyond a tensor, or a device that is out of memory.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, ranks: &[u64]) -> Result<()> {
        if ranks.iter().zip(&self.most).any(|(rank, most)| rank >= most) {
            return Err(Error::Device("a rank beyond the weights of its tensor".to_owned()));
        }
        let from_one: Vec<u64> = ranks.iter().map(|rank| rank + 1).collect();
        self.selection.encode(&self.gpu, encoder, &from_one)
    }

    /// Records the results' way to the host: a weight for each rank, `None` where there are fewer finite ones.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Option<f64>>>> {
        let (picks, slots) = self.selection.picks();
        let (slots, floats) = (slots.to_vec(), self.floats.clone());
        Pending::record(&self.gpu, encoder, picks, picks.size(), move |bytes| {
            let pick = |slot: &usize| {
                let start = slot * size_of::<Pick>();
                bytemuck::pod_read_unaligned::<Pick>(&bytes[start..start + size_of::<Pick>()])
            };
            let value = |pick: Pick, float: &Float| (pick.found == 1).then(|| float.key_value(pick.key.into(), false));
            Ok(slots.iter().map(pick).zip(&floats).map(|(pick, float)| value(pick, float)).collect())
        })
    }

    /// Encodes and submits.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and a device that refuses the commands.
    pub fn run(&self, ranks: &[u64]) -> Result<Pending<Vec<Option<f64>>>> {
        let mut encoder = self.gpu.encoder();
        self.encode(&mut encoder, ranks)?;
        let found = self.read(&mut encoder)?;
        Ok(found.submitted(self.gpu.submit("order statistics", encoder)?))
    }
}
