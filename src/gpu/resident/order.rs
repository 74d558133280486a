//! Exact order statistics of weights where they lie.

use super::Weights;
use super::selection::{Asked, Selection};
use crate::gpu::{Gpu, Pending};
use crate::kernels::digit_counts::{Order, Pick};
use crate::{Error, Float, Result};

/// What weights are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// Their values; inf and NaN are left out.
    Values,
    /// Their magnitudes; inf is the largest but for NaN.
    Magnitudes,
}

/// Order statistics of some tensors, by selection (`digit_counts`, `digit_pick`): exact, without a sort. Medians, quantiles,
/// the k-th weight or magnitude.
#[derive(Debug)]
pub struct OrderPass {
    gpu: Gpu,
    selection: Selection,
    ranking: Ranking,
    floats: Vec<Float>,
    most: Vec<u64>,
}

impl OrderPass {
    /// A pass that finds `ranks_each` order statistics of each of `weights`.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights], ranking: Ranking, ranks_each: usize) -> Result<Self> {
        let tensors = || (0..weights.len()).flat_map(|tensor| std::iter::repeat_n(tensor, ranks_each));
        let asked: Vec<Asked> = tensors().map(|tensor| Asked { tensors: tensor..tensor + 1, cuts: 0..0 }).collect();
        let order = match ranking {
            Ranking::Values => Order::Values,
            Ranking::Magnitudes => Order::Magnitude { above: false, wide: false },
        };
        let selection = Selection::new(gpu, weights, order, &asked, None)?;
        let floats = tensors().map(|tensor| weights[tensor].float()).collect();
        let most = tensors().map(|tensor| weights[tensor].elements()).collect();
        Ok(Self { gpu: gpu.clone(), selection, ranking, floats, most })
    }

    /// Records the search for `ranks`, tensor by tensor: 0 is the smallest.
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

    /// Records the results' way to the host: a weight or magnitude for each rank, `None` where
    /// fewer are ranked.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Option<f64>>>> {
        let (picks, slots) = self.selection.picks();
        let (slots, floats) = (slots.to_vec(), self.floats.clone());
        let magnitude = self.ranking == Ranking::Magnitudes;
        Pending::record(&self.gpu, encoder, picks, picks.size(), move |bytes| {
            let pick = |slot: &usize| {
                let start = slot * size_of::<Pick>();
                bytemuck::pod_read_unaligned::<Pick>(&bytes[start..start + size_of::<Pick>()])
            };
            let value =
                |pick: Pick, float: &Float| (pick.found == 1).then(|| float.key_value(pick.key.into(), magnitude));
            Ok(slots.iter().map(pick).zip(&floats).map(|(pick, float)| value(pick, float)).collect())
        })
    }

    /// Encodes and submits.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and a device that refuses the commands.
    pub fn run(&self, ranks: &[u64]) -> Result<Pending<Vec<Option<f64>>>> {
        self.gpu.run("order statistics", |encoder| {
            self.encode(encoder, ranks)?;
            self.read(encoder)
        })
    }
}
