//! A service with a GPU device of its own and a model's weights resident on it, which answers from several threads: the
//! moments of a layer, another sparsity, the weights as they were.
//!
//!     cargo run --release --example service -- examples/data/cnn.safetensors --seconds 5
//!
//! Requests come at a steady rate, into a queue that is bounded; those that find it full are turned away. At the end: how long
//! answers took, from the moment a request was made. Every answer is compared with what it has to be.
#![expect(clippy::print_stdout, reason = "an example that is run from a terminal")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use secateur::gpu::{Gpu, MomentsPass, Overlay, PrunePass, Rule, TensorMoments, Variant, Weights, wgpu};
use secateur::prune::Keep;
use secateur::stats::Grouping;
use secateur::{Checkpoint, Error, Result};

/// The sparsities on offer.
const RATES: [f64; 3] = [0.3, 0.6, 0.9];
const THREADS: usize = 4;
/// Requests that wait, at most.
const QUEUE: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Request {
    Stats(usize),
    Sparsity(usize),
    Restore,
}

struct Service {
    gpu: Gpu,
    /// One pass a layer, made once.
    layers: Vec<MomentsPass>,
    /// The sparsities, out of one copy of the weights.
    overlay: Overlay,
    variants: Vec<Variant>,
    /// The moments of each layer, of the dense model and of each variant.
    expected: Vec<Vec<TensorMoments>>,
}

