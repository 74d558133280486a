//! Passes over weights that are on a GPU, timed by the device's own clock where it has one.

use std::sync::Arc;

use super::clock::Clock;
use crate::bench::sample::{COLUMNS, Sample};
use crate::bench::{Case, Ceiling, Each, Options, edges, groupings, name, wrong};
use crate::engine::EngineKind::Gpu as OnGpu;
use crate::gpu::{
    AdapterChoice, ApplyPass, GatherPass, Gpu, HistogramPass, Kept, Masks, MomentsPass, OrderPass, Overlay, Pending,
    PrunePass, Ranking, Rule, Weights, kernel,
};
use crate::kernels::sum;
use crate::prune::{Keep, NofM};
use crate::{Float, Result};

pub(crate) fn cases(options: &Options, choice: &AdapterChoice, size: u64, each: Each) -> Result<()> {
    let clock = Arc::new(Clock::new(&Gpu::open(choice)?)?);
    for (index, &float) in options.formats.iter().filter(|f| Gpu::computes(**f)).enumerate() {
        let resident = Resident::new(&clock, float, size)?;
        if index == 0 {
            resident.ceilings(each)?;
        }
        let kernels: [(&str, Measure); 9] = [
            ("moments", Resident::moments),
            ("histogram", Resident::histogram),
            ("select", Resident::select),
            ("gather", Resident::gather),
            ("masks", Resident::masks),
            ("prune", Resident::prune),
            ("2:4", Resident::two_of_four),
            ("overlay", Resident::overlay),
            ("apply", Resident::apply),
        ];
        for (_, measure) in kernels.iter().filter(|(kernel, _)| options.wants(kernel)) {
            measure(&resident, each)?;
        }
    }
    Ok(())
}

/// Makes the cases of a kernel.
type Measure = fn(&Resident, Each) -> Result<()>;

/// A sample on the device.
struct Resident {
    clock: Arc<Clock>,
    sample: Sample,
    /// As it was, and what kernels work on.
    pristine: wgpu::Buffer,
    weights: [Weights; 1],
}

impl Resident {
    fn new(clock: &Arc<Clock>, float: Float, size: u64) -> Result<Self> {
        let sample = Sample::new(float, size)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let pristine = clock.gpu.filled("a sample", sample.view(), usage)?;
        let buffer = clock.gpu.filled("weights", sample.view(), usage)?;
        let weights = [Weights::new(&buffer, 0, float, &sample.shape)?];
        Ok(Self { clock: Arc::clone(clock), sample, pristine, weights })
    }

    fn gpu(&self) -> &Gpu {
        &self.clock.gpu
    }

    fn bytes(&self) -> u64 {
        self.sample.len() as u64
    }

    fn of(&self, what: &str) -> String {
        format!("{}{what}", name(self.sample.float))
    }

    /// The weights as they were.
    fn restore(&self) -> Result<()> {
        let done = self.gpu().run("restore", |encoder| {
            encoder.copy_buffer_to_buffer(&self.pristine, 0, self.weights[0].buffer(), 0, self.bytes());
            Pending::<()>::done(self.gpu(), encoder)
        });
        done?.wait()
    }

