//! The curve of metric against what is cut, in the journal.

use std::io::Write;
use std::path::{Path, PathBuf};

use secateur::report::{Curve, Point, curve_csv, curve_svg};
use secateur::search::{Phase, Round, Save};
use secateur::{Error, Result};

use super::{Search, saved};
use crate::cli::output::Output;

/// The curve as it grows; written where there is a journal.
pub(super) struct Curves {
    folder: Option<PathBuf>,
    curve: Curve,
    save: Save,
}

impl Curves {
    pub(super) fn new(search: &Search, lower_is_better: bool) -> Self {
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let channel = search.rule.pattern == secateur::prune::Pattern::Channel;
        let curve = Curve {
            title: name(&search.common.model),
            metric_name: search.evaluation.name(),
            percent: search.evaluation.is_share(),
            saved_name: search.save.removed(channel).to_owned(),
            higher_is_better: !lower_is_better,
            baseline: f64::NAN,
            floor: f64::NAN,
            points: Vec::new(),
        };
        Self { folder: search.journal.clone(), curve, save: search.save }
    }

    /// A round has ended. What cannot be drawn now can be at the end.
    pub(super) fn add(&mut self, round: &Round, floor: f64, replayed: bool) {
        let metric = round.metric.unwrap_or(f64::NAN);
        self.curve.floor = floor;
        if round.phase == Phase::Baseline {
            self.curve.baseline = metric;
        }
        if round.accepted {
            self.curve.points.iter_mut().for_each(|point| point.best = false);
        }
        let (kept, best, test) = (round.accepted, round.accepted, round.phase == Phase::Test);
        self.curve.points.push(Point { round: round.round, saved: saved(self.save, round), metric, kept, best, test });
        if !replayed {
            let _ = self.write();
        }
    }

    /// The curve of all rounds.
    pub(super) fn last(&self) -> Result<()> {
        self.write()
    }

    fn write(&self) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut csv = Vec::new();
        curve_csv(&self.curve, &mut csv).map_err(|error| Error::io(folder.join("curve.csv"), error))?;
        replace(&folder.join("curve.csv"), &csv)?;
        replace(&folder.join("curve.svg"), curve_svg(&self.curve)?.as_bytes())
    }
}

/// Whole or not at all: somebody may be looking.
fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = Output::file(path, [])?;
    let written = file.writer().write_all(contents);
    file.finish(written)
}
