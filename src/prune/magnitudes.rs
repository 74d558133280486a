//! Tables of the digits of magnitudes: of tensors that stream from their files, or of bytes in memory.

use rayon::prelude::*;

use super::rank::{Cut, Ranking};
use crate::cpu::CpuEngine;
use crate::kernels::magnitude_histogram::{VALUES, count_magnitudes};
use crate::order::for_each_bits;
use crate::scan::{Buffer, Compute, Counts, DIGIT_VALUES, Digits, File, Piece, Request, Source};
use crate::stats::Grouping;
use crate::stats::layout::Layout;
use crate::{Engine, Float, Result, Tensor};

/// Elements up to which a tensor is ranked without a table.
const FEW: usize = 1 << 14;
/// Bytes that are worth a thread of their own.
const SHARE_BYTES: usize = 1 << 20;
/// Elements from which on a GPU counts what is in memory.
const MANY: usize = 1 << 20;

/// Bits and largest key of a format's magnitudes: those of NaN lie beyond it.
fn space(float: Float) -> (u32, u64) {
    (float.bits(), float.largest_magnitude())
}

/// The `k`-th smallest magnitude (k from 1 on) of little-endian `weights`, NaN left out: exact, without a sort; `None` where
/// there are fewer.
///
/// ```
/// use secateur::{Engine, Float, prune::kth_magnitude};
///
/// let weights: Vec<u8> = [3.0f32, -1.0, f32::NAN, 0.5].iter().flat_map(|w| w.to_le_bytes()).collect();
/// let engine = Engine::cpu(None)?;
/// assert_eq!(kth_magnitude(&engine, Float::F32, &weights, 2)?, Some(1.0));
/// assert_eq!(kth_magnitude(&engine, Float::F32, &weights, 4)?, None);
/// # Ok::<(), secateur::Error>(())
/// ```
///
/// # Errors
/// Where the GPU fails.
pub fn kth_magnitude(engine: &Engine, float: Float, weights: &[u8], k: u64) -> Result<Option<f64>> {
    let whole = &weights[..weights.len() / float.bytes() * float.bytes()];
    let cut = cut_of_memory(engine, float, whole, k, false, KTH_MEMORY_BYTES)?;
    Ok(cut.filter(|cut| cut.ties + cut.outside == k).map(|cut| float.value(cut.key)))
}

/// What the weights are sent through to a GPU.
const KTH_MEMORY_BYTES: u64 = 256 << 20;

/// What is cut where the `k` lowest (or, `above`, highest) magnitudes of `bytes` are.
pub(super) fn cut_of_memory(
    engine: &Engine,
    float: Float,
    bytes: &[u8],
    k: u64,
    above: bool,
    memory_bytes: u64,
) -> Result<Option<Cut>> {
    let elements = bytes.len() / float.bytes();
    if elements <= FEW {
        return Ok(cut_of_few(float, bytes, k, above));
    }
    let (bits, largest) = space(float);
    let compute = engine.compute(float);
    let cpu = engine.cpu_engine();
    if elements >= MANY && engine.is_gpu_for(float) {
        let held = Held { bytes, width: float.bytes() };
        let tensor = Piece { tensor: 0, float, layout: whole(elements as u64), region: whole(elements as u64).all() };
        return Ranking::new(bits, largest, |level, prefix| {
            let mut pieces = pieces(tensor);
            scan(compute, &held, &mut pieces, float, level, prefix, false, memory_bytes)
        })?
        .cut(k, above);
    }
    if let Some(cut) = super::bracket::cut(cpu, float, bytes, k, above) {
        return Ok(cut);
    }
    Ranking::new(bits, largest, |level, prefix| Ok(count(cpu, float, bytes, level, prefix)))?.cut(k, above)
}

/// By a sort of a copy.
fn cut_of_few(float: Float, bytes: &[u8], k: u64, above: bool) -> Option<Cut> {
    let mut keys = Vec::with_capacity(bytes.len() / float.bytes());
    let largest = float.largest_magnitude();
    for_each_bits(float, bytes, |x| keys.extend(Some(float.magnitude(x)).filter(|m| *m <= largest)));
    let k = (k as usize).min(keys.len());
    let rank = if above { keys.len() - k } else { k.checked_sub(1)? };
    if k == 0 {
        return None;
    }
    let key = *keys.select_nth_unstable(rank).1;
    let equal = keys.iter().filter(|x| **x == key).count() as u64;
    let outside = keys.iter().filter(|x| if above { **x > key } else { **x < key }).count() as u64;
    Some(Cut { key, ties: k as u64 - outside, equal, outside })
}