    fn case<'c>(
        &'c self,
        kernel: &'static str,
        of: String,
        beside: Ceiling,
        record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()> + 'c,
    ) -> Case<'c> {
        Case::new(OnGpu, kernel, of, self.bytes(), beside, self.clock.timed(record))
    }

    /// An error unless a buffer holds `want`.
    fn check(&self, case: &Case, buffer: &wgpu::Buffer, want: Vec<u8>) -> Result<()> {
        let found = self.gpu().run("an answer", |encoder| {
            Pending::record(self.gpu(), encoder, buffer, want.len() as u64, move |found| Ok(found == want))
        });
        let right = found?.wait()?;
        if right { Ok(()) } else { Err(wrong(case.kernel, &case.of, "bytes differ".to_owned())) }
    }

    fn ceilings(&self, each: Each) -> Result<()> {
        let (gpu, bytes, buffer) = (self.gpu(), self.bytes(), self.weights[0].buffer());
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        // A part after the other, where a binding is smaller than the weights.
        let part = gpu.binding_bytes() / sum::TILE_BYTES * sum::TILE_BYTES;
        let (mut dispatches, mut sums) = (Vec::new(), Vec::new());
        for start in (0..bytes).step_by(part as usize) {
            let size = part.min(bytes - start);
            let workgroups = size.div_ceil(sum::TILE_BYTES) as u32;
            let out = gpu.buffer("sums", u64::from(workgroups) * 4, usage)?;
            let data = wgpu::BufferBinding { buffer, offset: start, size: wgpu::BufferSize::new(size) };
            dispatches.push(sum::kernel(gpu)?.prepare(gpu, &[data, out.as_entire_buffer_binding()], workgroups)?);
            sums.push(out);
        }
        let mut case = Case::ceiling(
            OnGpu,
            Ceiling::Sum,
            bytes,
            self.clock.timed(|encoder| {
                kernel::record(encoder, "sum", &dispatches);
                Ok(())
            }),
        );
        case.run()?;
        let mut found = 0u32;
        for out in &sums {
            let add = |bytes: &[u8]| {
                Ok(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).fold(0, u32::wrapping_add))
            };
            let sum = gpu.run("sums", |encoder| Pending::record(gpu, encoder, out, out.size(), add));
            found = found.wrapping_add(sum?.wait()?);
        }
        if found != sum::sum_words(self.sample.view()) {
            return Err(wrong("sum", "ceiling", "sums differ".to_owned()));
        }
        each(&mut case)?;
        let other = gpu.buffer("a copy", bytes, usage)?;
        let record = self.clock.timed(|encoder| {
            encoder.copy_buffer_to_buffer(buffer, 0, &other, 0, bytes);
            Ok(())
        });
        each(&mut Case::ceiling(OnGpu, Ceiling::Copy, bytes, record))
    }

    fn moments(&self, each: Each) -> Result<()> {
        for (by, label) in groupings() {
            let of = self.of(&format!(" by {label}"));
            let pass = MomentsPass::new(self.gpu(), &self.weights, by)?;
            let found: Option<Vec<_>> = pass.run()?.wait()?.remove(0).groups.into_iter().collect();
            let found = found.ok_or_else(|| wrong("moments", &of, "magnitudes out of range".to_owned()))?;
            self.sample.check_moments(by, &found).map_err(|why| wrong("moments", &of, why))?;
            each(&mut self.case("moments", of, Ceiling::Sum, |encoder| {
                pass.encode(encoder);
                Ok(())
            }))?;
        }
        Ok(())
    }

    fn histogram(&self, each: Each) -> Result<()> {
        let inner = edges();
        let outer = [vec![-1e3], inner.clone(), vec![1e3]].concat();
        let pass = HistogramPass::new(self.gpu(), &self.weights, &[outer])?;
        let of = self.of(", 256 bins");
        if pass.run()?.wait()?[0] != self.sample.histogram(&inner) {
            return Err(wrong("histogram", &of, "counts differ".to_owned()));
        }
        each(&mut self.case("histogram", of, Ceiling::Sum, |encoder| {
            pass.encode(encoder);
            Ok(())
        }))
    }

    fn select(&self, each: Each) -> Result<()> {
        let pass = OrderPass::new(self.gpu(), &self.weights, Ranking::Magnitudes, 1)?;
        let rank = self.sample.elements() / 2;
        let of = self.of(", the median magnitude");
        let want = self.sample.float.value(self.sample.kth_magnitude(rank + 1).0);
        let found = pass.run(&[rank])?.wait()?[0];
        if found != Some(want) {
            return Err(wrong("select", &of, format!("{found:?} is not {want}")));
        }
        each(&mut self.case("select", of, Ceiling::Sum, |encoder| pass.encode(encoder, &[rank])))
    }

    fn gather(&self, each: Each) -> Result<()> {
        let indices: Vec<u32> = (0..COLUMNS as u32).filter(|i| i % 4 != 3).collect();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let target = self.gpu().buffer("kept columns", self.bytes() / 4 * 3, usage)?;
        let to = Weights::new(&target, 0, self.sample.float, &[self.sample.shape[0], indices.len() as u64])?;
        let pass = GatherPass::new(self.gpu(), &[Kept { from: self.weights[0].clone(), axis: 1, indices, to }])?;
        let mut case = self.case("gather", self.of(", 3 of 4 columns"), Ceiling::Copy, |encoder| {
            pass.encode(encoder);
            Ok(())
        });
        case.run()?;
        self.check(&case, &target, self.sample.three_of_four())?;
        each(&mut case)
    }

    /// Masks of half, without the cut.
    fn masks(&self, each: Each) -> Result<()> {
        let pass = PrunePass::new(self.gpu(), &self.weights, Rule::Uniform, Keep::Largest)?;
        let amounts = pass.amounts(0.5);
        self.restore()?;
        let mut case =
            self.case("masks", self.of(", half"), Ceiling::Copy, |encoder| pass.encode_masks(encoder, &amounts));
        case.run()?;
        let words = self.sample.smallest(amounts[0]);
        self.check(&case, pass.masks().buffer(), bytemuck::cast_slice(&words).to_vec())?;
        each(&mut case)
    }

    fn prune(&self, each: Each) -> Result<()> {
        let pass = PrunePass::new(self.gpu(), &self.weights, Rule::Uniform, Keep::Largest)?;
        let amounts = pass.amounts(0.5);
        let words = self.sample.smallest(amounts[0]);
        self.cutting("prune", self.of(", half"), &words, each, |encoder| {
            pass.encode_masks(encoder, &amounts)?;
            pass.encode_apply(encoder);
            Ok(())
        })
    }

    fn two_of_four(&self, each: Each) -> Result<()> {
        let Some(pattern) = NofM::new(2, 4) else { return Ok(()) };
        let pass = PrunePass::new(self.gpu(), &self.weights, Rule::NofM(pattern), Keep::Largest)?;
        let words = self.sample.two_of_four();
        self.cutting("2:4", self.of(", masks and cut"), &words, each, |encoder| {
            pass.encode_masks(encoder, &[])?;
            pass.encode_apply(encoder);
            Ok(())
        })
    }

    fn apply(&self, each: Each) -> Result<()> {
        let words = vec![0x5a5a_5a5a_u32; self.sample.elements().div_ceil(32) as usize];
        let masks = Masks::upload(self.gpu(), &self.weights, &[&words])?;
        let pass = ApplyPass::new(self.gpu(), &self.weights, &masks)?;
        self.cutting("apply", self.of(", a mask"), &words, each, |encoder| {
            pass.encode(encoder);
            Ok(())
        })
    }

    /// A case that cuts what `words` say, of weights that nothing has cut.
    fn cutting(
        &self,
        kernel: &'static str,
        of: String,
        words: &[u32],
        each: Each,
        record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<()> {
        let mut case = self.case(kernel, of, Ceiling::Copy, record).prepared(|| self.restore());
        case.prepare()?;
        case.run()?;
        self.check(&case, self.weights[0].buffer(), self.sample.masked(words))?;
        each(&mut case)?;
        drop(case);
        self.restore()
    }

    /// A variant switched on, then off: over the weights twice.
    fn overlay(&self, each: Each) -> Result<()> {
        let gpu = self.gpu();
        let words = self.sample.smallest(self.sample.elements() / 2);
        let masks = Masks::upload(gpu, &self.weights, &[&words])?;
        let mut overlay = Overlay::new(gpu, &self.weights)?;
        let variant = pollster::block_on(overlay.add(&masks))?;
        self.restore()?;
        let switch = |on| {
            gpu.run("switch", |encoder| {
                overlay.encode(encoder, on)?;
                Pending::<()>::done(gpu, encoder)
            })
        };
        let of = self.of(", half, on and off");
        let unrun = Case::new(OnGpu, "overlay", of.clone(), 2 * self.bytes(), Ceiling::Copy, || Ok(None));
        switch(Some(variant))?.wait()?;
        self.check(&unrun, self.weights[0].buffer(), self.sample.masked(&words))?;
        switch(None)?.wait()?;
        self.check(&unrun, self.weights[0].buffer(), self.sample.view().to_vec())?;
        let record = self.clock.timed(|encoder| {
            overlay.encode(encoder, Some(variant))?;
            overlay.encode(encoder, None)
        });
        each(&mut Case::new(OnGpu, "overlay", of, 2 * self.bytes(), Ceiling::Copy, record))?;
        self.check(&unrun, self.weights[0].buffer(), self.sample.view().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::{Options, run};
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
            assert!(!row.of.contains("f64"), "no GPU computes it: {row:?}");
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
