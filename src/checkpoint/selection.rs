//! PROVISIONAL: which tensors of a checkpoint are meant.
#![allow(missing_docs, reason = "a stand-in that is to be replaced")]

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::{Error, Result};

#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Option<GlobSet>,
    skip: GlobSet,
}

impl Selection {
    pub fn new(only: &[String], skip: &[String]) -> Result<Self> {
        let set = |globs: &[String]| {
            let mut builder = GlobSetBuilder::new();
            for glob in globs {
                builder.add(Glob::new(glob).map_err(|error| Error::Usage(error.to_string()))?);
            }
            builder.build().map_err(|error| Error::Usage(error.to_string()))
        };
        Ok(Self { only: if only.is_empty() { None } else { Some(set(only)?) }, skip: set(skip)? })
    }
    pub fn includes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(name)) && !self.skip.is_match(name)
    }
}
