//! Searches that train or recalibrate their candidates.

#[path = "files/searches.rs"]
mod searches;

use std::cell::RefCell;
use std::path::Path;

use secateur::evaluate::Measure;
use secateur::prune::{Allocation, Options};
use secateur::search::{Cut, Phase, SearchOptions, Strategy, Tools, search};
use secateur::{Checkpoint, Engine, Error, Result};

use searches::{MODEL, options, worth};

#[test]
fn training_goes_on_from_the_best() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, out) = (folder.path().join("journal"), folder.path().join("out.safetensors"));
    let model = Checkpoint::open(MODEL).expect("a model");
    let engine = Engine::cpu(None).expect("the CPU");
    type Jobs = RefCell<Vec<(Option<u64>, Option<f64>, u64)>>;
    struct Scaler<'a>(&'a Jobs);
    impl secateur::tune::FineTuner for Scaler<'_> {
        /// Adds one to every weight that the masks keep, and counts in the first bias how often that was done.
        fn fine_tune(&mut self, job: &secateur::tune::Tuning) -> Result<String> {
            let model = Checkpoint::open(job.model)?;
            let masks = job.mask.map(Checkpoint::open).transpose()?;
            let writer = secateur::checkpoint::Writer::same(&model, job.output, false)?;
            let mut zeros = None;
            for tensor in model.tensors() {
                let mut bytes = vec![0; tensor.bytes() as usize];
                model.read_exact_at(tensor, 0, &mut bytes)?;
                let mask = masks.as_ref().and_then(|masks| Some((masks, masks.get(tensor.name())?)));
                if let Some((masks, mask)) = mask {
                    let mut words = vec![0u8; mask.bytes() as usize];
                    masks.read_exact_at(mask, 0, &mut words)?;
                    for (i, weight) in bytes.chunks_exact_mut(4).enumerate() {
                        let kept = words[i / 8] >> (i % 8) & 1 == 1;
                        let value = f32::from_le_bytes(weight.try_into().expect("four bytes"));
                        assert!(kept || value == 0.0);
                        if !kept {
                            *zeros.get_or_insert(0) += 1;
                        } else {
                            weight.copy_from_slice(&(value * 1.5).to_le_bytes());
                        }
                    }
                }
                writer.write_all_at(tensor.name(), 0, &bytes)?;
            }
            writer.finish()?;
            self.0.borrow_mut().push((zeros, job.epochs, job.seed));
            Ok("trained\n".to_owned())
        }
    }
    let jobs = Jobs::default();
    let options = SearchOptions {
        strategy: Strategy::Fixed { step: 0.1 },
        allocations: vec![Allocation::Uniform],
        journal: Some(&journal),
        final_epochs: Some(2.5),
        seed: 40,
        ..options()
    };
    let (mut evaluator, mut test, mut tuner) = (worth, worth, Scaler(&jobs));
    let tools = Tools { evaluator: &mut evaluator, test: Some(&mut test), tuner: Some(&mut tuner), recalibrator: None };
    let found = search(&model, &engine, &options, tools, Some(&out), false, &mut |_| {}).expect("a search");
    let best = &found.rounds[found.best.expect("something can go")];
    assert_eq!(best.phase, Phase::Final);
    // Each round is cut from the best before it.
    let mut last = 0;
    for round in found.rounds.iter().filter(|round| round.tuned) {
        assert_eq!((round.base, round.seed), (last, Some(40 + u64::from(round.round))), "round {}", round.round);
        assert_eq!(round.log, "trained\n");
        last = if round.accepted { round.round } else { last };
    }
    let jobs = jobs.borrow();
    let of = |round: &secateur::search::Round| round.cuts.iter().sum::<u64>();
    let rounds: Vec<_> = found.rounds.iter().filter(|round| round.tuned).collect();
    assert!(
        jobs.iter().zip(&rounds).all(|(job, round)| job.0.unwrap_or(0) == of(round)),
        "masks are of all that is cut"
    );
    assert_eq!(jobs.last().map(|job| job.1), Some(Some(2.5)));
    // Weights that stayed were scaled as often as the best has ancestors.
    let name = &found.units[0].name;
    let read = |path: &Path| {
        let model = Checkpoint::open(path).expect("a model");
        let tensor = model.get(name).expect("a tensor").clone();
        let mut bytes = vec![0; tensor.bytes() as usize];
        model.read_exact_at(&tensor, 0, &mut bytes).expect("its weights");
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect::<Vec<_>>()
    };
    let (mut depth, mut at) = (0, best);
    while at.round > 0 {
        depth += 1;
        at = &found.rounds[at.base as usize];
    }
    let (before, after) = (read(MODEL.as_ref()), read(&out));
    let ratio = before.iter().zip(&after).map(|(a, b)| b / a).fold(0.0, f32::max);
    assert!((ratio / 1.5f32.powi(depth) - 1.0).abs() < 1e-4, "{ratio} after {depth} trainings");
    assert!(found.test.is_some_and(|(model, small)| model == found.rounds[0].metric && small == best.metric));
    // Only what is still needed is there.
    let models = std::fs::read_dir(&journal).expect("the journal").flatten();
    let models: Vec<_> = models.filter(|f| f.file_name().to_string_lossy().ends_with(".safetensors")).collect();
    assert_eq!(models.len(), 1, "{models:?}");
}

