//! Results that are on their way from the device.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Gpu;
use crate::{Error, Result};

/// A result that the device is still working on: a future, and for programs without an executor, [`wait`](Self::wait).
///
/// Nothing blocks before that. Where nobody else polls the device, a thread of this crate does so for as long as futures
/// are awaited. A result that was recorded into the host's own encoder is there once that has been submitted and has run:
/// to wait for it before submitting would wait for ever. Dropping it is fine at any time.
#[must_use = "a result does nothing unless it is awaited or waited for"]
pub struct Pending<T> {
    gpu: Gpu,
    buffer: Option<wgpu::Buffer>,
    bytes: u64,
    state: Arc<State>,
    decode: Option<Decode<T>>,
    submission: Option<wgpu::SubmissionIndex>,
}

type Decode<T> = Box<dyn FnOnce(&[u8]) -> Result<T> + Send>;

#[derive(Default)]
struct State {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    mapped: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<T> Pending<T> {
    /// Records into `encoder` the copy of the first `bytes` of `results`, which `decode` understands.
    pub(crate) fn record(
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        results: &wgpu::Buffer,
        bytes: u64,
        decode: impl FnOnce(&[u8]) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let copied = bytes.next_multiple_of(4);
        let buffer = gpu.readbacks().take(gpu, copied)?;
        if copied > 0 {
            encoder.copy_buffer_to_buffer(results, 0, &buffer, 0, copied);
        }
        let state = Arc::new(State::default());
        let of_callback = Arc::clone(&state);
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., move |mapped| of_callback.done(mapped));
        Ok(Self {
            gpu: gpu.clone(),
            buffer: Some(buffer),
            bytes,
            state,
            decode: Some(Box::new(decode)),
            submission: None,
        })
    }

    /// The same, whose commands are on their way: as this submission.
    pub(crate) fn submitted(mut self, submission: wgpu::SubmissionIndex) -> Self {
        self.submission = Some(submission);
        self
    }

    /// Blocks until the result is there.
    ///
    /// # Errors
    /// A device that was lost or ran out of memory.
    pub fn wait(mut self) -> Result<T> {
        loop {
            let mapped = self.state.lock().mapped.take();
            if let Some(mapped) = mapped {
                return self.finish(mapped);
            }
            let submission_index = self.submission.clone();
            let polled = self.gpu.scoped("waiting for the device", || {
                self.gpu.device().poll(wgpu::PollType::Wait { submission_index, timeout: None })
            })?;
            if let Err(e) = polled {
                return Err(Error::Device(format!("waiting for the device: {e}")));
            }
            // The callback may be running in another thread's poll, or the commands are not submitted yet.
            let progress = self.state.lock();
            if progress.mapped.is_none() {
                let waited = self.state.changed.wait_timeout(progress, Duration::from_millis(1));
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn finish(&mut self, mapped: Result<(), wgpu::BufferAsyncError>) -> Result<T> {
        let (Some(buffer), Some(decode)) = (self.buffer.take(), self.decode.take()) else {
            return Err(Error::Device("a result was asked for twice".to_owned()));
        };
        mapped.map_err(|_| {
            Error::Device("a result could not be read: the device was lost, or it refused the commands".to_owned())
        })?;
        let bytes = self.bytes;
        let decoded = self.gpu.scoped("reading a result", || {
            let view = buffer
                .get_mapped_range(..bytes.max(8).next_multiple_of(8))
                .map_err(|e| Error::Device(format!("reading a result: {e:?}")))?;
            decode(&view[..bytes as usize])
        })?;
        self.gpu.scoped("reading a result", || buffer.unmap())?;
        self.gpu.readbacks().give(buffer);
        decoded
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mapped = {
            let mut progress = self.state.lock();
            let mapped = progress.mapped.take();
            if mapped.is_none() {
                progress.waker = Some(context.waker().clone());
            }
            mapped
        };
        match mapped {
            Some(mapped) => Poll::Ready(self.finish(mapped)),
            None => {
                self.gpu.poller().watch(&self.gpu, &self.state);
                Poll::Pending
            }
        }
    }
}

impl<T> Unpin for Pending<T> {}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, mapped: Result<(), wgpu::BufferAsyncError>) {
        let mut progress = self.lock();
        progress.mapped = Some(mapped);
        let waker = progress.waker.take();
        drop(progress);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Polls the device while somebody awaits a result: a thread that ends when nobody does.
#[derive(Default)]
pub(crate) struct Poller {
    /// What is awaited, while the thread runs.
    watched: Arc<Mutex<Option<Vec<Weak<State>>>>>,
}

/// How long the thread sleeps where there is nothing to wait for: what is awaited has not been submitted yet.
const IDLE: Duration = Duration::from_micros(200);

impl Poller {
    /// Sees to it that `state` changes when its result is there.
    fn watch(&self, gpu: &Gpu, state: &Arc<State>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *watched {
            Some(watched) => {
                if !watched.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(state))) {
                    watched.push(Arc::downgrade(state));
                }
            }
            None => {
                *watched = Some(vec![Arc::downgrade(state)]);
                let (gpu, watched) = (gpu.clone(), Arc::clone(&self.watched));
                let named = std::thread::Builder::new().name("secateur-poll".to_owned());
                // Without a thread, whoever polls the device drives the future.
                drop(named.spawn(move || run(&gpu, &watched)));
            }
        }
    }
}

fn run(gpu: &Gpu, watched: &Mutex<Option<Vec<Weak<State>>>>) {
    loop {
        {
            let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(states) = &mut *watched else { return };
            states.retain(|state| state.upgrade().is_some_and(|state| state.lock().waker.is_some()));
            if states.is_empty() {
                *watched = None;
                return;
            }
        }
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_millis(100)) };
        match gpu.scoped("polling", || gpu.device().poll(wait)) {
            Ok(Ok(status)) if !status.is_queue_empty() => {}
            // Nothing is on its way; or the device is lost, and callbacks say so.
            _ => std::thread::sleep(IDLE),
        }
    }
}
