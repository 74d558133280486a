//! Results that are on their way from the device.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::context::WeakGpu;
use super::{Gpu, pool};
use crate::{Error, Result};

/// A result that the device is still working on: a future, and for programs without an executor, [`wait`](Self::wait).
///
/// Nothing blocks before that. Where nobody else polls the device, a thread of this crate does so for as long as futures
/// are awaited. A result that was recorded into the host's own encoder is there once that has been submitted and has run;
/// if the encoder is dropped instead, or the device refuses its commands, the result is an error. Dropping it is fine at
/// any time.
#[must_use = "a result does nothing unless it is awaited or waited for"]
pub struct Pending<T> {
    gpu: Gpu,
    state: Arc<State>,
    bytes: u64,
    decode: Option<Decode<T>>,
    submission: Option<wgpu::SubmissionIndex>,
}

type Decode<T> = Box<dyn FnOnce(&[u8]) -> Result<T> + Send>;

/// What the device's callback and whoever waits share.
struct State {
    /// No strong handle: the device holds this until it has answered, and would hold itself.
    gpu: WeakGpu,
    /// Written by the same commands, behind the result: what is there from earlier commands has another one.
    mark: u64,
    progress: Mutex<Progress>,
    changed: Condvar,
}

struct Progress {
    outcome: Option<Outcome>,
    /// Where the result goes, until it is there.
    buffer: Option<wgpu::Buffer>,
    waker: Option<Waker>,
    /// Nobody wants it any more.
    abandoned: bool,
}

#[derive(Clone, Copy)]
enum Outcome {
    Mapped,
    Failed,
    /// The commands were dropped before they were submitted.
    Dropped,
}

static NEXT_MARK: AtomicU64 = AtomicU64::new(1);

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<T: Default + Send + 'static> Pending<T> {
    /// Something that is there, as `T`'s default, once the commands recorded so far are done.
    pub(crate) fn done(gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Result<Self> {
        Self::new(gpu, encoder, None, 0, |_| Ok(T::default()))
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
        Self::new(gpu, encoder, Some((results, 0)), bytes, decode)
    }

    /// The same from byte `start` on.
    pub(crate) fn record_from(
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        results: &wgpu::Buffer,
        start: u64,
        bytes: u64,
        decode: impl FnOnce(&[u8]) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        Self::new(gpu, encoder, Some((results, start)), bytes, decode)
    }

    fn new(
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        results: Option<(&wgpu::Buffer, u64)>,
        bytes: u64,
        decode: impl FnOnce(&[u8]) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let copied = bytes.next_multiple_of(4);
        let buffer = gpu.readbacks().take(gpu, copied.next_multiple_of(8) + 8)?;
        // No number that a result could be: they are small, and this is spread over 64 bits.
        let mark = NEXT_MARK.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Some((results, start)) = results.filter(|_| copied > 0) {
            encoder.copy_buffer_to_buffer(results, start, &buffer, 0, copied);
        }
        pool::send(gpu, encoder, &mark.to_le_bytes(), &buffer, copied.next_multiple_of(8))?;
        let progress = Progress { outcome: None, buffer: Some(buffer.clone()), waker: None, abandoned: false };
        let state =
            Arc::new(State { gpu: gpu.downgrade(), mark, progress: Mutex::new(progress), changed: Condvar::new() });
        let signal = Signal(Some(Arc::clone(&state)));
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., move |mapped| signal.done(mapped.is_ok()));
        Ok(Self { gpu: gpu.clone(), state, bytes, decode: Some(Box::new(decode)), submission: None })
    }

    /// The same, whose commands are on their way: as this submission.
    pub(crate) fn submitted(mut self, submission: wgpu::SubmissionIndex) -> Self {
        self.submission = Some(submission);
        self
    }

    /// Blocks until the result is there: for ever where the encoder that it was recorded into is neither submitted nor dropped.
    ///
    /// # Errors
    /// A device that was lost, ran out of memory or refused the commands; an encoder that was dropped.
    pub fn wait(mut self) -> Result<T> {
        loop {
            let outcome = self.state.lock().outcome;
            if let Some(outcome) = outcome {
                return self.finish(outcome);
            }
            let submission_index = self.submission.clone();
            // Callbacks of the host run in here: their errors are the host's.
            let wait = wgpu::PollType::Wait { submission_index, timeout: None };
            self.gpu.device().poll(wait).map_err(|e| Error::Device(format!("waiting for the device: {e}")))?;
            // The callback may be running in another thread's poll, or the commands are not submitted yet.
            let progress = self.state.lock();
            if progress.outcome.is_none() {
                let waited = self.state.changed.wait_timeout(progress, Duration::from_millis(1));
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Result<T> {
        let buffer = self.state.lock().buffer.take();
        let (Some(buffer), Some(decode)) = (buffer, self.decode.take()) else {
            return Err(Error::Device("a result was asked for twice".to_owned()));
        };
        match outcome {
            Outcome::Mapped => {}
            Outcome::Failed => {
                return Err(Error::Device("a result could not be read: the device was lost".to_owned()));
            }
            Outcome::Dropped => {
                self.gpu.readbacks().give(buffer);
                let why = "a result will never be there: its commands were dropped before they were submitted";
                return Err(Error::Device(why.to_owned()));
            }
        }
        let gpu = self.gpu.clone();
        let (bytes, mark_at) = (self.bytes as usize, self.bytes.next_multiple_of(4).next_multiple_of(8));
        let mark = self.state.mark.to_le_bytes();
        let decoded = gpu.scoped("reading a result", || {
            let view = buffer
                .get_mapped_range(..mark_at + 8)
                .map_err(|e| Error::Device(format!("reading a result: {e:?}")))?;
            if view[mark_at as usize..] != mark {
                return Err(Error::Device("a result is not there: the device refused its commands".to_owned()));
            }
            decode(&view[..bytes])
        })?;
        gpu.scoped("reading a result", || buffer.unmap())?;
        gpu.readbacks().give(buffer);
        decoded
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let outcome = {
            let mut progress = self.state.lock();
            if progress.outcome.is_none() {
                progress.waker = Some(context.waker().clone());
            }
            progress.outcome
        };
        match outcome {
            Some(outcome) => Poll::Ready(self.finish(outcome)),
            None => {
                self.gpu.poller().watch(&self.gpu, &self.state);
                Poll::Pending
            }
        }
    }
}

impl<T> Unpin for Pending<T> {}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        let mut progress = self.state.lock();
        progress.abandoned = true;
        progress.waker = None;
        let given_back = progress.outcome.and_then(|outcome| Some((outcome, progress.buffer.take()?)));
        drop(progress);
        if let Some((outcome, buffer)) = given_back {
            give_back(&self.gpu, outcome, buffer);
        }
    }
}

