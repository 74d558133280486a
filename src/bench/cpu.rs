//! The CPU engine over weights in memory.

use std::hint::black_box;

use super::sample::{COLUMNS, PERIOD_ROWS, Sample};
use super::{Case, Ceiling, Options, ceiling, name, wrong};
use crate::cpu::CpuEngine;
use crate::engine::EngineKind::Cpu;
use crate::prune::kth_magnitude;
use crate::scan::{Compute, Counts, Gather, Job, Piece, Request, Rule, Thresholds, Values};
use crate::stats::fold::Groups;
use crate::stats::layout::Layout;
use crate::stats::{Grouping, Moments};
use crate::{Engine, Result};

type Each<'e> = &'e mut dyn FnMut(&mut Case) -> Result<()>;

pub(super) fn cases(options: &Options, size: u64, each: Each) -> Result<()> {
    let engine = Engine::cpu(options.threads)?;
    let cpu = engine.cpu_engine();
    for (index, &float) in options.formats.iter().enumerate() {
        let mut sample = Sample::new(float, size);
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
        let k = sample.elements() / 2 + 1;
        let (key, ties) = sample.kth_magnitude(k);
        if options.wants("select") {
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
        // From here on weights are cut.
        let all = sample.elements();
        let half = Rule::Threshold { key, above: false, budget: 0 };
        let two_of_four = Rule::NofM { n: 2, m: 4, stride: 1, above: false };
        let mask: Vec<u32> = vec![0x5a5a_5a5a; all.div_ceil(32) as usize];
        for (kernel, of, rule, want) in [
            ("threshold", format!("{of}, half"), half, k),
            ("2:4", of.clone(), two_of_four, all / 2),
            ("apply", format!("{of}, a mask"), Rule::Mask(&mask), all / 2),
        ] {
            if !options.wants(kernel) {
                continue;
            }
            let fresh = &mut Sample::new(float, size);
            let sample = if kernel == "threshold" { &mut sample } else { fresh };
            let mut run = || {
                let jobs = &mut [Job { float, bytes: sample.bytes(), first: 0, rule, mask: None }];
                cpu.cut(jobs, &mut [ties], 0)
            };
            let cut = run()?[0].cut;
            if cut != want {
                return Err(wrong(kernel, &of, format!("{cut} weights are cut, and {want} are to be")));
            }
            each(&mut Case::new(Cpu, kernel, of, bytes, Ceiling::Copy, || {
                black_box(run()?);
                Ok(None)
            }))?;
        }
    }
    Ok(())
}

/// The groups that moments are measured by.
pub(super) fn groupings() -> [(Grouping, &'static str); 3] {
    [(Grouping::Tensor, "tensor"), (Grouping::Output, "output"), (Grouping::Input, "input")]
}

/// The inner edges of 256 bins.
pub(super) fn edges() -> Vec<f64> {
    (1..256).map(|i| (f64::from(i) - 128.0) / 1600.0).collect()
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
pub(super) fn pieces(sample: &Sample, by: Grouping) -> impl Iterator<Item = Piece> + use<> {
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
    let mut run = || {
        let job = Gather { width, from: sample.view(), axis: COLUMNS, inner: 1, kept: &kept, to: &mut to };
        cpu.gather(&mut [job], 0)
    };
    run()?;
    let want: Vec<u8> = sample.block().chunks(4 * width).flat_map(|four| four[..3 * width].to_vec()).collect();
    debug_assert_eq!(want.len(), (PERIOD_ROWS * COLUMNS) as usize * width / 4 * 3);
    if !to.chunks(want.len()).all(|part| part == want) {
        return Err(wrong("gather", &of, "bytes differ".to_owned()));
    }
    let mut run = || {
        let job = Gather { width, from: sample.view(), axis: COLUMNS, inner: 1, kept: &kept, to: &mut to };
        cpu.gather(&mut [job], 0)
    };
    each(&mut Case::new(Cpu, "gather", of, bytes, Ceiling::Copy, || run().map(|()| None)))
}