impl Service {
    /// Puts the floating tensors of `model` on a device, as a service has them there anyway.
    fn new(model: &Checkpoint) -> Result<Self> {
        let (device, queue) = pollster::block_on(device())?;
        let gpu = Gpu::from_wgpu(device, queue)?;
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for tensor in model.tensors().iter().filter(|t| t.float().is_some_and(Gpu::computes)) {
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            let start = bytes.len();
            bytes.resize(start + tensor.bytes() as usize, 0);
            model.read_exact_at(tensor, 0, &mut bytes[start..])?;
            places.push((tensor, start as u64));
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        use wgpu::util::{BufferInitDescriptor, DeviceExt};
        let buffer = gpu.device().create_buffer_init(&BufferInitDescriptor {
            label: Some("the model"),
            contents: &bytes,
            usage: wgpu::BufferUsages::STORAGE,
        });
        let weights = places.iter().filter_map(|(tensor, start)| {
            tensor.float().map(|float| Weights::new(&buffer, *start, float, tensor.shape()))
        });
        let weights: Vec<Weights> = weights.collect::<Result<_>>()?;
        let layers = weights.iter().map(|w| MomentsPass::new(&gpu, std::slice::from_ref(w), Grouping::Tensor));
        let layers: Vec<MomentsPass> = layers.collect::<Result<_>>()?;

        // Masks of every sparsity, made on the device; cut values will be kept beside them.
        let matrices: Vec<Weights> = weights.into_iter().filter(|w| w.shape().len() > 1).collect();
        let prune = PrunePass::new(&gpu, &matrices, Rule::Global, Keep::Largest)?;
        let mut overlay = Overlay::new(&gpu, &matrices)?;
        let mut variants = Vec::new();
        for rate in RATES {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            prune.encode_masks(&mut encoder, &prune.amounts(rate))?;
            gpu.queue().submit([encoder.finish()]);
            variants.push(pollster::block_on(overlay.add(prune.masks()))?);
        }
        let mut service = Self { gpu, layers, overlay, variants, expected: Vec::new() };
        for variant in [None].into_iter().chain(service.variants.clone().into_iter().map(Some)) {
            service.switch(variant)?;
            let of_layer = |layer| service.stats(layer).map(|(_, found)| found);
            service.expected.push((0..service.layers.len()).map(of_layer).collect::<Result<_>>()?);
        }
        service.switch(None)?;
        Ok(service)
    }

    /// Switches, and comes back when the device has.
    fn switch(&self, variant: Option<Variant>) -> Result<()> {
        let (sender, done) = sync_channel(1);
        let mut encoder = self.encoder();
        self.overlay.encode(&mut encoder, variant)?;
        encoder.on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        self.gpu.queue().submit([encoder.finish()]);
        while done.try_recv().is_err() {
            let wait = wgpu::PollType::Wait { submission_index: None, timeout: None };
            self.gpu.device().poll(wait).map_err(|e| Error::Device(e.to_string()))?;
        }
        Ok(())
    }

    /// The moments of a layer, and which variant was on: its index, 0 for none.
    fn stats(&self, layer: usize) -> Result<(usize, TensorMoments)> {
        // In one encoder: nothing comes between them.
        let mut encoder = self.encoder();
        let on = self.overlay.read(&mut encoder)?;
        self.layers[layer].encode(&mut encoder);
        let found = self.layers[layer].read(&mut encoder)?;
        self.gpu.queue().submit([encoder.finish()]);
        // Futures: an executor would go on with other things.
        let (on, found) = (pollster::block_on(on)?, pollster::block_on(found)?.remove(0));
        Ok((on.and_then(|on| self.variants.iter().position(|v| *v == on)).map_or(0, |index| index + 1), found))
    }

    fn answer(&self, request: Request) -> Result<()> {
        match request {
            Request::Sparsity(index) => self.switch(Some(self.variants[index])),
            Request::Restore => self.switch(None),
            Request::Stats(layer) => {
                let (on, found) = self.stats(layer)?;
                assert_eq!(found, self.expected[on][layer], "layer {layer} with variant {on} on");
                Ok(())
            }
        }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}

/// A device as a program makes it for itself.
async fn device() -> Result<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let adapter = instance.request_adapter(&options).await.map_err(|e| Error::Device(e.to_string()))?;
    println!("on {}", adapter.get_info().name);
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    adapter.request_device(&descriptor).await.map_err(|e| Error::Device(e.to_string()))
}

/// Answers what comes, and notes how long each took.
fn serve(service: &Service, requests: &Mutex<Receiver<(Request, Instant)>>) -> Result<Vec<(Request, Duration)>> {
    let mut took = Vec::new();
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((request, made)) = next else { return Ok(took) };
        service.answer(request)?;
        took.push((request, made.elapsed()));
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut path, mut seconds, mut rate) = ("examples/data/cnn.safetensors".to_owned(), 5.0f64, 200.0f64);
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| {
            let value = arguments.next().and_then(|text| text.parse().ok());
            value.ok_or_else(|| Error::Usage(format!("{name} takes a number")))
        };
        match argument.as_str() {
            "--seconds" => seconds = number("--seconds")?,
            "--rate" => rate = number("--rate")?,
            _ => path = argument,
        }
    }
    let service = Service::new(&Checkpoint::open(path)?)?;
    println!("{} layers, {} sparsities; {rate} requests a second for {seconds} s", service.layers.len(), RATES.len());
    let (sender, receiver) = sync_channel(QUEUE);
    let requests = Mutex::new(receiver);
    let made = service.gpu.buffers_made();
    let mut turned_away = 0;
    let took = thread::scope(|scope| -> Result<Vec<(Request, Duration)>> {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| serve(&service, &requests))).collect();
        let start = Instant::now();
        for i in 0..(seconds * rate) as usize {
            let due = start + Duration::from_secs_f64(i as f64 / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let request = match i % 20 {
                0 => Request::Sparsity(i / 20 % RATES.len()),
                10 if i / 20 % 2 == 1 => Request::Restore,
                _ => Request::Stats(i * 7 % service.layers.len()),
            };
            match sender.try_send((request, due)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => turned_away += 1,
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        drop(sender);
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })?;
    let mut kinds: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for (request, latency) in took {
        let kind = match request {
            Request::Stats(_) => "stats",
            Request::Sparsity(_) => "sparsity",
            Request::Restore => "restore",
        };
        kinds.entry(kind).or_default().push(latency);
    }
    println!(
        "{:<10} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "request", "answered", "p50 ms", "p90 ms", "p99 ms", "most ms"
    );
    for (kind, latencies) in &mut kinds {
        latencies.sort_unstable();
        let at = |q: f64| latencies[((latencies.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1e3;
        let [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1.0].map(at);
        println!("{kind:<10} {:>8} {p50:>10.2} {p90:>10.2} {p99:>10.2} {most:>10.2}", latencies.len());
    }
    println!(
        "turned away: {turned_away}; every answer was right; GPU buffers made meanwhile: {}",
        service.gpu.buffers_made() - made
    );
    Ok(())
}
