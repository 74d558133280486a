//! A search, from the model to the best of its candidates.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::channels::Channels;
use super::dynamic::dynamic;
use super::elements::Elements;
use super::fixed::fixed;
use super::journal::Journal;
use super::order::one_by_one;
use super::session::{Session, Stop};
use super::subject::Subject;
use super::unit::Unit;
use super::{Cut, Event, Floor, Order, Round, SearchOptions, Strategy, Tools};
use crate::checkpoint::{Writer, check_outputs};
use crate::prune::Plan;
use crate::{Checkpoint, Engine, Error, Result};

/// What has a rate of its own.
#[derive(Clone, Debug, Serialize)]
pub struct SearchedUnit {
    /// The tensor's name, or the class's.
    pub name: String,
    /// Weights, or the channels that there were before any pruning.
    pub size: u64,
    /// How many of them are cut in the best.
    pub cut: u64,
}

/// What a search has come to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Every round, the baseline first.
    pub rounds: Vec<Round>,
    /// The index of the best round; `None` where nothing that was tried keeps the floor.
    pub best: Option<usize>,
    /// What had to be kept.
    pub floor: f64,
    /// The units, in the order of the network.
    pub units: Vec<SearchedUnit>,
    /// The plan of the best, of the model as it was given.
    pub plan: Plan,
    /// The metrics of the model and of the best on the test set; `None` where there is none.
    pub test: Option<(Option<f64>, Option<f64>)>,
    /// Parameters of the model as it was given; of weights alone, elements of its floating tensors.
    pub parameters: u64,
    /// Multiply-accumulate operations of it for one sample; `None` where they are not known.
    pub macs: Option<u64>,
    /// How many candidates were evaluated, the model itself included.
    pub evaluations: u32,
    /// Seconds of all rounds, those of earlier runs of the same journal included.
    pub seconds: f64,
}

impl Found {
    /// The best round, where anything keeps the floor.
    pub fn best_round(&self) -> Option<&Round> {
        self.rounds.get(self.best?)
    }
}

/// Searches for the smallest version of `model` that keeps the floor, and writes it to `out`.
///
/// ```
/// use secateur::evaluate::Measure;
/// use secateur::prune::Options;
/// use secateur::search::{Cut, Floor, SearchOptions, Tools, search};
/// use secateur::{Checkpoint, Engine};
///
/// let folder = tempfile::tempdir()?;
/// let model = Checkpoint::open("examples/data/cnn.safetensors")?;
/// // Whatever turns a file into a number; here the share of weights that are not zero.
/// let mut evaluator = |path: &std::path::Path| -> secateur::Result<Measure> {
///     let (options, progress) = (Default::default(), Default::default());
///     let total = secateur::audit::audit(&Checkpoint::open(path)?, &options, &progress, &mut |_| Ok(()))?.total;
///     Ok(Measure { metric: 1.0 - total.zeros as f64 / total.count as f64, ..Measure::default() })
/// };
/// let options = SearchOptions { floor: Floor::At(0.7), evaluations: Some(8), ..SearchOptions::default() };
/// let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: None };
/// let out = folder.path().join("small.safetensors");
/// let found = search(&model, &Engine::cpu(None)?, &options, tools, Some(&out), false, &mut |_| {})?;
/// let best = &found.rounds[found.best.expect("some of it can go")];
/// assert!(best.sparsity > 0.2 && out.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Usage`] where the options contradict each other, `out` may not be written, or the journal is another search's;
/// [`Error::Run`] where an evaluator or a trainer fails; [`Error::Format`] and [`Error::Tensor`] where nothing of the model
/// can be cut; [`Error::Io`]. What has been found until then is in the journal; where only the last training or the test fails,
/// it is in `out`, too.
pub fn search(
    model: &Checkpoint,
    engine: &Engine,
    options: &SearchOptions,
    tools: Tools,
    out: Option<&Path>,
    force: bool,
    watch: &mut dyn FnMut(&Event),
) -> Result<Found> {
    options.check(tools.tuner.is_some())?;
    check_outputs(model, out.map(|out| ("out", out)), &[], &[])?;
    if let Some(out) = out {
        // What cannot be written should be known before hours of work.
        Writer::same(model, out, force)?;
    }
    let subject: Box<dyn Subject> = match &options.cut {
        Cut::Elements(elements) => Box::new(Elements::new(model, options.graph, engine, elements.clone())?),
        Cut::Channels(channels) => {
            let graph = options
                .graph
                .ok_or_else(|| Error::Usage("channels need the network: an .onnx file, or a --topology".to_owned()))?;
            Box::new(Channels::new(model, graph, engine, channels.clone())?)
        }
    };
    if tools.tuner.is_some() && !subject.continues() && matches!(options.cut, Cut::Elements(_)) {
        let message = "--keep smallest cannot be trained in between: what is kept would be the zeros of the last round";
        return Err(Error::Usage(message.to_owned()));
    }
    let about = about(model, options, subject.units(), &tools)?;
    let (journal, replay) = match options.journal {
        Some(folder) => Journal::open(folder, &about)?,
        None => {
            let beside = out.unwrap_or(model.path()).parent().filter(|folder| !folder.as_os_str().is_empty());
            (Journal::temporary(beside.unwrap_or(Path::new(".")), &about)?, Vec::new())
        }
    };
    let mut watch = |event: &Event| watch(event);
    let mut session = Session::begin(model, &*subject, options, tools, (journal, replay), &mut watch)?;
    match strategy(&mut session, options) {
        Err(Stop::Failed(error)) => return Err(error),
        Ok(()) | Err(Stop::Spent) => {}
    }
    let evaluations = session.rounds().len() as u32;
    let is_found = session.best().round > 0;
    let finished = options.final_epochs.filter(|_| is_found).map_or(Ok(()), |epochs| session.finish(epochs));
    // Whatever fails from here on, what was searched for is there.
    if let Some(out) = out.filter(|_| is_found) {
        session.write(out, force)?;
    }
    finished?;
    let plan = subject.plan(&session.best().cuts)?;
    if session.journal().is_kept() && is_found {
        let text = serde_json::to_vec_pretty(&plan).map_err(|e| Error::io("plan.json", std::io::Error::other(e)))?;
        session.journal().write("plan.json", &text)?;
    }
    let test = if is_found { session.test()? } else { None };
    let unit = |(unit, cut): (&Unit, &u64)| SearchedUnit { name: unit.name.clone(), size: unit.size, cut: *cut };
    let best = session.best().round as usize;
    Ok(Found {
        best: is_found.then_some(best),
        floor: session.floor(),
        units: subject.units().iter().zip(&session.best().cuts).map(unit).collect(),
        plan,
        test,
        evaluations,
        seconds: session.spent(),
        parameters: subject.parameters(),
        macs: subject.macs(),
        rounds: session.rounds().to_vec(),
    })
}

