//! PROVISIONAL: stands in for the engines until they are merged.
#![allow(missing_docs, reason = "a stand-in that is to be replaced")]

use std::num::NonZeroUsize;

use safetensors::Dtype;

use crate::{EngineInfo, EngineKind, Error, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    Default,
    Index(usize),
    Name(String),
}

#[derive(Debug)]
pub enum Engine {
    Cpu,
}

impl Engine {
    pub fn cpu(_threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self::Cpu)
    }

    pub fn gpu(_choice: &AdapterChoice, _threads: Option<NonZeroUsize>) -> Result<Self> {
        Err(Error::Device("no GPU here: leave --engine out, or use --engine cpu".to_owned()))
    }

    pub fn auto(threads: Option<NonZeroUsize>) -> Result<Self> {
        Self::cpu(threads)
    }

    pub fn info(&self, _dtypes: &[Dtype]) -> EngineInfo {
        EngineInfo { kind: EngineKind::Cpu, name: "stub, 1 thread".to_owned(), fallback: Vec::new() }
    }
}
