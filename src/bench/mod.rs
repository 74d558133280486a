//! How fast the kernels are on this machine, each beside what the machine can do at all.
//!
//! A [`Case`] is one kernel over one kind of weights. It checks its answer when it is made, then it can be run any number of
//! times. Among the cases are *ceilings*: the same bytes summed, copied, read from a file, by the same threads or the same
//! device in the same run. [`run`] times all of them.
//!
//! ```no_run
//! use secateur::bench::{Options, run};
//!
//! let options = Options { sizes: vec![64 << 20], ..Options::default() };
//! run(&options, &mut |row| {
//!     println!("{} {}: {:.1} GB/s", row.kernel, row.of, row.gigabytes_per_second());
//!     Ok(())
//! })?;
//! # Ok::<(), secateur::Error>(())
//! ```

mod ceiling;
mod cpu;
mod file;
mod machine;
pub(crate) mod sample;
mod timing;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use globset::GlobMatcher;
use serde::Serialize;

use crate::engine::EngineKind;
#[cfg(feature = "gpu")]
use crate::gpu::AdapterChoice;
use crate::stats::Grouping;
use crate::{Error, Float, Result};

pub use machine::Machine;
pub use timing::{Row, Spread, run};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of weights of each case, a run for each. Sizes that fit in a cache measure the cache.
    pub sizes: Vec<u64>,
    /// The formats.
    pub formats: Vec<Float>,
    /// Only kernels whose name matches one of these; all where there is none. Ceilings are always measured.
    pub kernels: Vec<GlobMatcher>,
    /// Whether the CPU engine is measured.
    pub cpu: bool,
    /// The GPU that is measured, if any.
    #[cfg(feature = "gpu")]
    pub gpu: Option<AdapterChoice>,
    /// How long each case is run, in seconds; at least three times.
    pub seconds: f64,
    /// Where the files of whole-file cases are made, which take three times the size; none of these cases without.
    pub folder: Option<PathBuf>,
    /// Threads of the CPU; all where it is `None`.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sizes: vec![16 << 20, 256 << 20],
            formats: vec![Float::F32, Float::BF16, Float::F16, Float::E4M3],
            kernels: Vec::new(),
            cpu: true,
            #[cfg(feature = "gpu")]
            gpu: None,
            seconds: 0.3,
            folder: Some(std::env::temp_dir()),
            threads: None,
        }
    }
}

/// The names of the kernels, beside ceilings: not every engine has each.
pub const KERNELS: [&str; 12] = [
    "moments",
    "histogram",
    "select",
    "gather",
    "threshold",
    "masks",
    "2:4",
    "apply",
    "overlay",
    "stats",
    "prune",
    "upload",
];

/// The smallest size that is measured, in bytes.
pub const MIN_BYTES: u64 = 1 << 20;

impl Options {
    /// Whether there is something to measure.
    ///
    /// # Errors
    /// Sizes below [`MIN_BYTES`], kernels that do not exist, or a time that is none.
    pub fn validate(&self) -> Result<()> {
        if self.sizes.iter().any(|size| *size < MIN_BYTES) {
            return Err(Error::Usage(format!("sizes are at least {} MiB", MIN_BYTES >> 20)));
        }
        if !KERNELS.iter().any(|kernel| self.wants(kernel)) {
            return Err(Error::Usage(format!("there is no such kernel: they are {}", KERNELS.join(", "))));
        }
        if !(self.seconds.is_finite() && self.seconds >= 0.0) {
            return Err(Error::Usage(format!("a case cannot be run for {} seconds", self.seconds)));
        }
        Ok(())
    }

    pub(crate) fn wants(&self, kernel: &str) -> bool {
        self.kernels.is_empty() || self.kernels.iter().any(|glob| glob.is_match(kernel))
    }

    /// Makes every case that is asked for, one after the other, and gives it to `each`; a case is gone before the next is made.
    ///
    /// # Errors
    /// Where a device or a file is refused, an answer is wrong, or `each` fails.
    pub fn cases(&self, each: &mut dyn FnMut(&mut Case) -> Result<()>) -> Result<()> {
        self.validate()?;
        let mut any = false;
        self.each_case(&mut |case| {
            any |= case.ceiling.is_none();
            each(case)
        })?;
        if any {
            return Ok(());
        }
        Err(Error::Usage(
            "there is nothing to measure: no kernel of that name, or none that computes this format".to_owned(),
        ))
    }

