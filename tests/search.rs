//! Searches, with evaluators whose answers are known.
#[path = "files/searches.rs"]
mod searches;

use std::cell::Cell;
use std::path::Path;

use secateur::evaluate::Measure;
use secateur::prune::{Allocation, ChannelOptions, Options, Schedule};
use secateur::search::{Cut, Floor, Order, Phase, Ramp, SearchOptions, Strategy, Tools, search};
use secateur::{Checkpoint, Engine, Error, Result};

use searches::{MODEL, find, options, worth};

#[test]
fn dynamic_rates_are_never_worse_than_one_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let found = find(&options(), &out).expect("a search");
    let best = &found.rounds[found.best.expect("something can go")];
    let single = |round: &&secateur::search::Round| round.phase == Phase::Rate && round.held;
    let single = found.rounds.iter().filter(single).map(|round| round.sparsity).fold(0.0, f64::max);
    assert!(best.sparsity >= single && single > 0.1, "{} {single}", best.sparsity);
    assert!(best.metric >= Some(found.floor));
    // What is written is what was found.
    assert_eq!(Some(worth(&out).expect("a model").metric), best.metric);
    assert!(found.evaluations <= 200 && found.evaluations as usize == found.rounds.len());
    for phase in [Phase::Baseline, Phase::Rate, Phase::Scan, Phase::Knapsack, Phase::Refine] {
        assert!(found.rounds.iter().any(|round| round.phase == phase), "{phase:?}");
    }
    assert!(best.sparsity > single + 0.02, "rates of their own save more: {} {single}", best.sparsity);
    let rates: Vec<f64> = found.units.iter().map(|unit| unit.cut as f64 / unit.size as f64).collect();
    assert!(rates.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.05), "{rates:?}");
}

#[test]
fn steps_until_the_floor_breaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let strategy = Strategy::Fixed { step: 0.1 };
    let options = SearchOptions { strategy, allocations: vec![Allocation::Uniform], ..options() };
    let found = find(&options, &out).expect("a search");
    let rates: Vec<f64> = found.rounds.iter().map(|round| (round.sparsity * 1000.0).round() / 1000.0).collect();
    assert!(rates.starts_with(&[0.0, 0.1, 0.2, 0.3]), "{rates:?}");
    let broken = found.rounds.iter().position(|round| !round.held).expect("it breaks");
    let best = &found.rounds[found.best.expect("something can go")];
    assert!(best.sparsity >= rates[broken - 1] && best.sparsity < rates[broken]);
    // Halved six times: the best is nearly as far as it goes.
    let next = found.rounds.iter().filter(|round| !round.held).map(|round| round.sparsity).fold(1.0, f64::min);
    assert!(next - best.sparsity < 0.1 / 60.0, "{next} {}", best.sparsity);
    assert!(found.rounds.iter().skip(1).all(|round| round.held == (round.metric >= Some(found.floor))));
}

#[test]
fn rounds_of_a_schedule() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let ramp = Some(Ramp { schedule: Schedule::Cubic, rounds: 4, target: 0.4 });
    let strategy = Strategy::Fixed { step: 0.05 };
    let options = SearchOptions { strategy, ramp, allocations: vec![Allocation::Global], ..options() };
    let found = find(&options, &out).expect("a search");
    let rates: Vec<f64> = found.rounds.iter().map(|round| round.sparsity).collect();
    let expected = [0.0, 0.23125, 0.35, 0.39375, 0.4];
    assert!(rates.len() == 5 && rates.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{rates:?}");
}

