//! What a journal tells of its search, for those who only look.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Phase, Round, Save, SearchedUnit, journal};
use crate::{Error, Result};

/// The largest file that is read.
const MOST_BYTES: u64 = 1 << 28;

/// A search as its journal tells it: finished, stopped, or still at work.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The model's files.
    pub model: Vec<PathBuf>,
    /// What the metric is called.
    pub metric: String,
    /// Whether it is a share of 1.
    pub is_share: bool,
    /// Whether less of it is better.
    pub lower_is_better: bool,
    /// What was to become small.
    pub save: Save,
    /// Whether whole channels were cut.
    pub channels: bool,
    /// What was to be kept: of the last round that had something to keep.
    pub floor: Option<f64>,
    /// The units, with what is cut of them in the best.
    pub units: Vec<SearchedUnit>,
    /// Every round that has ended, the baseline first.
    pub rounds: Vec<Round>,
    /// The index of the best; `None` where nothing that was tried keeps the floor.
    pub best: Option<usize>,
}

/// The parts of `search.json` that are of interest here.
#[derive(Deserialize)]
struct Settings {
    model: Vec<Identity>,
    lower_is_better: bool,
    save: String,
    cut: Cut,
    units: Vec<Unit>,
    #[serde(default)]
    with: With,
}

#[derive(Deserialize)]
struct Identity {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Cut {
    pattern: String,
}

#[derive(Deserialize)]
struct Unit {
    name: String,
    size: u64,
}

#[derive(Default, Deserialize)]
struct With {
    #[serde(default)]
    evaluation: Evaluation,
}

#[derive(Default, Deserialize)]
struct Evaluation {
    metric: Option<String>,
}

impl Recorded {
    /// Reads the journal in `folder`, and changes nothing there: a search may be at work.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] where it is no journal of a search.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("search.json");
        check(folder, &path)?;
        let text = fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let settings: Settings =
            serde_json::from_slice(&text).map_err(|error| Error::format(&path, format!("is no journal's: {error}")))?;
        let save = settings.save.parse().map_err(|why| Error::format(&path, format!("its `save`: {why}")))?;
        let path = folder.join("rounds.jsonl");
        check(folder, &path)?;
        let file = File::open(&path).map_err(|error| Error::io(&path, error))?;
        let (rounds, _) = journal::rounds(&path, &file)?;
        if let Some(round) = rounds.iter().find(|round| round.cuts.len() != settings.units.len()) {
            let (has, units) = (round.cuts.len(), settings.units.len());
            let message = format!("round {} cuts {has} units, and search.json has {units}", round.round);
            return Err(Error::format(&path, message));
        }
        let best = rounds.iter().rposition(|round| round.accepted && round.phase != Phase::Test);
        let cut = |unit: usize| best.and_then(|best| rounds[best].cuts.get(unit)).copied().unwrap_or(0);
        let units = settings.units.into_iter().enumerate();
        let units = units.map(|(i, unit)| SearchedUnit { name: unit.name, size: unit.size, cut: cut(i) }).collect();
        let metric = settings.with.evaluation.metric.unwrap_or_else(|| "metric".to_owned());
        Ok(Self {
            model: settings.model.into_iter().map(|file| file.path).collect(),
            is_share: ["accuracy", "top5"].contains(&metric.as_str()),
            metric,
            lower_is_better: settings.lower_is_better,
            save,
            channels: settings.cut.pattern == "channel",
            floor: rounds.iter().rev().find_map(|round| round.floor),
            units,
            rounds,
            best,
        })
    }
}

/// A regular file of a sensible size: opening a pipe would wait for its writer.
fn check(folder: &Path, path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() <= MOST_BYTES => Ok(()),
        Ok(_) => Err(Error::format(path, "is no journal's: a regular file of at most 256 MiB is expected")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let message = format!("is no journal of a search: it has no {name} (search --journal makes one)");
            Err(Error::format(folder, message))
        }
        Err(error) => Err(Error::io(path, error)),
    }
}
