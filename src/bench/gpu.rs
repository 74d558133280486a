//! Passes over weights that are on a GPU, timed by the device's own clock where it has one.

use super::cpu::{edges, groupings};
use super::sample::{COLUMNS, Sample};
use super::{Case, Ceiling, Options, name, wrong};
use crate::engine::EngineKind::Gpu as OnGpu;
use crate::gpu::{
    AdapterChoice, ApplyPass, GatherPass, Gpu, HistogramPass, Kept, Masks, MomentsPass, OrderPass, Overlay, Pending,
    PrunePass, Rule, Weights, kernel,
};
use crate::kernels::sum;
use crate::prune::Keep;
use crate::{Error, Result};

type Each<'e> = &'e mut dyn FnMut(&mut Case) -> Result<()>;

pub(super) fn cases(options: &Options, choice: &AdapterChoice, size: u64, each: Each) -> Result<()> {
    let gpu = Gpu::open(choice)?;
    let clock = Clock::new(&gpu)?;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    for (index, &float) in options.formats.iter().filter(|f| Gpu::computes(**f)).enumerate() {
        let sample = Sample::new(float, size);
        let (bytes, all, of) = (sample.len() as u64, sample.elements(), name(float));
        let buffer = gpu.filled("weights", sample.view(), usage)?;
        let weights = [Weights::new(&buffer, 0, float, &sample.shape)?];
        if index == 0 {
            ceilings(&clock, &buffer, &sample, each)?;
        }
        if options.wants("moments") {
            for (by, label) in groupings() {
                let of = format!("{of} by {label}");
                let pass = MomentsPass::new(&gpu, &weights, by)?;
                let found = pass.run()?.wait()?.remove(0).groups;
                let found: Option<Vec<_>> = found.into_iter().collect();
                let found = found.ok_or_else(|| wrong("moments", &of, "magnitudes out of range".to_owned()))?;
                sample.check_moments(by, &found).map_err(|why| wrong("moments", &of, why))?;
                each(&mut clock.case("moments", of, bytes, Ceiling::Sum, |encoder| {
                    pass.encode(encoder);
                    Ok(())
                }))?;
            }
        }
        if options.wants("histogram") {
            let inner = edges();
            let outer = [vec![-1e3], inner.clone(), vec![1e3]].concat();
            let pass = HistogramPass::new(&gpu, &weights, &[outer])?;
            if pass.run()?.wait()?[0] != sample.histogram(&inner) {
                return Err(wrong("histogram", &of, "counts differ".to_owned()));
            }
            each(&mut clock.case("histogram", format!("{of}, 256 bins"), bytes, Ceiling::Sum, |encoder| {
                pass.encode(encoder);
                Ok(())
            }))?;
        }
        if options.wants("select") {
            let pass = OrderPass::new(&gpu, &weights, 1)?;
            let mut sorted: Vec<f64> = (0..sample.block().len() / float.bytes())
                .map(|i| float.value(crate::order::bits_at(float, sample.block(), i)))
                .collect();
            sorted.sort_by(f64::total_cmp);
            let rank = all / 2;
            let (found, want) = (pass.run(&[rank])?.wait()?[0], sorted[(rank / sample.repeats()) as usize]);
            if found != Some(want) {
                return Err(wrong("select", &of, format!("{found:?} is not {want}")));
            }
            each(&mut clock.case("select", format!("{of}, the median"), bytes, Ceiling::Sum, |encoder| {
                pass.encode(encoder, &[rank])
            }))?;
        }
        if options.wants("gather") {
            gather(&clock, &sample, &weights[0], each)?;
        }
        let two_of_four = crate::prune::NofM::new(2, 4).map(Rule::NofM);
        for (kernel, of, rule) in [
            ("masks", format!("{of}, half"), Some(Rule::Uniform)),
            ("prune", format!("{of}, half"), Some(Rule::Uniform)),
            ("2:4", of.clone(), two_of_four),
        ] {
            let Some(rule) = rule.filter(|_| options.wants(kernel)) else { continue };
            // Weights that nothing has cut yet.
            gpu.queue().write_buffer(&buffer, 0, sample.view());
            let pass = PrunePass::new(&gpu, &weights, rule, Keep::Largest)?;
            let amounts = pass.amounts(0.5);
            let cut = pass.run(&amounts)?.wait()?[0];
            let (key, _) = sample.kth_magnitude(all / 2);
            let threshold = rule != Rule::Uniform || cut.threshold == Some(float.value(key));
            if cut.cut != all / 2 || !threshold {
                return Err(wrong(kernel, &of, format!("{cut:?} of {all} weights")));
            }
            gpu.queue().write_buffer(&buffer, 0, sample.view());
            each(&mut clock.case(kernel, of, bytes, Ceiling::Copy, |encoder| match kernel {
                "masks" => pass.encode_masks(encoder, &amounts),
                _ => pass.encode(encoder, &amounts),
            }))?;
        }
        gpu.queue().write_buffer(&buffer, 0, sample.view());
        if options.wants("overlay") {
            overlay(&clock, &sample, &weights, each)?;
        }
        if options.wants("apply") {
            let words = vec![0x5a5a_5a5a_u32; all.div_ceil(32) as usize];
            let masks = Masks::upload(&gpu, &weights, &[&words])?;
            let pass = ApplyPass::new(&gpu, &weights, &masks)?;
            let mut case = clock.case("apply", format!("{of}, a mask"), bytes, Ceiling::Copy, |encoder| {
                pass.encode(encoder);
                Ok(())
            });
            case.run()?;
            let mut want = sample.block().to_vec();
            let of_block = want.len() / float.bytes() / 32;
            crate::kernels::apply_mask::apply_mask(float.bytes(), &mut want, &words[..of_block]);
            clock.check("apply", &case.of, &buffer, want.len(), |found| *found == want)?;
            each(&mut case)?;
        }
    }
    Ok(())
}