#[test]
fn one_unit_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for (order, strategy) in [
        (Order::LastToFirst, Strategy::Dynamic),
        (Order::FirstToLast, Strategy::Dynamic),
        (Order::LastToFirst, Strategy::Fixed { step: 0.25 }),
    ] {
        let out = folder.path().join(format!("{order}-{strategy:?}.safetensors"));
        let options = SearchOptions { order, strategy, evaluations: Some(80), ..options() };
        let found = find(&options, &out).expect("a search");
        let last = found.units.len() - 1;
        let first = &found.rounds[1];
        assert_eq!(first.phase, Phase::Order);
        let cut: Vec<usize> = (0..=last).filter(|&unit| first.cuts[unit] > 0).collect();
        assert_eq!(cut, [if order == Order::LastToFirst { last } else { 0 }]);
        // A unit may use up no more than its part.
        let floor = first.floor.expect("a floor of its own");
        let all: u64 = found.units.iter().map(|unit| unit.size).sum();
        let share = found.units[cut[0]].size as f64 / all as f64;
        assert!((floor - (found.rounds[0].metric.expect("a metric") - 0.005 * share)).abs() < 1e-12);
        assert!(found.rounds[found.best.expect("something can go")].sparsity > 0.1);
    }
}

#[test]
fn n_of_m_where_it_costs_least() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let pattern = "2:4".parse().expect("a pattern");
    let cut = Cut::Elements(Options { pattern, ..Options::default() });
    let found = find(&SearchOptions { cut, ..options() }, &out).expect("a search");
    let best = &found.rounds[found.best.expect("something can go")];
    assert!(best.sparsity > 0.0 && best.sparsity < 0.5);
    // Each tensor takes the pattern or stays whole.
    for (unit, cut) in found.units.iter().zip(&best.cuts) {
        assert!(*cut == 0 || *cut * 2 == unit.size, "{} {cut} of {}", unit.name, unit.size);
    }
    assert_eq!(Some(worth(&out).expect("a model").metric), best.metric);
}

#[test]
fn channels_of_a_declared_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let model = Checkpoint::open(MODEL).expect("a model");
    let topology = secateur::graph::Topology::read("examples/data/cnn.toml").expect("a topology");
    let graph = topology.graph(&model).expect("its network");
    // As good as it is large.
    let mut evaluator = |path: &Path| -> Result<Measure> {
        let elements: u64 = Checkpoint::open(path)?.tensors().iter().map(|tensor| tensor.elements()).sum();
        Ok(Measure { metric: elements as f64, ..Measure::default() })
    };
    let whole = evaluator(MODEL.as_ref()).expect("a number").metric;
    let options = SearchOptions {
        cut: Cut::Channels(ChannelOptions::default()),
        graph: Some(&graph),
        allocations: vec![Allocation::Uniform, Allocation::Global],
        floor: Floor::At(whole / 2.0),
        evaluations: Some(40),
        ..SearchOptions::default()
    };
    let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: None };
    let engine = Engine::cpu(None).expect("the CPU");
    let found = search(&model, &engine, &options, tools, Some(&out), false, &mut |_| {}).expect("a search");
    let best = &found.rounds[found.best.expect("something can go")];
    let left: u64 = Checkpoint::open(&out).expect("a model").tensors().iter().map(|tensor| tensor.elements()).sum();
    assert!(left as f64 >= whole / 2.0 && (left as f64) < whole * 0.6, "{left} of {whole}");
    assert_eq!(best.metric, Some(left as f64));
}

/// As an evaluator, but dead after some rounds.
fn until(rounds: u32) -> impl FnMut(&Path) -> Result<Measure> {
    let left = Cell::new(rounds);
    move |path: &Path| {
        left.set(left.get().checked_sub(1).ok_or_else(|| Error::Run("killed".to_owned()))?);
        worth(path)
    }
}

