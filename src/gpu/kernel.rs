//! From a shader's source to a pipeline, and a dispatch of it into an encoder.

/// A compute pipeline of one entry point, `main`.
pub(crate) struct Kernel {
    pipeline: wgpu::ComputePipeline,
    label: &'static str,
}

/// The most workgroups of one dimension of a dispatch, everywhere.
const MAX_GRID: u32 = 65_535;

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

    /// Records a dispatch of `workgroups` over `buffers`, bound in order. The kernel learns how much there is to do from
    /// the size of its worklist's binding.
    pub(crate) fn record(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &[wgpu::BufferBinding],
        workgroups: u32,
    ) {
        if workgroups == 0 {
            return;
        }
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.label),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(self.label), timestamp_writes: None });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        let across = workgroups.min(MAX_GRID);
        pass.dispatch_workgroups(across, workgroups.div_ceil(across), 1);
    }
}