fn gather(clock: &Clock, sample: &Sample, from: &Weights, each: Each) -> Result<()> {
    let (gpu, width) = (&clock.gpu, sample.float.bytes());
    let indices: Vec<u32> = (0..COLUMNS as u32).filter(|i| i % 4 != 3).collect();
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let target = gpu.buffer("kept columns", sample.len() as u64 / 4 * 3, usage)?;
    let to = Weights::new(&target, 0, sample.float, &[sample.shape[0], indices.len() as u64])?;
    let pass = GatherPass::new(gpu, &[Kept { from: from.clone(), axis: 1, indices, to }])?;
    let of = format!("{}, 3 of 4 columns", name(sample.float));
    let mut case = clock.case("gather", of, sample.len() as u64, Ceiling::Copy, |encoder| {
        pass.encode(encoder);
        Ok(())
    });
    case.run()?;
    let want: Vec<u8> = sample.block().chunks(4 * width).flat_map(|four| four[..3 * width].to_vec()).collect();
    clock.check("gather", &case.of, &target, want.len(), |found| *found == want)?;
    each(&mut case)
}

/// A variant switched on and off.
fn overlay(clock: &Clock, sample: &Sample, weights: &[Weights], each: Each) -> Result<()> {
    let gpu = &clock.gpu;
    let pass = PrunePass::new(gpu, weights, Rule::Uniform, Keep::Largest)?;
    let mut encoder = gpu.encoder();
    pass.encode_masks(&mut encoder, &pass.amounts(0.5))?;
    gpu.submit("masks", encoder)?;
    let mut overlay = Overlay::new(gpu, weights)?;
    let variant = pollster::block_on(overlay.add(pass.masks()))?;
    let of = format!("{}, half, on and off", name(sample.float));
    let mut case = clock.case("overlay", of, sample.len() as u64, Ceiling::Copy, |encoder| {
        overlay.encode(encoder, Some(variant))?;
        overlay.encode(encoder, None)
    });
    case.run()?;
    let want = sample.block().to_vec();
    clock.check("overlay", &case.of, weights[0].buffer(), want.len(), |found| *found == want)?;
    each(&mut case)
}

fn ceilings(clock: &Clock, buffer: &wgpu::Buffer, sample: &Sample, each: Each) -> Result<()> {
    let (gpu, bytes) = (&clock.gpu, sample.len() as u64);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    // A part after the other, where a binding is smaller than the weights.
    let part = gpu.binding_bytes() / sum::TILE_BYTES * sum::TILE_BYTES;
    let mut dispatches = Vec::new();
    let mut sums = Vec::new();
    for start in (0..bytes).step_by(part as usize) {
        let size = part.min(bytes - start);
        let out = gpu.buffer("sums", size.div_ceil(sum::TILE_BYTES) * 4, usage)?;
        let data = wgpu::BufferBinding { buffer, offset: start, size: wgpu::BufferSize::new(size) };
        let workgroups = size.div_ceil(sum::TILE_BYTES) as u32;
        dispatches.push(sum::kernel(gpu)?.prepare(gpu, &[data, out.as_entire_buffer_binding()], workgroups)?);
        sums.push(out);
    }
    let sum_of = |encoder: &mut wgpu::CommandEncoder| {
        kernel::record(encoder, "sum", &dispatches);
        Ok(())
    };
    let mut case = clock.case("sum", String::new(), bytes, Ceiling::Sum, sum_of);
    case.run()?;
    let mut found = 0u32;
    for out in &sums {
        let add = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).fold(0, u32::wrapping_add);
        found = found.wrapping_add(clock.contents(out, out.size(), add)?);
    }
    if found != sum::sum_words(sample.view()) {
        return Err(wrong("sum", "ceiling", "sums differ".to_owned()));
    }
    each(&mut clock.ceiling(Ceiling::Sum, bytes, sum_of))?;
    let other = gpu.buffer("a copy", bytes, usage)?;
    each(&mut clock.ceiling(Ceiling::Copy, bytes, |encoder| {
        encoder.copy_buffer_to_buffer(buffer, 0, &other, 0, bytes);
        Ok(())
    }))
}