fn strategy(session: &mut Session, options: &SearchOptions) -> Result<(), Stop> {
    match (options.strategy, options.order) {
        (Strategy::Dynamic, order) => dynamic(session, order),
        (Strategy::Fixed { step }, Order::Together) => {
            let Some(&allocation) = options.allocations.first() else { return Ok(()) };
            fixed(session, step, options.ramp, allocation)
        }
        (strategy, order) => one_by_one(session, order, strategy),
    }
}

/// What is searched, and how: a journal of the same goes on.
fn about(model: &Checkpoint, options: &SearchOptions, units: &[Unit], tools: &Tools) -> Result<serde_json::Value> {
    let files: Vec<_> = model.files().map(identity).collect::<Result<_>>()?;
    let units: Vec<_> = units.iter().map(|unit| json!({"name": unit.name, "size": unit.size})).collect();
    let cut = match &options.cut {
        Cut::Elements(elements) => json!({
            "pattern": elements.pattern.to_string(),
            "criterion": elements.criterion.to_string(),
            "keep": elements.keep.to_string(),
        }),
        Cut::Channels(channels) => json!({
            "pattern": "channel",
            "criterion": channels.criterion.to_string(),
            "keep": channels.keep.to_string(),
            "coupled": channels.coupled,
            "standardize": channels.standardize,
            "round_to": channels.round_to,
        }),
    };
    Ok(json!({
        "secateur": env!("CARGO_PKG_VERSION"),
        "model": files,
        "cut": cut,
        "allocations": options.allocations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "save": options.save.to_string(),
        "floor": match options.floor {
            Floor::At(floor) => json!(floor),
            Floor::Drop(drop) => json!({"drop": drop}),
        },
        "lower_is_better": options.lower_is_better,
        "strategy": match options.strategy {
            Strategy::Fixed { step } => json!({"step": step}),
            Strategy::Dynamic => json!("dynamic"),
        },
        "ramp": options.ramp.map(|ramp| {
            json!({"schedule": ramp.schedule.to_string(), "rounds": ramp.rounds, "target": ramp.target})
        }),
        "order": options.order.to_string(),
        "evaluations": options.evaluations,
        "seed": options.seed,
        "final_epochs": options.final_epochs,
        "trains": tools.tuner.is_some(),
        "recalibrates": tools.recalibrator.is_some(),
        "tests": tools.test.is_some(),
        "with": options.about,
        "units": units,
    }))
}

/// What tells a file from another one that has taken its place, without reading all of it: an entry of
/// [`SearchOptions::about`].
///
/// # Errors
/// [`Error::Io`] where it is not there.
pub fn identity(path: &Path) -> Result<serde_json::Value> {
    let failed = |error| Error::io(path, error);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let absolute = std::path::absolute(path).map_err(failed)?;
    Ok(json!({
        "path": absolute.display().to_string(),
        "bytes": metadata.len(),
        "modified_nanoseconds": modified.and_then(|since| u64::try_from(since.as_nanos()).ok()),
    }))
}
