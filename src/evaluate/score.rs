//! Outputs against labels: a score for each input, and their mean.

use crate::data::Labels;
use crate::evaluate::{Measure, Metric};

/// What the outputs of a network are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything: for the cross-entropy, probabilities are exp(output) over their sum.
    Logits,
    /// Probabilities.
    Probabilities,
    /// Their logarithms.
    Logarithms,
}

/// How one input fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    /// Whether its class is found, for metrics that count.
    hit: bool,
    loss: f64,
}

/// Outputs are compared with `labels` for `metric`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scorer<'a> {
    pub(super) metric: Metric,
    pub(super) form: Form,
    pub(super) labels: &'a Labels,
}

impl Scorer<'_> {
    /// How input number `index` fares, of which these are the outputs; an error where it has no label that fits them.
    pub(super) fn score(&self, index: usize, outputs: &[f32]) -> Result<Score, String> {
        let metric = self.metric;
        match (self.labels, metric) {
            (Labels::None, _) => Err(format!("has no `labels`, which {metric} needs")),
            (Labels::Classes(classes), _) => {
                let class = classes.get(index).copied().unwrap_or(u32::MAX);
                let Some(own) = usize::try_from(class).ok().and_then(|class| outputs.get(class).copied()) else {
                    let many = outputs.len();
                    return Err(format!(
                        "label {index} is class {class}, and the network has {many} outputs, from 0 on"
                    ));
                };
                let class = class as usize;
                let within = |most: usize| ahead(outputs, class, own).is_some_and(|ahead| ahead < most);
                Ok(match metric {
                    Metric::Accuracy => Score { hit: within(1), loss: self.cross_entropy(outputs, own) },
                    Metric::Top5 => Score { hit: within(5), loss: self.cross_entropy(outputs, own) },
                    Metric::CrossEntropy => Score { hit: false, loss: self.cross_entropy(outputs, own) },
                    Metric::MeanSquaredError => {
                        let wanted = (0..outputs.len()).map(|output| f64::from(u8::from(output == class)));
                        Score { hit: false, loss: squared_error(outputs, wanted) }
                    }
                })
            }
            (Labels::Values(values), Metric::MeanSquaredError) => {
                let wanted =
                    index.checked_mul(outputs.len()).and_then(|start| values.get(start..start + outputs.len()));
                let Some(wanted) = wanted else {
                    let many = outputs.len();
                    return Err(format!(
                        "has {} values of labels, and the network has {many} outputs an input",
                        values.len()
                    ));
                };
                Ok(Score { hit: false, loss: squared_error(outputs, wanted.iter().map(|&value| value.into())) })
            }
            (Labels::Values(_), _) => {
                Err(format!("its labels are values (F32), and {metric} needs classes: use --metric mse"))
            }
        }
    }

    /// −ln of a probability.
    fn cross_entropy(&self, outputs: &[f32], own: f32) -> f64 {
        match self.form {
            Form::Logits => {
                // A NaN is no maximum, and yet makes the sum one.
                let largest = outputs.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x.into()));
                let sum: f64 = outputs.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
                largest - f64::from(own) + sum.ln()
            }
            // What has become 0 in f32 is not impossible: it is smaller than the smallest number there is.
            Form::Probabilities if own == 0.0 => -f64::from(f32::from_bits(1)).ln(),
            Form::Probabilities => -f64::from(own).ln(),
            Form::Logarithms => -f64::from(own),
        }
    }

    /// The whole, from all inputs' scores in their order, so that it does not depend on how they were made.
    pub(super) fn measure(&self, scores: &[Score]) -> Measure {
        let count = scores.len() as f64;
        let loss = scores.iter().map(|score| score.loss).sum::<f64>() / count;
        let finite = Some(loss).filter(|loss| loss.is_finite());
        let metric = match self.metric.higher_is_better() {
            true => scores.iter().filter(|score| score.hit).count() as f64 / count,
            false => finite.unwrap_or(f64::INFINITY),
        };
        Measure { metric, loss: finite, log: String::new() }
    }
}

/// How many outputs are ahead of that of `class`; `None` where one is no number.
fn ahead(outputs: &[f32], class: usize, own: f32) -> Option<usize> {
    let mut count = 0;
    for (output, &value) in outputs.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        count += usize::from(value > own || (value == own && output < class));
    }
    Some(count)
}