/// A buffer whose result nobody wants.
fn give_back(gpu: &Gpu, outcome: Outcome, buffer: wgpu::Buffer) {
    match outcome {
        Outcome::Mapped => {
            buffer.unmap();
            gpu.readbacks().give(buffer);
        }
        Outcome::Dropped => gpu.readbacks().give(buffer),
        Outcome::Failed => {}
    }
}

/// The device's end: what is not called is told when it is dropped.
struct Signal(Option<Arc<State>>);

impl Signal {
    fn done(mut self, mapped: bool) {
        if let Some(state) = self.0.take() {
            state.done(if mapped { Outcome::Mapped } else { Outcome::Failed });
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            state.done(Outcome::Dropped);
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, outcome: Outcome) {
        let mut progress = self.lock();
        progress.outcome = Some(outcome);
        let waker = progress.waker.take();
        let abandoned = if progress.abandoned { progress.buffer.take() } else { None };
        drop(progress);
        self.changed.notify_all();
        if let (Some(buffer), Some(gpu)) = (abandoned, self.gpu.upgrade()) {
            give_back(&gpu, outcome, buffer);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Polls the device while somebody awaits a result: a thread that ends when nobody does.
#[derive(Default)]
pub(crate) struct Poller {
    /// What is awaited, while the thread runs.
    watched: Watched,
}

type Watched = Arc<Mutex<Option<Vec<Weak<State>>>>>;

/// How long the thread sleeps between looks. It never waits inside wgpu, which would hold up the host's own calls.
const PAUSE: Duration = Duration::from_micros(100);
/// Looks without anything awaited, after which it ends.
const IDLE_LOOKS: u32 = 100;

impl Poller {
    /// Sees to it that `state` changes when its result is there.
    fn watch(&self, gpu: &Gpu, state: &Arc<State>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = &mut *watched {
            if !watched.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(state))) {
                watched.push(Arc::downgrade(state));
            }
            return;
        }
        *watched = Some(vec![Arc::downgrade(state)]);
        let (device, list) = (gpu.device().clone(), Arc::clone(&self.watched));
        let named = std::thread::Builder::new().name("secateur-poll".to_owned());
        if named.spawn(move || run(&device, list)).is_err() {
            // Whoever polls the device drives the future; the next one tries again.
            *watched = None;
        }
    }
}

/// Forgets what is watched when the thread ends, however it does: the next future starts another.
struct Ends(Watched);

impl Drop for Ends {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn run(device: &wgpu::Device, watched: Watched) {
    let watched = Ends(watched);
    let mut idle = 0;
    loop {
        {
            let mut watched = watched.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(states) = &mut *watched else { return };
            states.retain(|state| state.upgrade().is_some_and(|state| state.lock().waker.is_some()));
            idle = if states.is_empty() { idle + 1 } else { 0 };
            if idle > IDLE_LOOKS {
                // Under the lock, so that nobody relies on it any more.
                *watched = None;
                return;
            }
        }
        // A device that is lost fails the callbacks.
        let _ = device.poll(wgpu::PollType::Poll);
        std::thread::sleep(PAUSE);
    }
}
