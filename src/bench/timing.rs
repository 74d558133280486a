//! Cases run again and again, and what is made of the times.

use std::collections::HashMap;

use serde::Serialize;

use super::{Ceiling, Options, ceiling};
use crate::Result;
use crate::engine::EngineKind;

/// Times of one case, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub most: f64,
}

/// One case, measured.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What computed.
    pub engine: EngineKind,
    /// The kernel, or the ceiling.
    pub kernel: &'static str,
    /// What it was over.
    pub of: String,
    /// Bytes of weights.
    pub bytes: u64,
    /// How often it was run.
    pub runs: usize,
    /// From the call to the answer.
    pub seconds: Spread,
    /// What the device's own clock says of the kernels alone, where it has one.
    pub kernel_seconds: Option<Spread>,
    /// What it is measured beside.
    pub beside: Option<Ceiling>,
    /// The ceiling's time for as many bytes, over this one's: 1 is as fast as the machine can. Of the kernels alone where both
    /// are known.
    pub ratio: Option<f64>,
}

impl Row {
    /// The median time of the kernels alone, or where that is unknown, from call to answer, in seconds.
    pub fn median(&self) -> f64 {
        self.kernel_seconds.unwrap_or(self.seconds).median
    }

    /// Weights a second, in 10^9 bytes.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.median() / 1e9
    }
}

/// Fewest runs of a case, and most.
const RUNS: std::ops::RangeInclusive<usize> = 3..=1000;

/// Measures every case that `options` ask for, and gives each to `sink` as soon as it is known. Ceilings come before what is
/// measured beside them.
///
/// # Errors
/// As [`Options::cases`].
pub fn run(options: &Options, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
    // Of each engine the latest, which is that of the size being measured.
    let mut ceilings: HashMap<(EngineKind, Ceiling), Row> = HashMap::new();
    options.cases(&mut |case| {
        // Once for the caches, pools and pages.
        case.prepare()?;
        case.run()?;
        let (mut all, mut kernels, mut total) = (Vec::new(), Vec::new(), 0.0);
        while all.len() < *RUNS.start() || (total < options.seconds && all.len() < *RUNS.end()) {
            case.prepare()?;
            let (seconds, kernel) = ceiling::seconds(|| case.run())?;
            total += seconds;
            all.push(seconds);
            kernels.extend(kernel);
        }
        let kernel_seconds = (kernels.len() == all.len()).then(|| spread(&mut kernels));
        let seconds = spread(&mut all);
        let (engine, bytes, runs) = (case.engine, case.bytes, all.len());
        let mut row = Row {
            engine,
            kernel: case.kernel,
            of: case.of.clone(),
            bytes,
            runs,
            seconds,
            kernel_seconds,
            beside: case.beside,
            ratio: None,
        };
        if let Some(ceiling) = case.ceiling {
            ceilings.insert((engine, ceiling), row.clone());
        } else if let Some(beside) = case.beside {
            // Sizes differ by what is rounded to whole rows.
            let ceiling = ceilings.get(&(engine, beside));
            row.ratio = ceiling.map(|ceiling| {
                let (own, other) = match (row.kernel_seconds, ceiling.kernel_seconds) {
                    (Some(own), Some(other)) => (own, other),
                    _ => (row.seconds, ceiling.seconds),
                };
                (other.median / ceiling.bytes as f64) / (own.median / row.bytes as f64)
            });
        }
        sink(row)
    })
}

fn spread(times: &mut [f64]) -> Spread {
    times.sort_by(f64::total_cmp);
    let (least, most) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
    Spread { least, median: times.get(times.len() / 2).copied().unwrap_or(0.0), most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(spread(&mut [3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0 });
        assert_eq!(spread(&mut [4.0]), Spread { least: 4.0, median: 4.0, most: 4.0 });
    }

    #[test]
    fn every_case_of_the_cpu_is_right_and_has_a_ceiling() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            sizes: vec![1 << 20],
            formats: crate::Float::ALL.into(),
            seconds: 0.0,
            folder: Some(folder.path().to_owned()),
            ..Options::default()
        };
        let mut rows = Vec::new();
        run(&options, &mut |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
        for row in &rows {
            assert!(row.runs >= 3 && row.gigabytes_per_second() > 0.0, "{row:?}");
            assert_eq!(row.ratio.is_some(), row.of != "ceiling", "{row:?}");
        }
        let kernels: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.kernel).collect();
        for kernel in ["moments", "histogram", "select", "threshold", "2:4", "apply", "gather", "stats", "prune"] {
            assert!(kernels.contains(kernel), "{kernel} of {kernels:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