/// What commands take on the device.
struct Clock {
    gpu: Gpu,
    /// Where its own clock is written to, and nanoseconds of a tick.
    queries: Option<(wgpu::QuerySet, wgpu::Buffer, f64)>,
}

impl Clock {
    fn new(gpu: &Gpu) -> Result<Self> {
        let mut queries = None;
        if gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let set = gpu.scoped("a clock", || {
                gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("clock"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                })
            })?;
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            queries = Some((set, gpu.buffer("times", 16, usage)?, f64::from(gpu.queue().get_timestamp_period())));
        }
        Ok(Self { gpu: gpu.clone(), queries })
    }

    /// What runs `record`ed commands once, and waits.
    fn timed<'a>(
        &'a self,
        mut record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()> + 'a,
    ) -> impl FnMut() -> Result<Option<f64>> + 'a {
        move || {
            let mut encoder = self.gpu.encoder();
            self.mark(&mut encoder, 0);
            record(&mut encoder)?;
            self.mark(&mut encoder, 1);
            let Some((set, times, nanoseconds)) = &self.queries else {
                let submission_index = Some(self.gpu.submit("a case", encoder)?);
                let waited = self.gpu.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
                return waited.map(|_| None).map_err(|e| Error::Device(e.to_string()));
            };
            encoder.resolve_query_set(set, 0..2, times, 0);
            let nanoseconds = *nanoseconds;
            let found = Pending::record(&self.gpu, &mut encoder, times, 16, move |bytes| {
                let [from, to]: [u64; 2] = bytemuck::pod_read_unaligned(bytes);
                Ok(Some(to.saturating_sub(from) as f64 * nanoseconds / 1e9))
            })?;
            found.submitted(self.gpu.submit("a case", encoder)?).wait()
        }
    }

    /// A pass that does nothing but note the time: when all before it is done, and nothing after it has begun.
    fn mark(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        if let Some((query_set, ..)) = &self.queries {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(index),
                end_of_pass_write_index: None,
            });
            drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("clock"), timestamp_writes }));
        }
    }

    fn case<'a>(
        &'a self,
        kernel: &'static str,
        of: String,
        bytes: u64,
        beside: Ceiling,
        record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()> + 'a,
    ) -> Case<'a> {
        Case::new(OnGpu, kernel, of, bytes, beside, self.timed(record))
    }

    fn ceiling<'a>(
        &'a self,
        ceiling: Ceiling,
        bytes: u64,
        record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()> + 'a,
    ) -> Case<'a> {
        Case::ceiling(OnGpu, ceiling, bytes, self.timed(record))
    }

    /// What `read` makes of the first `bytes` of a buffer.
    fn contents<T>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T> {
        let mut encoder = self.gpu.encoder();
        let found = Pending::record(&self.gpu, &mut encoder, buffer, bytes, move |bytes| Ok(read(bytes)))?;
        found.submitted(self.gpu.submit("an answer", encoder)?).wait()
    }

    /// An error unless the first `bytes` of a buffer are right.
    fn check(
        &self,
        kernel: &str,
        of: &str,
        buffer: &wgpu::Buffer,
        bytes: usize,
        is_right: impl FnOnce(&Vec<u8>) -> bool,
    ) -> Result<()> {
        let found = self.contents(buffer, bytes as u64, <[u8]>::to_vec)?;
        if is_right(&found) { Ok(()) } else { Err(wrong(kernel, of, "bytes differ".to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, run};
    use crate::gpu::AdapterChoice;
    use crate::gpu::tests::engines;

    #[test]
    fn every_case_of_a_gpu_is_right_and_has_a_ceiling() {
        if engines().is_none() {
            return;
        }
        let options = Options {
            sizes: vec![1 << 20],
            formats: crate::Float::ALL.into(),
            cpu: false,
            gpu: Some(AdapterChoice::Default),
            seconds: 0.0,
            ..Options::default()
        };
        let mut kernels = std::collections::BTreeSet::new();
        run(&options, &mut |row| {
            assert_eq!(row.ratio.is_some(), row.of != "ceiling", "{row:?}");
            kernels.insert(row.kernel);
            Ok(())
        })
        .unwrap();
        for kernel in
            ["moments", "histogram", "select", "masks", "prune", "2:4", "apply", "gather", "overlay", "stats", "upload"]
        {
            assert!(kernels.contains(kernel), "{kernel} of {kernels:?}");
        }
    }
}
