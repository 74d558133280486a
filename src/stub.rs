//! PROVISIONAL: stands in for the engines until they are merged.
#![allow(missing_docs, reason = "a stand-in that is to be replaced")]

use std::num::NonZeroUsize;

use safetensors::Dtype;

use crate::{EngineInfo, EngineKind, Result};

#[derive(Debug)]
pub enum Engine {
    Cpu,
}

impl Engine {
    pub fn cpu(_threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self::Cpu)
    }

    pub fn auto(threads: Option<NonZeroUsize>) -> Result<Self> {
        Self::cpu(threads)
    }

    pub fn info(&self, _dtypes: &[Dtype]) -> EngineInfo {
        EngineInfo { kind: EngineKind::Cpu, name: "stub, 1 thread".to_owned(), fallback: Vec::new() }
    }
}