#[test]
fn what_was_stopped_goes_on_and_ends_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = Checkpoint::open(MODEL).expect("a model");
    let engine = Engine::cpu(None).expect("the CPU");
    let whole = folder.path().join("whole.safetensors");
    let expected = find(&options(), &whole).expect("a search");
    for stop in [1, 2, 9, 20] {
        let journal = folder.path().join(format!("journal-{stop}"));
        let out = folder.path().join(format!("out-{stop}.safetensors"));
        let options = SearchOptions { journal: Some(&journal), ..options() };
        let mut left = expected.evaluations;
        let found = loop {
            let mut evaluator = until(stop);
            let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: None };
            match search(&model, &engine, &options, tools, Some(&out), false, &mut |_| {}) {
                Ok(found) => break found,
                Err(error) => assert!(matches!(error, Error::Run(_)), "{error}"),
            }
            let text = std::fs::read_to_string(journal.join("rounds.jsonl")).expect("rounds");
            left -= stop;
            assert_eq!(text.lines().count() as u32, expected.evaluations - left, "no round is done twice");
            assert!(std::fs::read_to_string(journal.join("failed.txt")).expect("why").contains("killed"));
            // Half a line, as a kill may leave it.
            std::fs::write(journal.join("rounds.jsonl"), text + "{\"round\": 1").expect("written");
        };
        assert_eq!(std::fs::read(&out).expect("a model"), std::fs::read(&whole).expect("a model"));
        assert_eq!(
            found.units.iter().map(|u| u.cut).collect::<Vec<_>>(),
            expected.units.iter().map(|u| u.cut).collect::<Vec<_>>()
        );
        // The plan does the same.
        let plan = secateur::prune::Plan::read(&journal.join("plan.json")).expect("a plan");
        assert_eq!(plan, found.plan);
        let other = SearchOptions { seed: 7, ..options.clone() };
        let mut evaluator = worth;
        let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: None };
        let error = search(&model, &engine, &other, tools, None, false, &mut |_| {}).expect_err("another search");
        assert!(error.to_string().contains("another search: its seed is 0, now it is 7"), "{error}");
    }
}

#[test]
fn what_is_asked_for_has_the_evaluations_that_it_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = |name: &str| folder.path().join(name);
    let ramp = Some(Ramp { schedule: Schedule::Linear, rounds: 40, target: 0.2 });
    let fixed = Strategy::Fixed { step: 0.05 };
    let all = SearchOptions { strategy: fixed, ramp, floor: Floor::Drop(1.0), ..options() };
    let found = find(&all, &out("rounds.safetensors")).expect("a search");
    assert!((found.best_round().expect("all of it").sparsity - 0.2).abs() < 1e-3 && found.evaluations == 41);
    let few = SearchOptions { evaluations: Some(40), ..all.clone() };
    assert!(matches!(find(&few, &out("few.safetensors")), Err(Error::Usage(_))));
    let pattern = Options { pattern: "2:4".parse().expect("a pattern"), ..Options::default() };
    let no_rate = SearchOptions { cut: Cut::Elements(pattern), ..all };
    assert!(matches!(find(&no_rate, &out("pattern.safetensors")), Err(Error::Usage(_))));
    // One after the other, and the first of the network, which comes last, has its turn.
    for strategy in [Strategy::Dynamic, fixed] {
        let options = SearchOptions { order: Order::LastToFirst, strategy, ..options() };
        let found = find(&options, &out(&format!("{strategy:?}.safetensors"))).expect("a search");
        assert!(found.rounds.iter().any(|round| round.cuts[0] > 0), "{strategy:?}");
    }
}

#[test]
fn a_test_that_fails_takes_nothing_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let (model, engine) = (Checkpoint::open(MODEL).expect("a model"), Engine::cpu(None).expect("the CPU"));
    let mut evaluator = worth;
    let mut test = |_: &Path| -> Result<Measure> { Err(Error::Run("no such data".to_owned())) };
    let tools = Tools { evaluator: &mut evaluator, test: Some(&mut test), tuner: None, recalibrator: None };
    let error = search(&model, &engine, &options(), tools, Some(&out), false, &mut |_| {}).expect_err("a test");
    assert!(error.to_string().contains("no such data") && worth(&out).expect("what was found").metric < 1.0);
}

#[test]
fn a_floor_above_the_model_is_no_floor_of_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    for strategy in [Strategy::Dynamic, Strategy::Fixed { step: 0.2 }] {
        // The model has 1: nothing that is cut can have more.
        let order = Order::LastToFirst;
        let options = SearchOptions { floor: Floor::At(1.2), order, strategy, evaluations: Some(20), ..options() };
        let found = find(&options, &out).expect("a search");
        assert!(found.best.is_none() && !out.exists(), "{strategy:?}");
    }
}

#[test]
fn what_cannot_be_kept_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let found = find(&SearchOptions { floor: Floor::At(1.5), evaluations: Some(6), ..options() }, &out);
    let found = found.expect("a search without a result");
    assert!(found.best.is_none() && !out.exists());
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
