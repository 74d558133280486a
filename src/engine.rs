//! What computes: a GPU or the CPU.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use safetensors::Dtype;
use serde::Serialize;

use crate::cpu::CpuEngine;
#[cfg(feature = "gpu")]
use crate::gpu::{AdapterChoice, Gpu, GpuEngine};
use crate::scan::Compute;
use crate::{Float, Result};

/// An engine that is ready to compute: the CPU, or a GPU with the CPU beside it for what it does not compute.
///
/// ```
/// let engine = secateur::Engine::cpu(None)?;
/// assert_eq!(engine.info(&[]).kind, secateur::EngineKind::Cpu);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    cpu: CpuEngine,
    #[cfg(feature = "gpu")]
    gpu: Option<GpuEngine>,
}

impl Engine {
    /// The CPU engine with `threads` threads, or one for each core.
    ///
    /// # Errors
    /// Where the operating system gives no threads.
    pub fn cpu(threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self {
            cpu: CpuEngine::new(threads)?,
            #[cfg(feature = "gpu")]
            gpu: None,
        })
    }

    /// The GPU engine on the chosen adapter.
    ///
    /// # Errors
    /// Where there is no such adapter, or it gives no device.
    #[cfg(feature = "gpu")]
    pub fn gpu(choice: &AdapterChoice, threads: Option<NonZeroUsize>) -> Result<Self> {
        let cpu = CpuEngine::new(threads)?;
        let gpu = Some(GpuEngine::new(choice, std::sync::Arc::clone(cpu.pool()))?);
        Ok(Self { cpu, gpu })
    }

    /// A hardware GPU if there is one that gives a device, else the CPU; never a software rasteriser.
    /// [`info`](Self::info) tells which.
    ///
    /// # Errors
    /// Where the operating system gives no threads.
    pub fn auto(threads: Option<NonZeroUsize>) -> Result<Self> {
        #[cfg(feature = "gpu")]
        if let Some(choice) = AdapterChoice::hardware() {
            let cpu = CpuEngine::new(threads)?;
            let gpu = GpuEngine::new(&choice, std::sync::Arc::clone(cpu.pool())).ok();
            return Ok(Self { cpu, gpu });
        }
        Self::cpu(threads)
    }

    /// Which engine this is, and which of `dtypes` it leaves to another.
    pub fn info(&self, dtypes: &[Dtype]) -> EngineInfo {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.gpu {
            let left = Float::ALL.iter().filter(|f| dtypes.contains(&f.dtype()) && !Gpu::computes(**f));
            let fallback = left.map(|f| Fallback { dtype: f.dtype(), kind: EngineKind::Cpu }).collect();
            return EngineInfo { kind: EngineKind::Gpu, name: gpu.name().to_owned(), fallback };
        }
        let _ = dtypes;
        EngineInfo { kind: EngineKind::Cpu, name: self.cpu.name(), fallback: Vec::new() }
    }

    /// What computes weights of this format.
    pub(crate) fn compute(&self, float: Float) -> &dyn Compute {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.gpu.as_ref().filter(|_| Gpu::computes(float)) {
            return gpu;
        }
        let _ = float;
        &self.cpu
    }

    /// Whether a GPU computes weights of this format.
    pub(crate) fn is_gpu_for(&self, float: Float) -> bool {
        #[cfg(feature = "gpu")]
        return self.gpu.is_some() && Gpu::computes(float);
        #[cfg(not(feature = "gpu"))]
        {
            let _ = float;
            false
        }
    }

    pub(crate) fn cpu_engine(&self) -> &CpuEngine {
        &self.cpu
    }
}

/// The kind of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Compute shaders through wgpu.
    Gpu,
    /// Vectorised code on the processor.
    Cpu,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        })
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            _ => Err("expected gpu or cpu".to_owned()),
        }
    }
}

/// Which engine did the work, and what it left to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// Its kind.
    pub kind: EngineKind,
    /// The adapter's name, or the processor's instruction set and number of threads.
    pub name: String,
    /// Dtypes of this model that another engine computed.
    pub fallback: Vec<Fallback>,
}

/// A dtype that the chosen engine does not compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// The dtype.
    pub dtype: Dtype,
    /// What computed it instead.
    pub kind: EngineKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip() {
        for kind in [EngineKind::Gpu, EngineKind::Cpu] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
