//! A device, its queue, and the kernels compiled for it: what every pass is made with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::kernel::Kernel;
use super::pending::{Pending, Poller};
use super::pool::Pool;
use super::{AdapterChoice, device};
use crate::{Error, Float, Result};

/// A wgpu device that kernels run on: this crate's own ([`new`](Self::new)), or one that a program has already
/// ([`from_wgpu`](Self::from_wgpu)). Clones are handles to the same one.
///
/// Nothing about the host's device is changed: its error handler, its callbacks and its state stay as they are. What goes
/// wrong comes back as [`Error::Device`]. Where a call of this crate submits commands, callbacks of the host that wgpu runs meanwhile run
/// inside its error scopes.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    kernels: Mutex<HashMap<KernelKey, Arc<Kernel>>>,
    buffers_made: AtomicU64,
    uploads: Pool,
    readbacks: Pool,
    poller: Poller,
}

/// A kernel's stem and the values of its override constants.
type KernelKey = (&'static str, Vec<(&'static str, u32)>);

/// What the kernels need of a device: no more than WebGPU promises everywhere.
const THREADS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16 << 10;
const STORAGE_BUFFERS: u32 = 8;
const BINDING_BYTES: u64 = 512 << 10;

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("device", &self.inner.device).field("buffers_made", &self.buffers_made()).finish()
    }
}

/// A handle that does not keep the device.
#[derive(Clone)]
pub(crate) struct WeakGpu(Weak<Inner>);

impl WeakGpu {
    /// The handle that it is of, if there still is one.
    pub(crate) fn upgrade(&self) -> Option<Gpu> {
        self.0.upgrade().map(|inner| Gpu { inner })
    }
}

impl Gpu {
    /// A handle that does not keep the device.
    pub(crate) fn downgrade(&self) -> WeakGpu {
        WeakGpu(Arc::downgrade(&self.inner))
    }

    /// A device of its own: on the best hardware GPU, or where there is none, on a software adapter.
    ///
    /// # Errors
    /// Where there is no adapter, or it gives no device.
    pub fn new() -> Result<Self> {
        Self::open(&AdapterChoice::Default)
    }

    /// A device of its own on the chosen adapter, with all its limits.
    ///
    /// # Errors
    /// Where there is no such adapter, or it gives no device.
    pub fn open(choice: &AdapterChoice) -> Result<Self> {
        let (device, queue) = device::open(choice)?;
        Self::from_wgpu(device, queue)
    }