/// Counts a digit on all threads of the pool.
fn count(cpu: &CpuEngine, float: Float, bytes: &[u8], level: u32, prefix: u64) -> Vec<u64> {
    let width = float.bytes();
    let share = (bytes.len() / width).div_ceil(cpu.tables()).max(SHARE_BYTES / width) * width;
    let table = |part: &[u8]| {
        let mut counts = vec![0u32; VALUES];
        // A table of 32 bits cannot overflow: its part is in memory, and larger ones are cut up.
        let mut total = vec![0u64; VALUES];
        for part in part.chunks((1 << 30) * width) {
            if let Some(counts) = counts.first_chunk_mut() {
                count_magnitudes(float, part, level, prefix, counts);
            }
            total.iter_mut().zip(&mut counts).for_each(|(sum, n)| *sum += u64::from(std::mem::take(n)));
        }
        total
    };
    cpu.pool().install(|| {
        bytes.par_chunks(share.max(width)).map(table).reduce(
            || vec![0; VALUES],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            },
        )
    })
}

fn whole(elements: u64) -> Layout {
    Layout::new(&[elements], Grouping::Tensor)
}

/// The pieces of a tensor that is read from its start to its end.
pub(super) fn pieces(tensor: Piece) -> impl Iterator<Item = Piece> {
    tensor.layout.pieces(tensor.float, tensor.region).map(move |region| Piece { region, ..tensor })
}

/// All of a tensor, the `index`th of a source, as one piece.
pub(super) fn piece_of(index: usize, tensor: &Tensor, float: Float) -> Piece {
    let layout = whole(tensor.elements());
    Piece { tensor: index, float, layout, region: layout.all() }
}

/// Bytes of one tensor in memory.
struct Held<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl Source for Held<'_> {
    fn load<'a>(&'a self, piece: &Piece, _buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let from = piece.region.col as usize * self.width;
        Ok(&self.bytes[from..from + piece.bytes() as usize])
    }
}

/// One pass: a table of the magnitudes' digit.
#[expect(clippy::too_many_arguments, reason = "two call sites; a struct would only name them again")]
fn scan(
    compute: &dyn Compute,
    source: &dyn Source,
    pieces: &mut dyn Iterator<Item = Piece>,
    float: Float,
    level: u32,
    prefix: u64,
    widen: bool,
    memory_bytes: u64,
) -> Result<Vec<u64>> {
    // Digits are counted with the sign.
    let bits = if widen { 64 } else { float.bits() };
    let sign = if level == 0 { 0 } else { 1u64 << (16 * level - 1) };
    let prefixes = if level == 0 { vec![0] } else { vec![prefix, prefix | sign] };
    let digits = Digits { level, prefixes: &prefixes, widen };
    let request = Request { digits: Some(digits), memory_bytes, ..Request::default() };
    let mut counts = Counts::for_request(&request);
    compute.scan(source, pieces, &request, &mut counts, &mut |_, _| Ok(()))?;
    let mut folded = counts.digits;
    let digit = if level == 0 { 1 << (bits.min(16) - 1) } else { DIGIT_VALUES };
    let (low, high) = folded.split_at_mut(digit);
    low.iter_mut().zip(high).for_each(|(a, b)| *a += *b);
    folded.truncate(digit);
    folded.resize(DIGIT_VALUES, 0);
    Ok(folded)
}

/// Magnitudes of tensors of any formats together, streamed from their files.
pub(super) struct Magnitudes<'a> {
    pub(super) engine: &'a Engine,
    pub(super) file: &'a File<'a>,
    /// Indices in the file's tensors, with their formats.
    pub(super) tensors: Vec<(usize, Float)>,
    pub(super) memory_bytes: u64,
    /// Counts by value, of formats of at most 16 bits that others have to be compared with.
    known: Vec<(Float, Vec<u64>)>,
}

impl<'a> Magnitudes<'a> {
    pub(super) fn new(engine: &'a Engine, file: &'a File<'a>, tensors: Vec<(usize, Float)>, memory_bytes: u64) -> Self {
        Self { engine, file, tensors, memory_bytes, known: Vec::new() }
    }

    /// The format in which all of them compare exactly.
    pub(super) fn space(&self) -> Float {
        let mut floats = self.tensors.iter().map(|(_, float)| *float);
        let first = floats.next().unwrap_or(Float::F32);
        floats.fold(first, |space, float| match (space, float) {
            (a, b) if a == b => a,
            (Float::F64, _) | (_, Float::F64) => Float::F64,
            _ => Float::F32,
        })
    }

    /// What is cut, in keys of [`space`](Self::space).
    pub(super) fn cut(&mut self, k: u64, above: bool) -> Result<Option<Cut>> {
        let (bits, largest) = space(self.space());
        Ranking::new(bits, largest, |level, prefix| self.table(level, prefix))?.cut(k, above)
    }

    fn table(&mut self, level: u32, prefix: u64) -> Result<Vec<u64>> {
        let space = self.space();
        let shift = space.bits().saturating_sub(16 * (level + 1));
        let mut counts = vec![0; DIGIT_VALUES];
        for float in Float::ALL {
            let widen = float == Float::F32 && space == Float::F64;
            if float == space || widen {
                let found = self.pass(float, level, prefix, widen)?;
                counts.iter_mut().zip(found).for_each(|(a, b)| *a += b);
                continue;
            }
            if !self.known.iter().any(|(known, _)| *known == float) {
                let found = self.pass(float, 0, 0, false)?;
                self.known.push((float, found));
            }
            let known = self.known.iter().find(|(known, _)| *known == float).map_or(&[][..], |(_, counts)| counts);
            for (magnitude, count) in (0..).zip(known).filter(|(_, count)| **count > 0) {
                let value = float.value(magnitude);
                let bits = if space == Float::F64 { value.to_bits() } else { u64::from((value as f32).to_bits()) };
                // NaN may have a sign.
                let key = space.magnitude(bits);
                if key >> shift >> 16 == prefix {
                    counts[(key >> shift & 0xffff) as usize] += count;
                }
            }
        }
        Ok(counts)
    }

