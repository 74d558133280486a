//! Adapters and devices.

use crate::{Error, Result};

/// What kind of machine an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares memory with the processor.
    Integrated,
    /// A GPU lent by a hypervisor.
    Virtual,
    /// A rasteriser that runs on the processor.
    Software,
    /// Whatever the driver does not say.
    Other,
}

/// An adapter, as `secateur devices` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Adapter {
    /// Its place in the list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The graphics interface it is reached through.
    pub backend: String,
    /// What kind of machine it is.
    pub kind: AdapterKind,
    /// Driver and version.
    pub driver: String,
    /// The largest part of a buffer that a kernel can see at once, in bytes.
    pub max_binding_bytes: u64,
    /// The largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Memory shared by the threads of a workgroup, in bytes.
    pub workgroup_memory_bytes: u32,
    /// The most threads of a workgroup.
    pub max_workgroup_threads: u32,
    /// Smallest and largest subgroup, where subgroups are supported.
    pub subgroup: Option<(u32, u32)>,
    /// Whether it shares memory with the processor.
    pub shares_memory: bool,
    /// Whether it can time its kernels.
    pub timestamps: bool,
}

/// Which adapter is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best hardware GPU, or where there is none, a software adapter.
    #[default]
    Default,
    /// By its index.
    Index(usize),
    /// By a part of its name, whatever the case.
    Name(String),
}

impl AdapterChoice {
    /// The first hardware GPU, if there is one: never a software adapter.
    pub fn hardware() -> Option<Self> {
        found().iter().position(|a| rank(a) < rank_of(wgpu::DeviceType::Cpu)).map(Self::Index)
    }
}

impl From<&str> for AdapterChoice {
    /// A number is an index, anything else a part of a name.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index)
    }
}

/// The adapters of this machine: hardware GPUs first.
pub fn adapters() -> Vec<Adapter> {
    found().iter().enumerate().map(|(index, adapter)| describe(index, adapter)).collect()
}

fn found() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(rank);
    adapters
}

fn rank(adapter: &wgpu::Adapter) -> u8 {
    rank_of(adapter.get_info().device_type)
}

fn rank_of(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::VirtualGpu => 1,
        wgpu::DeviceType::IntegratedGpu => 2,
        wgpu::DeviceType::Cpu => 4,
        wgpu::DeviceType::Other => 5,
    }
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::Other => AdapterKind::Other,
    };
    Adapter {
        index,
        name: info.name,
        backend: format!("{:?}", info.backend),
        kind,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_workgroup_threads: limits.max_compute_invocations_per_workgroup,
        subgroup: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some((info.subgroup_min_size, info.subgroup_max_size)),
        shares_memory: matches!(kind, AdapterKind::Integrated | AdapterKind::Software),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
    }
}

/// Opens the chosen adapter with all its limits, and the features that are of use here where it has them: clocks, and on
/// adapters that share memory with the processor, buffers that both see.
pub(crate) fn open(choice: &AdapterChoice) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut adapters = found();
    let names = || adapters.iter().map(|a| a.get_info().name).collect::<Vec<_>>().join(", ");
    let index = match choice {
        AdapterChoice::Default => 0,
        AdapterChoice::Index(index) => *index,
        AdapterChoice::Name(part) => {
            let part = part.to_lowercase();
            let matches = |a: &wgpu::Adapter| a.get_info().name.to_lowercase().contains(&part);
            adapters.iter().position(matches).ok_or_else(|| {
                Error::Device(format!("no adapter is named like `{}`; there is: {}", crate::escape(&part), names()))
            })?
        }
    };
    if adapters.is_empty() {
        return Err(Error::Device(
            "no GPU was found (is a Vulkan, Metal or DX12 driver installed? `--engine cpu` needs none)".to_owned(),
        ));
    }
    if index >= adapters.len() {
        return Err(Error::Device(format!("there is no adapter {index}; `secateur devices` lists {}", adapters.len())));
    }
    let adapter = adapters.swap_remove(index);
    let mut features = wgpu::Features::TIMESTAMP_QUERY;
    if matches!(adapter.get_info().device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu) {
        features |= wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
    }
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("secateur"),
        required_features: adapter.features() & features,
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    }))
    .map_err(|e| Error::Device(format!("{} gives no device: {e} (try --engine cpu)", adapter.get_info().name)))
}