    fn each_case(&self, each: Each) -> Result<()> {
        for size in &self.sizes {
            if self.cpu {
                cpu::cases(self, *size, each)?;
            }
            #[cfg(feature = "gpu")]
            if let Some(choice) = &self.gpu {
                crate::gpu::bench::cases(self, choice, *size, each)?;
            }
            if let Some(folder) = &self.folder {
                file::cases(self, folder, *size, each)?;
            }
        }
        Ok(())
    }
}

/// What a case is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ceiling {
    /// Every word loaded and added.
    Sum,
    /// Every byte copied.
    Copy,
    /// A file read by the same threads, a piece after the other.
    Read,
    /// A file copied and synced.
    CopyFile,
}

/// One kernel over one kind of weights, ready to run.
pub struct Case<'a> {
    /// What computes.
    pub engine: EngineKind,
    /// The kernel's name, or the ceiling's.
    pub kernel: &'static str,
    /// What it is over: a format and groups, such as `f32 by output`.
    pub of: String,
    /// Bytes of weights that it goes over.
    pub bytes: u64,
    /// What it is measured beside; `None` for ceilings.
    pub beside: Option<Ceiling>,
    /// Which ceiling it is itself.
    pub ceiling: Option<Ceiling>,
    run: Run<'a>,
    prepare: Option<Prepare<'a>>,
}

/// What cases are given to.
pub(crate) type Each<'e> = &'e mut dyn FnMut(&mut Case) -> Result<()>;

/// Makes ready what a run changes.
type Prepare<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

/// Runs a case once, and says how long its kernels alone took on the device, where that is known.
type Run<'a> = Box<dyn FnMut() -> Result<Option<f64>> + 'a>;

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("engine", &self.engine)
            .field("kernel", &self.kernel)
            .field("of", &self.of)
            .finish()
    }
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        engine: EngineKind,
        kernel: &'static str,
        of: impl Into<String>,
        bytes: u64,
        beside: Ceiling,
        run: impl FnMut() -> Result<Option<f64>> + 'a,
    ) -> Self {
        Self {
            engine,
            kernel,
            of: of.into(),
            bytes,
            beside: Some(beside),
            ceiling: None,
            run: Box::new(run),
            prepare: None,
        }
    }

    pub(crate) fn ceiling(
        engine: EngineKind,
        ceiling: Ceiling,
        bytes: u64,
        run: impl FnMut() -> Result<Option<f64>> + 'a,
    ) -> Self {
        let kernel = match ceiling {
            Ceiling::Sum => "sum",
            Ceiling::Copy => "copy",
            Ceiling::Read => "read",
            Ceiling::CopyFile => "copy and sync",
        };
        let of = "ceiling".to_owned();
        Self { engine, kernel, of, bytes, beside: None, ceiling: Some(ceiling), run: Box::new(run), prepare: None }
    }

    /// The same, before each run of which `prepare` makes ready what it changes.
    pub(crate) fn prepared(self, prepare: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { prepare: Some(Box::new(prepare)), ..self }
    }

    /// Makes ready what a run changes: before each run, and not timed.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn prepare(&mut self) -> Result<()> {
        self.prepare.as_mut().map_or(Ok(()), |prepare| prepare())
    }

    /// Runs it once, and waits. How long the kernels alone took on the device, in seconds, where it has a clock.
    ///
    /// # Errors
    /// Where a device or a file fails.
    pub fn run(&mut self) -> Result<Option<f64>> {
        (self.run)()
    }
}

/// An answer that is wrong: nothing is timed then.
pub(crate) fn wrong(kernel: &str, of: &str, why: String) -> Error {
    Error::Run(format!("{kernel} of {of} gives a wrong answer: {why}"))
}

pub(crate) fn name(float: Float) -> String {
    format!("{float:?}").to_lowercase()
}

/// The groups that moments are measured by.
pub(crate) fn groupings() -> [(Grouping, &'static str); 3] {
    [(Grouping::Tensor, "tensor"), (Grouping::Output, "output"), (Grouping::Input, "input")]
}

/// The inner edges of 256 bins.
pub(crate) fn edges() -> Vec<f64> {
    (1..256).map(|i| (f64::from(i) - 128.0) / 1600.0).collect()
}
