//! The CPU engine over weights in memory.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use super::sample::{COLUMNS, Sample};
use super::{Case, Ceiling, Each, Options, ceiling, edges, groupings, name, wrong};
use crate::cpu::CpuEngine;
use crate::engine::EngineKind::Cpu;
use crate::prune::kth_magnitude;
use crate::scan::{Compute, Counts, Gather, Job, Piece, Request, Rule, Thresholds, Values};
use crate::stats::fold::Groups;
use crate::stats::layout::Layout;
use crate::stats::{Grouping, Moments};
use crate::{Engine, Result};

pub(super) fn cases(options: &Options, size: u64, each: Each) -> Result<()> {
    let engine = Engine::cpu(options.threads)?;
    let cpu = engine.cpu_engine();
    for (index, &float) in options.formats.iter().enumerate() {
        let sample = Sample::new(float, size)?;
        let bytes = sample.len() as u64;
        if index == 0 {
            ceilings(cpu, &sample, each)?;
        }
        let of = name(float);
        if options.wants("moments") {
            for (by, label) in groupings() {
                let of = format!("{of} by {label}");
                let find = || moments(cpu, &sample, by);
                sample.check_moments(by, &find()?).map_err(|why| wrong("moments", &of, why))?;
                each(&mut Case::new(Cpu, "moments", of, bytes, Ceiling::Sum, || {
                    black_box(find()?);
                    Ok(None)
                }))?;
            }
        }
        if options.wants("histogram") {
            let inner = edges();
            let keys: Vec<u64> = inner.iter().map(|edge| float.first_key(false, |x| x >= *edge)).collect();
            let bins = Thresholds { keys, magnitude: false };
            let find = || histogram(cpu, &sample, &bins);
            if find()? != sample.histogram(&inner) {
                return Err(wrong("histogram", &of, "counts differ".to_owned()));
            }
            each(&mut Case::new(Cpu, "histogram", format!("{of}, 256 bins"), bytes, Ceiling::Sum, || {
                black_box(find()?);
                Ok(None)
            }))?;
        }
        if options.wants("select") {
            let k = sample.elements() / 2 + 1;
            let (key, _) = sample.kth_magnitude(k);
            let find = || kth_magnitude(&engine, float, sample.view(), k);
            if find()? != Some(float.value(key)) {
                return Err(wrong("select", &of, format!("{:?} is not {}", find()?, float.value(key))));
            }
            each(&mut Case::new(Cpu, "select", format!("{of}, the median magnitude"), bytes, Ceiling::Sum, || {
                black_box(find()?);
                Ok(None)
            }))?;
        }
        if options.wants("gather") {
            gather(cpu, &sample, each)?;
        }
        cuts(options, cpu, &sample, each)?;
    }
    Ok(())
}

/// Weights cut, by each rule.
fn cuts(options: &Options, cpu: &CpuEngine, sample: &Sample, each: Each) -> Result<()> {
    let (float, all) = (sample.float, sample.elements());
    let (key, ties) = sample.kth_magnitude(all / 2);
    let half = Rule::Threshold { key, above: false, budget: 0 };
    let two_of_four = Rule::NofM { n: 2, m: 4, stride: 1, above: false };
    let mask = vec![0x5a5a_5a5a; all.div_ceil(32) as usize];
    let mut bytes = sample.view().to_vec();
    for (kernel, what, rule) in [
        ("threshold", ", half", half),
        ("2:4", ", masks and cut", two_of_four),
        ("apply", ", a mask", Rule::Mask(&mask)),
    ] {
        if !options.wants(kernel) {
            continue;
        }
        let words = match kernel {
            "threshold" => sample.smallest(all / 2),
            "2:4" => sample.two_of_four(),
            _ => mask.clone(),
        };
        let of = format!("{}{what}", name(float));
        let bytes = Mutex::new(&mut bytes);
        let weights = || bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let jobs = &mut [Job { float, bytes: &mut weights(), first: 0, rule, mask: None }];
            black_box(cpu.cut(jobs, &mut [ties], 0)?);
            Ok(None)
        };
        let restore = || {
            cpu.pool().install(|| ceiling::copy(sample.view(), &mut weights()));
            Ok(())
        };
        let mut case = Case::new(Cpu, kernel, of, sample.len() as u64, Ceiling::Copy, run).prepared(restore);
        case.prepare()?;
        case.run()?;
        if **weights() != sample.masked(&words) {
            return Err(wrong(kernel, &case.of, "bytes differ".to_owned()));
        }
        each(&mut case)?;
    }
    Ok(())
}

fn ceilings(cpu: &CpuEngine, sample: &Sample, each: Each) -> Result<()> {
    let bytes = sample.len() as u64;
    let (from, mut to) = (sample.view(), vec![0u8; sample.len()]);
    cpu.pool().install(|| ceiling::copy(from, &mut to));
    if to != from {
        return Err(wrong("copy", "ceiling", "bytes differ".to_owned()));
    }
    each(&mut Case::ceiling(Cpu, Ceiling::Sum, bytes, || {
        black_box(cpu.pool().install(|| ceiling::sum(black_box(from))));
        Ok(None)
    }))?;
    each(&mut Case::ceiling(Cpu, Ceiling::Copy, bytes, || {
        cpu.pool().install(|| ceiling::copy(black_box(from), black_box(&mut to)));
        Ok(None)
    }))
}

/// The pieces of a sample.
fn pieces(sample: &Sample, by: Grouping) -> impl Iterator<Item = Piece> + use<> {
    let (float, layout) = (sample.float, Layout::new(&sample.shape, by));
    layout.pieces(float, layout.all()).map(move |region| Piece { tensor: 0, float, layout, region })
}

fn moments(compute: &dyn Compute, sample: &Sample, by: Grouping) -> Result<Vec<Moments>> {
    let request = Request { moments: Some(Values::Weights), ..Request::default() };
    let mut groups = Groups::new(0, Layout::new(&sample.shape, by).groups());
    let mut add = |piece: &Piece, moments: &[Moments]| {
        piece.layout.runs(piece.region).zip(moments).for_each(|(run, m)| groups.add(run.group, m));
        Ok(())
    };
    compute.scan(sample, &mut pieces(sample, by), &request, &mut Counts::default(), &mut add)?;
    Ok(groups.iter().map(|(_, m)| *m).collect())
}

fn histogram(compute: &dyn Compute, sample: &Sample, bins: &Thresholds) -> Result<Vec<u64>> {
    let request = Request { bins: Some(bins), ..Request::default() };
    let mut counts = Counts::for_request(&request);
    compute.scan(sample, &mut pieces(sample, Grouping::Tensor), &request, &mut counts, &mut |_, _| Ok(()))?;
    Ok(counts.bins)
}

fn gather(cpu: &CpuEngine, sample: &Sample, each: Each) -> Result<()> {
    let (width, bytes) = (sample.float.bytes(), sample.len() as u64);
    let kept: Vec<u32> = (0..COLUMNS as u32).filter(|i| i % 4 != 3).collect();
    let mut to = vec![0u8; sample.len() / 4 * 3];
    let of = format!("{}, 3 of 4 columns", name(sample.float));
    let run = |to: &mut [u8]| {
        cpu.gather(&mut [Gather { width, from: sample.view(), axis: COLUMNS, inner: 1, kept: &kept, to }], 0)
    };
    run(&mut to)?;
    if to != sample.three_of_four() {
        return Err(wrong("gather", &of, "bytes differ".to_owned()));
    }
    each(&mut Case::new(Cpu, "gather", of, bytes, Ceiling::Copy, || run(&mut to).map(|()| None)))
}
