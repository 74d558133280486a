//! Means and variances of a layer over batches.

use super::super::network::Output;

/// The sums of one layer.
#[derive(Clone, Debug)]
pub(super) struct Total {
    batches: f64,
    means: Vec<f64>,
    variances: Vec<f64>,
}

impl Total {
    pub(super) fn new(channels: usize) -> Self {
        Self { batches: 0.0, means: vec![0.0; channels], variances: vec![0.0; channels] }
    }

    /// Adds a batch: its means, its variances, and the axes of what they are of: inputs, channels, places. Whether they are
    /// finite.
    pub(super) fn add(&mut self, outputs: &[Output]) -> Result<bool, &'static str> {
        let [means, variances, axes] = outputs else { return Err("it gives no statistics") };
        let (Some(&inputs), Some(&places)) = (axes.values.first(), axes.values.get(2)) else {
            return Err("it gives no statistics");
        };
        if means.values.len() != self.means.len() || variances.values.len() != self.variances.len() {
            return Err("it has another number of channels than its statistics");
        }
        let count = f64::from(inputs) * f64::from(places);
        if count < 2.0 {
            return Err("a batch has one value of each channel, which has no variance");
        }
        if !means.values.iter().chain(&variances.values).all(|value| value.is_finite()) {
            return Ok(false);
        }
        self.batches += 1.0;
        self.means.iter_mut().zip(&means.values).for_each(|(sum, &mean)| *sum += f64::from(mean));
        let unbiased = count / (count - 1.0);
        let variances = self.variances.iter_mut().zip(&variances.values);
        variances.for_each(|(sum, &variance)| *sum += f64::from(variance) * unbiased);
        Ok(true)
    }

    pub(super) fn mean(&self) -> Vec<f64> {
        self.means.iter().map(|sum| sum / self.batches).collect()
    }

    pub(super) fn variance(&self) -> Vec<f64> {
        self.variances.iter().map(|sum| sum / self.batches).collect()
    }
}