    /// A pass over the tensors of one format.
    fn pass(&self, float: Float, level: u32, prefix: u64, widen: bool) -> Result<Vec<u64>> {
        let chosen: Vec<usize> = self.tensors.iter().filter(|(_, f)| *f == float).map(|(t, _)| *t).collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = chosen.iter().map(|t| self.file.tensors[*t].bytes()).sum();
        self.file.progress.expect(bytes);
        self.read(float, level, prefix, widen)
    }

    /// The same, where the reading is expected already.
    fn read(&self, float: Float, level: u32, prefix: u64, widen: bool) -> Result<Vec<u64>> {
        let chosen: Vec<usize> = self.tensors.iter().filter(|(_, f)| *f == float).map(|(t, _)| *t).collect();
        let compute: &dyn Compute = if widen { self.engine.cpu_engine() } else { self.engine.compute(float) };
        let mut pieces = chosen.iter().flat_map(|t| pieces(piece_of(*t, self.file.tensors[*t], float)));
        scan(compute, self.file, &mut pieces, float, level, prefix, widen, self.memory_bytes)
    }
}

/// A cut among the magnitudes of `space`, for weights of `float`: the key, and whether anything can equal it.
pub(super) fn native(float: Float, space: Float, cut: &Cut, above: bool) -> (u64, bool) {
    let wanted = space.value(cut.key);
    // The first magnitude that is no smaller.
    let (mut low, mut high) = (0, float.largest_magnitude() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if float.value(middle) >= wanted { high = middle } else { low = middle + 1 }
    }
    let equal = low <= float.largest_magnitude() && float.value(low) == wanted;
    // Above it, the last one that is smaller takes the place of the one that does not exist.
    (if above && !equal { low - 1 } else { low }, equal)
}

/// Gives the magnitudes of each of `chosen` as a histogram by the upper 16 bits: ascending values, with counts.
pub(super) fn histograms(
    engine: &Engine,
    file: &File,
    chosen: &[(usize, Float)],
    memory_bytes: u64,
    mut each: impl FnMut(Vec<(f64, u64)>) -> Result<()>,
) -> Result<()> {
    file.progress.expect(chosen.iter().map(|(t, _)| file.tensors[*t].bytes()).sum());
    let is_small = |(tensor, _): &(usize, Float)| file.tensors[*tensor].elements() <= FEW as u64;
    for run in chosen.chunk_by(|a, b| is_small(a) && is_small(b)) {
        if !is_small(&run[0]) {
            let (tensor, float) = run[0];
            let all = Magnitudes::new(engine, file, vec![(tensor, float)], memory_bytes);
            each(binned(float, (0..).zip(all.read(float, 0, 0, false)?)))?;
            continue;
        }
        // Thousands of small ones: a sort each, without a table.
        for batch in run.chunks(SMALL_TOGETHER) {
            let found: Vec<Result<Vec<(f64, u64)>>> =
                engine.cpu_engine().pool().install(|| batch.par_iter().map(|c| sorted_histogram(file, *c)).collect());
            found.into_iter().try_for_each(|histogram| each(histogram?))?;
        }
    }
    Ok(())
}

/// Small tensors whose histograms are held at once.
const SMALL_TOGETHER: usize = 256;

fn sorted_histogram(file: &File, (tensor, float): (usize, Float)) -> Result<Vec<(f64, u64)>> {
    let tensor = file.tensors[tensor];
    let mut bytes = vec![0; tensor.bytes() as usize];
    file.checkpoint.read_exact_at(tensor, 0, &mut bytes)?;
    file.progress.add(tensor.bytes());
    let shift = float.bits().saturating_sub(16);
    let mut digits = Vec::with_capacity(tensor.elements() as usize);
    for_each_bits(float, &bytes, |bits| digits.push(float.magnitude(bits) >> shift));
    digits.sort_unstable();
    Ok(binned(float, digits.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64))))
}

/// Counts by the upper 16 bits, as values: a bin stands for its middle; inf and what lies beyond for themselves.
fn binned(float: Float, counts: impl Iterator<Item = (u64, u64)>) -> Vec<(f64, u64)> {
    let shift = float.bits().saturating_sub(16);
    let largest = float.largest_magnitude();
    let half = if shift == 0 { 0 } else { 1u64 << (shift - 1) };
    let value = |digit: u64| {
        let low = digit << shift;
        float.value(if low == 0 || low >= largest { low } else { low | half })
    };
    counts.filter(|(_, n)| *n > 0).map(|(digit, n)| (value(digit), n)).filter(|(x, _)| !x.is_nan()).collect()
}
