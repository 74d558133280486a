//! What computes: a GPU or the CPU.

use std::fmt;
use std::str::FromStr;

use safetensors::Dtype;
use serde::Serialize;

/// The kind of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
