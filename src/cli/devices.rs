//! `secateur devices`.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use secateur::report::format_bytes_binary as size;
use secateur::{Engine, EngineInfo, Result, escape};
use serde::Serialize;

use super::output::Output;

/// The GPUs that can compute, with their limits, and the CPU.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur devices
  secateur devices --format json")]
pub(crate) struct Devices {
    /// How to write them
    #[arg(long, value_enum, default_value_t = DevicesFormat::Table)]
    format: DevicesFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DevicesFormat {
    Table,
    Json,
}

/// An adapter as it is listed.
#[derive(Serialize)]
struct Listed {
    index: usize,
    name: String,
    backend: String,
    kind: String,
    software: bool,
    driver: String,
    max_binding_bytes: u64,
    max_buffer_bytes: u64,
    workgroup_memory_bytes: u32,
    max_workgroup_threads: u32,
    /// Smallest and largest subgroup.
    subgroup: Option<(u32, u32)>,
    shares_memory: bool,
    timestamps: bool,
}

#[derive(Serialize)]
struct Listing {
    /// Whether this binary can use GPUs at all.
    gpu: bool,
    adapters: Vec<Listed>,
    cpu: EngineInfo,
}

impl Devices {
    pub(crate) fn run(self) -> Result<()> {
        let listing = Listing { gpu: cfg!(feature = "gpu"), adapters: adapters(), cpu: Engine::cpu(None)?.info(&[]) };
        let mut output = Output::stdout();
        let written = match self.format {
            DevicesFormat::Table => listing.table(&mut output.writer()),
            DevicesFormat::Json => serde_json::to_string_pretty(&listing)
                .map_err(io::Error::from)
                .and_then(|text| writeln!(output.writer(), "{text}")),
        };
        output.finish(written)
    }
}

impl Listing {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.gpu {
            writeln!(out, "GPU  none: this binary was built without GPU support (cargo feature `gpu`)")?;
        } else if self.adapters.is_empty() {
            writeln!(out, "GPU  none found: no driver for Vulkan, Metal or DX12 offers one")?;
        }
        for adapter in &self.adapters {
            adapter.table(out)?;
        }
        writeln!(out, "CPU  {}", escape(&self.cpu.name))
    }
}

impl Listed {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "GPU {}  {}", self.index, escape(&self.name))?;
        let memory = if self.shares_memory { ", shares the CPU's memory" } else { "" };
        writeln!(out, "       {}, {}{memory}; {}", self.backend, self.kind, escape(&self.driver))?;
        writeln!(
            out,
            "       buffer {}, binding {}, workgroup {} threads and {}",
            size(self.max_buffer_bytes),
            size(self.max_binding_bytes),
            self.max_workgroup_threads,
            size(self.workgroup_memory_bytes.into()),
        )?;
        let subgroup = match self.subgroup {
            Some((least, most)) if least == most => format!("subgroups of {least}"),
            Some((least, most)) => format!("subgroups of {least} to {most}"),
            None => "no subgroups".to_owned(),
        };
        writeln!(out, "       {subgroup}, {}", if self.timestamps { "timestamps" } else { "no timestamps" })?;
        if self.software {
            writeln!(
                out,
                "       software: used only when named by --adapter, or by --engine gpu if there is no other"
            )?;
        }
        Ok(())
    }
}

#[cfg(feature = "gpu")]
fn adapters() -> Vec<Listed> {
    use secateur::gpu::AdapterKind;
    let listed = |adapter: secateur::gpu::Adapter| Listed {
        index: adapter.index,
        name: adapter.name,
        backend: adapter.backend,
        kind: format!("{:?}", adapter.kind).to_lowercase(),
        software: matches!(adapter.kind, AdapterKind::Software),
        driver: adapter.driver,
        max_binding_bytes: adapter.max_binding_bytes,
        max_buffer_bytes: adapter.max_buffer_bytes,
        workgroup_memory_bytes: adapter.workgroup_memory_bytes,
        max_workgroup_threads: adapter.max_workgroup_threads,
        subgroup: adapter.subgroup,
        shares_memory: adapter.shares_memory,
        timestamps: adapter.timestamps,
    };
    secateur::gpu::adapters().into_iter().map(listed).collect()
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Vec<Listed> {
    Vec::new()
}
