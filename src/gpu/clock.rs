//! How long commands take on the device, by its own clock.

use super::{Gpu, Pending};
use crate::Result;

/// What commands take on the device.
pub(crate) struct Clock {
    pub(crate) gpu: Gpu,
    /// Where its own clock is written to, and nanoseconds of a tick.
    queries: Option<(wgpu::QuerySet, wgpu::Buffer, f64)>,
}

impl Clock {
    pub(crate) fn new(gpu: &Gpu) -> Result<Self> {
        let mut queries = None;
        if gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let set = gpu.scoped("a clock", || {
                gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("clock"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                })
            })?;
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            queries = Some((set, gpu.buffer("times", 16, usage)?, f64::from(gpu.queue().get_timestamp_period())));
        }
        Ok(Self { gpu: gpu.clone(), queries })
    }

    /// What runs `record`ed commands once, and waits: how long they took by the device's own clock, where it has one.
    pub(crate) fn timed<'a>(
        &'a self,
        mut record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()> + 'a,
    ) -> impl FnMut() -> Result<Option<f64>> + 'a {
        move || {
            let found = self.gpu.run("a case", |encoder| {
                self.mark(encoder, 0);
                record(encoder)?;
                self.mark(encoder, 1);
                let Some((set, times, nanoseconds)) = &self.queries else {
                    return Pending::done(&self.gpu, encoder);
                };
                encoder.resolve_query_set(set, 0..2, times, 0);
                let nanoseconds = *nanoseconds;
                Pending::record(&self.gpu, encoder, times, 16, move |bytes| {
                    let [from, to]: [u64; 2] = bytemuck::pod_read_unaligned(bytes);
                    Ok(Some(to.saturating_sub(from) as f64 * nanoseconds / 1e9))
                })
            })?;
            found.wait()
        }
    }

    /// A pass that does nothing but note the time: when all before it is done, and nothing after it has begun.
    fn mark(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        if let Some((query_set, ..)) = &self.queries {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(index),
                end_of_pass_write_index: None,
            });
            drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("clock"), timestamp_writes }));
        }
    }
}