#[test]
fn what_was_only_looked_at_is_still_to_be_trained() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let (model, engine) = (Checkpoint::open(MODEL).expect("a model"), Engine::cpu(None).expect("the CPU"));
    let tuned: RefCell<Vec<std::path::PathBuf>> = RefCell::default();
    struct Tuner<'a>(&'a RefCell<Vec<std::path::PathBuf>>);
    impl secateur::tune::FineTuner for Tuner<'_> {
        fn fine_tune(&mut self, job: &secateur::tune::Tuning) -> Result<String> {
            std::fs::copy(job.model, job.output).map_err(|error| Error::io(job.output, error))?;
            self.0.borrow_mut().push(job.output.to_owned());
            Ok(String::new())
        }
    }
    // Good are the model, and what has one layer cut and was trained.
    let layers = |path: &Path| -> Result<usize> {
        let mut cut = 0;
        let (options, progress) = (Default::default(), Default::default());
        secateur::audit::audit(&Checkpoint::open(path)?, &options, &progress, &mut |tensor| {
            cut += usize::from(tensor.zeros * 3 > tensor.count);
            Ok(())
        })?;
        Ok(cut)
    };
    let mut evaluator = |path: &Path| -> Result<Measure> {
        let trained = tuned.borrow().iter().any(|output| output == path);
        let good = path == Path::new(MODEL) || (trained && layers(path)? == 1);
        Ok(Measure { metric: f64::from(u8::from(good)), ..Measure::default() })
    };
    let mut tuner = Tuner(&tuned);
    let cut = Cut::Elements(Options { pattern: "2:4".parse().expect("a pattern"), ..Options::default() });
    let options = SearchOptions { cut, ..options() };
    let tools = Tools { evaluator: &mut evaluator, test: None, tuner: Some(&mut tuner), recalibrator: None };
    let found = search(&model, &engine, &options, tools, Some(&out), false, &mut |_| {}).expect("a search");
    let best = &found.rounds[found.best.expect("a layer that was trained")];
    assert!(best.tuned && layers(&out).expect("what was found") == 1, "{best:?}");
}

#[test]
fn the_better_of_both_statistics_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, engine) = (Checkpoint::open(MODEL).expect("a model"), Engine::cpu(None).expect("the CPU"));
    // Without new statistics a cut model has no metric at all; then one that is worse; then one that is better; then there
    // are no new statistics.
    for (name, before, recalibrated) in [
        ("none", Some(f64::NAN), true),
        ("worse", Some(0.0), true),
        ("better", None, false),
        ("not there", None, false),
    ] {
        let out = folder.path().join(format!("{name}.safetensors"));
        let mut evaluator = |path: &Path| -> Result<Measure> {
            let again = path.to_string_lossy().contains("-recalibrated");
            let found = worth(path)?;
            let metric = match before {
                _ if path == Path::new(MODEL) => found.metric,
                Some(before) => {
                    if again {
                        found.metric
                    } else {
                        before
                    }
                }
                None => {
                    if again {
                        0.0
                    } else {
                        found.metric
                    }
                }
            };
            Ok(Measure { metric, ..found })
        };
        let mut recalibrator = |model: &Path, out: &Path| -> Result<bool> {
            if name == "not there" {
                return Ok(false);
            }
            std::fs::copy(model, out).map_err(|error| Error::io(out, error))?;
            Ok(true)
        };
        let options = SearchOptions { strategy: Strategy::Fixed { step: 0.2 }, evaluations: Some(4), ..options() };
        let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: Some(&mut recalibrator) };
        let found = search(&model, &engine, &options, tools, Some(&out), false, &mut |_| {}).expect("a search");
        let best = &found.rounds[found.best.expect("something can go")];
        assert_eq!(best.recalibrated, recalibrated, "{name}");
        assert_eq!(Some(worth(&out).expect("what was found").metric), best.metric, "{name}");
    }
}