fn squared_error(outputs: &[f32], wanted: impl Iterator<Item = f64>) -> f64 {
    let squares = outputs.iter().zip(wanted).map(|(&output, wanted)| (f64::from(output) - wanted).powi(2));
    squares.sum::<f64>() / outputs.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(metric: Metric, form: Form, labels: &Labels, outputs: &[&[f32]]) -> Result<Measure, String> {
        let scorer = Scorer { metric, form, labels };
        let scores = outputs.iter().enumerate().map(|(index, outputs)| scorer.score(index, outputs));
        Ok(scorer.measure(&scores.collect::<Result<Vec<_>, _>>()?))
    }

    #[test]
    fn ties_go_to_the_first() {
        let labels = Labels::Classes(vec![0, 1, 2]);
        let outputs: &[&[f32]] = &[&[1.0, 1.0, 0.0], &[1.0, 1.0, 0.0], &[1.0, 2.0, 3.0]];
        let found = measured(Metric::Accuracy, Form::Logits, &labels, outputs).unwrap();
        assert_eq!(found.metric, 2.0 / 3.0);
        let six: Vec<f32> = vec![0.0; 6];
        let top5 = |class| measured(Metric::Top5, Form::Logits, &Labels::Classes(vec![class]), &[&six]).unwrap().metric;
        assert_eq!([top5(0), top5(4), top5(5)], [1.0, 1.0, 0.0]);
    }

    #[test]
    fn losses_are_those_of_the_textbook() {
        let labels = Labels::Classes(vec![2, 0]);
        let logits: &[&[f32]] = &[&[0.5, -1.0, 2.0], &[-300.0, 200.0, 0.0]];
        let probability = |row: &[f32], class: usize| {
            f64::from(row[class]).exp() / row.iter().map(|&x| f64::from(x).exp()).sum::<f64>()
        };
        let wanted = -(probability(logits[0], 2).ln() + probability(logits[1], 0).ln()) / 2.0;
        for metric in [Metric::Accuracy, Metric::CrossEntropy] {
            let found = measured(metric, Form::Logits, &labels, logits).unwrap();
            assert!((found.loss.unwrap() - wanted).abs() < 1e-12 * wanted, "{found:?} {wanted}");
        }
        let probabilities: &[&[f32]] = &[&[0.25, 0.25, 0.5], &[0.125, 0.875, 0.0]];
        let found = measured(Metric::CrossEntropy, Form::Probabilities, &labels, probabilities).unwrap();
        assert!((found.metric - 2.0 * 2f64.ln()).abs() < 1e-15);
        let found = measured(Metric::CrossEntropy, Form::Logarithms, &labels, &[&[0.0, -1.0, -2.5], &[-1.0, 0.0, 0.0]]);
        assert_eq!(found.unwrap().metric, 1.75);
        let none = measured(Metric::CrossEntropy, Form::Probabilities, &labels, &[&[1.0, 0.0, 0.0], &[1.0, 0.0, 0.0]]);
        assert!(none.unwrap().metric.is_finite(), "a probability of 0 is one that was rounded");
        let found = measured(Metric::MeanSquaredError, Form::Logits, &labels, &[&[1.0, 0.0, 0.0], &[1.0, 0.0, 0.5]]);
        assert_eq!(found.unwrap().metric, 2.25 / 6.0);
        let values = Labels::Values(vec![1.0, 2.0, 3.0, 4.0]);
        let found = measured(Metric::MeanSquaredError, Form::Logits, &values, &[&[1.0, 1.0], &[0.0, 4.0]]).unwrap();
        assert_eq!(found, Measure { metric: 2.5, loss: Some(2.5), log: String::new() });
    }

    #[test]
    fn what_is_no_number_is_wrong_and_no_loss() {
        let labels = Labels::Classes(vec![0, 0]);
        for bad in [&[f32::NAN, 0.0], &[1.0, f32::NAN], &[f32::INFINITY, f32::INFINITY], &[f32::NEG_INFINITY; 2]] {
            let found = measured(Metric::Accuracy, Form::Logits, &labels, &[&[1.0, 0.0], bad]).unwrap();
            let wrong = bad.iter().any(|x| x.is_nan());
            assert_eq!((found.metric, found.loss), (if wrong { 0.5 } else { 1.0 }, None), "{bad:?}");
            let found = measured(Metric::CrossEntropy, Form::Logits, &labels, &[&[1.0, 0.0], bad]).unwrap();
            assert_eq!((found.metric, found.loss), (f64::INFINITY, None), "{bad:?}");
        }
    }

    #[test]
    fn labels_have_to_fit() {
        let refusal = |metric, labels| measured(metric, Form::Logits, &labels, &[&[0.0; 3], &[0.0; 3]]).unwrap_err();
        assert!(refusal(Metric::Accuracy, Labels::None).contains("no `labels`"));
        assert!(
            refusal(Metric::Accuracy, Labels::Classes(vec![2, 3]))
                .contains("label 1 is class 3, and the network has 3")
        );
        assert!(refusal(Metric::Top5, Labels::Values(vec![0.0; 6])).contains("--metric mse"));
        assert!(refusal(Metric::MeanSquaredError, Labels::Values(vec![0.0; 4])).contains("4 values"));
    }
}
