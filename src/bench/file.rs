//! Whole files: statistics, pruning, and on a GPU the way there.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::sample::Sample;
use super::{Case, Ceiling, Each, Options, ceiling, name, wrong};
use tempfile::TempDir;

use crate::checkpoint::{Checkpoint, Live};
use crate::engine::EngineKind;
use crate::prune::{self, Allocation, Destination, Task};
use crate::{Engine, Error, Progress, Result, stats};

pub(super) fn cases(options: &Options, folder: &Path, size: u64, each: Each) -> Result<()> {
    if !["stats", "prune", "upload"].iter().any(|kernel| options.wants(kernel)) {
        return Ok(());
    }
    let mut engines = Vec::new();
    if options.cpu {
        engines.push(Engine::cpu(options.threads)?);
    }
    #[cfg(feature = "gpu")]
    if let Some(choice) = &options.gpu {
        engines.push(Engine::gpu(choice, options.threads)?);
    }
    // Whoever ends the process by a signal can remove it.
    let made = Live::make(|| tempfile::Builder::new().prefix(".secateur-bench-").tempdir_in(folder), TempDir::path);
    let (folder, _live) = made.map_err(|e| Error::io(folder, e))?;
    let (model, out) = (folder.path().join("model.safetensors"), folder.path().join("out.safetensors"));
    let mut first = true;
    for &float in options.formats.iter().filter(|f| options.formats[..1].contains(f) || f.bytes() == 2) {
        let sample = Sample::new(float, size / 4)?;
        write(&model, &sample)?;
        let bytes = 4 * sample.len() as u64;
        for engine in &engines {
            let kind = engine.info(&[]).kind;
            if kind == EngineKind::Gpu && !engine.is_gpu_for(float) {
                continue;
            }
            if std::mem::take(&mut first) || kind == EngineKind::Gpu {
                ceilings(engine, kind, &model, &out, bytes, each)?;
            }
            if options.wants("stats") {
                let run = || summary(engine, &model);
                check(&sample, &run()?)?;
                each(&mut Case::new(kind, "stats", format!("a {} file", name(float)), bytes, Ceiling::Read, || {
                    run().map(|_| None)
                }))?;
            }
            if options.wants("prune") {
                for (allocation, label) in [(Allocation::Uniform, "uniform"), (Allocation::Global, "global")] {
                    let of = format!("a {} file, {label}", name(float));
                    let options = prune::Options { sparsity: 0.5, allocation, ..prune::Options::default() };
                    let run = || {
                        let to = Destination { out: Some(&out), force: true, ..Destination::default() };
                        let model = Checkpoint::open(&model)?;
                        prune::run(&model, engine, &Task::Options(&options), &to, &Progress::default())
                    };
                    run()?;
                    check_pruned(&sample, &out, allocation).map_err(|why| wrong("prune", &of, why))?;
                    each(&mut Case::new(kind, "prune", of, bytes, Ceiling::CopyFile, || run().map(|_| None)))?;
                }
            }
            #[cfg(feature = "gpu")]
            if options.wants("upload") && kind == EngineKind::Gpu {
                upload(engine, &model, float, bytes, each)?;
            }
        }
    }
    Ok(())
}

/// A model of four tensors.
fn write(path: &PathBuf, sample: &Sample) -> Result<()> {
    let (bytes, [rows, columns]) = (sample.len(), sample.shape);
    let entry = |i: usize| {
        let (start, end) = (i * bytes, (i + 1) * bytes);
        let dtype = sample.float.dtype();
        format!(r#""{i}.weight":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#)
    };
    let mut header = format!("{{{}}}", (0..4).map(entry).collect::<Vec<_>>().join(","));
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let written = std::fs::File::create(path).and_then(|mut file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        (0..4).try_for_each(|_| file.write_all(sample.view()))?;
        file.sync_all()
    });
    written.map_err(|e| Error::io(path, e))
}

fn ceilings(engine: &Engine, kind: EngineKind, model: &Path, out: &Path, bytes: u64, each: Each) -> Result<()> {
    let pool = engine.cpu_engine().pool();
    each(&mut Case::ceiling(kind, Ceiling::Read, bytes, || pool.install(|| ceiling::read(model)).map(|_| None)))?;
    each(&mut Case::ceiling(kind, Ceiling::CopyFile, bytes, || ceiling::copy_file(model, out).map(|()| None)))
}

fn summary(engine: &Engine, model: &Path) -> Result<stats::Summary> {
    let model = Checkpoint::open(model)?;
    stats::analyse(&model, engine, &stats::Options::default(), &Progress::default(), &mut |_| Ok(()))
}

fn check(sample: &Sample, found: &stats::Summary) -> Result<()> {
    let of = "a file";
    let want = stats::Moments::of_bytes(sample.float, sample.view());
    let near = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
    let total = &found.total;
    if total.count != 4 * want.count || !near(total.variance, want.variance()) || !near(total.kurtosis, want.kurtosis())
    {
        return Err(wrong("stats", of, format!("{total:?} of four times {want:?}")));
    }
    Ok(())
}

/// Whether half of four equal tensors has been cut, and nothing else.
fn check_pruned(sample: &Sample, out: &Path, allocation: Allocation) -> Result<(), String> {
    let half = sample.elements() / 2;
    // Of all tensors together, ties go in their order: each tensor is given what those before it have left.
    let mut masks: Vec<Vec<u32>> = vec![sample.smallest(half); 4];
    if allocation == Allocation::Global {
        let (key, ties) = sample.kth_magnitude(half);
        let mut left = 4 * ties;
        masks = (0..4).map(|_| sample.smaller(key, &mut left)).collect();
    }
    let model = Checkpoint::open(out).map_err(|e| e.to_string())?;
    let mut found = vec![0; sample.len()];
    for (tensor, mask) in model.tensors().iter().zip(masks) {
        model.read_exact_at(tensor, 0, &mut found).map_err(|e| e.to_string())?;
        if found != sample.masked(&mask) {
            return Err(format!("{} is not what is left of it", tensor.name()));
        }
    }
    Ok(())
}

/// The way from a file to the device, without anything done there.
#[cfg(feature = "gpu")]
fn upload(engine: &Engine, model: &Path, float: crate::Float, bytes: u64, each: Each) -> Result<()> {
    use crate::scan::{Counts, File, Piece, Request};
    use crate::stats::layout::Layout;

    let checkpoint = Checkpoint::open(model)?;
    let tensors: Vec<&crate::Tensor> = checkpoint.tensors().iter().collect();
    let progress = Progress::default();
    let file = File { checkpoint: &checkpoint, tensors: &tensors, progress: &progress };
    let request = Request { memory_bytes: 1 << 30, ..Request::default() };
    each(&mut Case::new(EngineKind::Gpu, "upload", format!("a {} file", name(float)), bytes, Ceiling::Read, || {
        let mut pieces = tensors.iter().enumerate().flat_map(|(tensor, t)| {
            let layout = Layout::new(t.shape(), stats::Grouping::Tensor);
            layout.pieces(float, layout.all()).map(move |region| Piece { tensor, float, layout, region })
        });
        let compute = engine.compute(float);
        let before = progress.bytes();
        compute.scan(&file, &mut pieces, &request, &mut Counts::default(), &mut |_, _| Ok(()))?;
        match progress.bytes() - before {
            read if read == bytes => Ok(None),
            read => Err(wrong("upload", "a file", format!("{read} of {bytes} bytes were read"))),
        }
    }))
}
