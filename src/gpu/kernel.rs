//! From a shader's source to a pipeline, and dispatches of it.

use std::sync::Arc;

use super::Gpu;
use crate::{Error, Result};

/// A compute pipeline of one entry point, `main`.
pub(crate) struct Kernel {
    pipeline: wgpu::ComputePipeline,
    label: &'static str,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label)
    }
}

impl Kernel {
    /// Compiles `source` with its override constants set. Runtime checks stay on: bounds are right by construction,
    /// and a mistake must not read another program's memory.
    pub(crate) fn new(device: &wgpu::Device, label: &'static str, source: &str, constants: &[(&str, f64)]) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every kernel writes its shared memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self { pipeline, label }
    }

    /// Records one dispatch of `workgroups` over `buffers`, if there is anything to do.
    pub(crate) fn record(
        self: &Arc<Self>,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &[wgpu::BufferBinding],
        workgroups: u32,
    ) -> Result<()> {
        if workgroups > 0 {
            record(encoder, self.label, [&self.prepare(gpu, buffers, workgroups)?]);
        }
        Ok(())
    }

    /// A dispatch of `workgroups` over `buffers`, bound in order, that can be recorded any number of times. The kernel
    /// learns how much there is to do from the size of its worklist's binding.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        gpu: &Gpu,
        buffers: &[wgpu::BufferBinding],
        workgroups: u32,
    ) -> Result<Dispatch> {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        let group = gpu.scoped(self.label, || {
            gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(self.label),
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &entries,
            })
        })?;
        // A grid of two dimensions, where one would be too long.
        let most = gpu.limits().max_compute_workgroups_per_dimension;
        let across = workgroups.min(most).max(1);
        let grid = [across, workgroups.div_ceil(across)];
        if grid[1] > most {
            return Err(Error::Device(format!(
                "{}: {workgroups} workgroups, and the device's limit max_compute_workgroups_per_dimension is {most}",
                self.label
            )));
        }
        Ok(Dispatch { kernel: Arc::clone(self), group, grid })
    }
}

/// A kernel, what it works on, and how many workgroups do.
#[derive(Debug)]
pub(crate) struct Dispatch {
    kernel: Arc<Kernel>,
    group: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Dispatch {
    /// Records it. What earlier dispatches of the pass have written is seen.
    pub(crate) fn record(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}

/// Records dispatches, one after the other, in one pass of `encoder`.
pub(crate) fn record<'a>(
    encoder: &mut wgpu::CommandEncoder,
    label: &'static str,
    dispatches: impl IntoIterator<Item = &'a Dispatch>,
) {
    let mut pass =
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
    dispatches.into_iter().for_each(|dispatch| dispatch.record(&mut pass));
}