    /// The host's own device and queue. Limits and features are what the device was made with; none is assumed.
    ///
    /// # Errors
    /// A device whose limits the kernels do not fit: they need 256 threads and 16 KiB of memory a workgroup, 8
    /// storage buffers, and 512 KiB of a buffer at once, which WebGPU's default limits allow.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let limits = device.limits();
        let needs = [
            ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup, THREADS),
            ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, THREADS),
            ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size, WORKGROUP_BYTES),
            ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
        ];
        let needs = needs.map(|(name, has, needed)| (name, u64::from(has), u64::from(needed))).into_iter().chain([
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size, BINDING_BYTES),
            ("max_buffer_size", limits.max_buffer_size, BINDING_BYTES),
        ]);
        if let Some((name, has, needed)) = needs.into_iter().find(|(_, has, needed)| has < needed) {
            return Err(Error::Device(format!(
                "the device's limit {name} is {has}, and the kernels need {needed}: request it when the device is made"
            )));
        }
        let inner = Inner {
            device,
            queue,
            limits,
            kernels: Mutex::default(),
            buffers_made: AtomicU64::new(0),
            uploads: Pool::new(wgpu::MapMode::Write),
            readbacks: Pool::new(wgpu::MapMode::Read),
            poller: Poller::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// Its queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The limits that the device was made with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.inner.limits
    }

    /// How many GPU buffers this handle and its clones have made so far. In steady state, passes that are made and have been run
    /// as often at once as they will be, it does not grow.
    pub fn buffers_made(&self) -> u64 {
        self.inner.buffers_made.load(Ordering::Relaxed)
    }

    /// Whether weights of this format are computed here; WGSL has no f64.
    pub const fn computes(float: Float) -> bool {
        !matches!(float, Float::F64)
    }

    /// The largest part of a buffer that a kernel sees at once, in bytes: whole vectors of 16.
    pub(crate) fn binding_bytes(&self) -> u64 {
        self.limits().max_storage_buffer_binding_size.min(self.limits().max_buffer_size) & !15
    }

    /// What the start of a bound part of a buffer is a multiple of.
    pub(crate) fn alignment(&self) -> u64 {
        u64::from(self.limits().min_storage_buffer_offset_alignment).max(16)
    }

    /// The kernel `stem` with these override constants, compiled on first use.
    pub(crate) fn kernel(
        &self,
        stem: &'static str,
        source: &str,
        constants: &[(&'static str, u32)],
    ) -> Result<Arc<Kernel>> {
        let mut kernels = self.inner.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stem, constants.to_vec());
        if let Some(kernel) = kernels.get(&key) {
            return Ok(Arc::clone(kernel));
        }
        let constants: Vec<_> = constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
        let kernel = self.scoped(stem, || Kernel::new(self.device(), stem, source, &constants))?;
        let kernel = Arc::new(kernel);
        kernels.insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    /// Does `work`, and turns what the device says against it into an error that names `what`. The host's own handlers
    /// hear nothing of it.
    pub(crate) fn scoped<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [Internal, Validation, OutOfMemory].map(|filter| self.device().push_error_scope(filter));
        let done = work();
        // The last one pushed is the first to go; none is left behind.
        let errors: Vec<_> = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).collect();
        match errors.into_iter().next() {
            None => Ok(done),
            Some(wgpu::Error::OutOfMemory { .. }) => {
                Err(Error::Device(format!("{what}: the GPU is out of memory (free some, or do less at once)")))
            }
            Some(error) => Err(Error::Device(format!("{what}: {}", error.to_string().trim()))),
        }
    }

    /// A new buffer.
    pub(crate) fn buffer(&self, what: &'static str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.make(what, bytes, usage, false)
    }

    /// A new buffer that holds `contents`, written without the queue.
    pub(crate) fn filled(
        &self,
        what: &'static str,
        contents: &[u8],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let buffer = self.make(what, contents.len() as u64, usage, true)?;
        self.scoped(what, || {
            if let Ok(mut view) = buffer.get_mapped_range_mut(..) {
                view.slice(..contents.len()).copy_from_slice(contents);
            }
            buffer.unmap();
        })?;
        Ok(buffer)
    }

    /// A new buffer, mapped for writing if asked.
    pub(crate) fn make(
        &self,
        what: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<wgpu::Buffer> {
        let size = bytes.max(4).next_multiple_of(4);
        if size > self.limits().max_buffer_size {
            return Err(Error::Device(format!(
                "{what} takes {size} bytes, and the device's largest buffer has {} (do less at once)",
                self.limits().max_buffer_size
            )));
        }
        self.inner.buffers_made.fetch_add(1, Ordering::Relaxed);
        let label = Some(what);
        let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation };
        self.scoped(what, || self.device().create_buffer(&descriptor))
    }

    /// An empty list of commands.
    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("secateur") })
    }

    /// Records commands and submits them; what the device says against any of it is an error.
    pub(crate) fn submit<T>(
        &self,
        what: &str,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>,
    ) -> Result<(T, wgpu::SubmissionIndex)> {
        self.scoped(what, || {
            let mut encoder = self.encoder();
            let recorded = record(&mut encoder)?;
            Ok((recorded, self.queue().submit([encoder.finish()])))
        })?
    }

    /// The same for commands that a result comes of.
    pub(crate) fn run<T>(
        &self,
        what: &str,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<Pending<T>>,
    ) -> Result<Pending<T>> {
        let (found, submission) = self.submit(what, record)?;
        Ok(found.submitted(submission))
    }

    /// Buffers through which small things are sent to the device.
    pub(crate) fn uploads(&self) -> &Pool {
        &self.inner.uploads
    }

    /// Buffers through which results come back.
    pub(crate) fn readbacks(&self) -> &Pool {
        &self.inner.readbacks
    }

    /// What drives the futures of this device.
    pub(crate) fn poller(&self) -> &Poller {
        &self.inner.poller
    }
}

/// The override constant that `shaders/shared/decode.wgsl` knows a format by.
pub(crate) fn format_constant(float: Float) -> (&'static str, u32) {
    let format = match float {
        Float::F32 | Float::F64 => 1,
        Float::F16 => 2,
        Float::BF16 => 3,
        Float::E4M3 => 4,
        Float::E5M2 => 5,
    };
    ("FORMAT", format)
}
