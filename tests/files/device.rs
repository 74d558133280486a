//! A program that has a GPU device and buffers of its own, and has never heard of this crate's engine.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::{Arc, Mutex};

use secateur::Float;
use secateur::gpu::{Gpu, Weights, wgpu};
use wgpu::util::DeviceExt;

use crate::models::Made;

pub(crate) struct Host {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) gpu: Gpu,
    /// Errors that reached the host's own handler.
    pub(crate) uncaptured: Arc<Mutex<Vec<String>>>,
}

/// A device with the default limits of WebGPU but for what `change` changes; or says that there is none.
pub(crate) fn host_with(change: impl Fn(&mut wgpu::Limits)) -> Option<Host> {
    let (device, queue) = device_with(change)?;
    let uncaptured = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&uncaptured);
    device.on_uncaptured_error(Arc::new(move |error| {
        heard.lock().expect("no panic").push(error.to_string());
    }));
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone()).expect("limits that fit");
    Some(Host { device, queue, gpu, uncaptured })
}

pub(crate) fn host() -> Option<Host> {
    host_with(|_| ())
}

pub(crate) fn device_with(change: impl Fn(&mut wgpu::Limits)) -> Option<(wgpu::Device, wgpu::Queue)> {
    use std::io::Write;

    let backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let Some(adapter) = pollster::block_on(instance.enumerate_adapters(backends)).into_iter().next() else {
        assert!(
            std::env::var_os("SECATEUR_REQUIRE_GPU").is_none(),
            "SECATEUR_REQUIRE_GPU is set, but there is no adapter"
        );
        writeln!(std::io::stderr(), "skipped: no adapter (SECATEUR_REQUIRE_GPU=1 makes this a failure)")
            .expect("stderr");
        return None;
    };
    let mut limits = wgpu::Limits::default();
    change(&mut limits);
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    Some(pollster::block_on(adapter.request_device(&descriptor)).expect("a device"))
}

impl Host {
    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    pub(crate) fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    pub(crate) fn buffer(&self, contents: &[u8]) -> wgpu::Buffer {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage })
    }

    /// The tensors in one buffer, each at the next multiple of `alignment` after a gap of ones.
    pub(crate) fn resident(&self, tensors: &[Made], alignment: usize) -> Vec<Weights> {
        let (mut bytes, mut starts) = (vec![0xffu8; 48], Vec::new());
        for tensor in tensors {
            bytes.resize(bytes.len().next_multiple_of(alignment), 0xff);
            starts.push(bytes.len() as u64);
            bytes.extend_from_slice(&tensor.bytes);
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0xff);
        let buffer = self.buffer(&bytes);
        let weights = |(tensor, start): (&Made, u64)| {
            let float = Float::from_dtype(tensor.dtype).expect("a float");
            Weights::new(&buffer, start, float, &tensor.shape).expect("they lie in it")
        };
        tensors.iter().zip(starts).map(weights).collect()
    }

    /// What a buffer holds.
    pub(crate) fn contents(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::MAP_READ | Usage::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
        let copy = self.device.create_buffer(&descriptor);
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, buffer.size());
        self.submit(encoder);
        copy.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("mapped"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        copy.get_mapped_range(..).expect("mapped").to_vec()
    }

    /// The bytes of some weights.
    pub(crate) fn bytes(&self, weights: &Weights) -> Vec<u8> {
        self.contents(weights.buffer())[weights.offset() as usize..][..weights.bytes() as usize].to_vec()
    }

    /// Whatever went wrong, it was told to whoever called, and not to the host's handler.
    pub(crate) fn heard_nothing(&self) {
        assert_eq!(*self.uncaptured.lock().expect("no panic"), [""; 0]);
    }
}
