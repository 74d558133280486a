//! Writing an ONNX file, and the file of its external data where the source has one.

use super::behind::Behind;
use super::destination::{Destination, check_extension};
use super::outputs::data_path;
use super::places::{Place, Places};
use super::transfer::{self, Failure};
use super::{Output, Writer};
use crate::checkpoint::onnx::{Edits, Piece, length, pieces};
use crate::checkpoint::{Checkpoint, positioned};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

impl Writer {
    /// An ONNX file that is `source`, which is one, with `edits`. Tensors are to be written, all of them, in their new
    /// shapes; everything else is the same bytes, but that elements of tensors that change and were stored as numbers of
    /// the wire format become raw.
    ///
    /// Where the source has external data, all of them go to one file: OUT's name and `.data`, which must not be there.
    ///
    /// # Errors
    ///
    /// As [`same`](Self::same); [`Error::Format`] where `source` is no ONNX file.
    pub(crate) fn onnx(source: &Checkpoint, out: &Path, force: bool, edits: &Edits) -> Result<Self> {
        let (Some(onnx), Some(shard)) = (&source.onnx, source.shards.first()) else {
            return Err(Error::format(source.path(), "is no ONNX file"));
        };
        check_extension(out, true)?;
        let data = data_path(out);
        let data_name = data.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let new = onnx.rewritten(source, edits, data_name)?;
        if !new.external.is_empty() && data_name.is_empty() {
            return Err(Error::Usage(format!("{}: external data need a name that is text: name it so", out.display())));
        }
        let bytes = length(&new.parts);
        // What a protocol buffer may be.
        if bytes > i32::MAX as u64 {
            return Err(Error::format(
                out,
                "would be larger than the 2 GiB that an ONNX file without external data may be",
            ));
        }
        let (destination, file) = Destination::new(Some(source), None, out, force)?;
        let mut writer = Self {
            files: Vec::new(),
            beside: None,
            destination,
            places: Places::default(),
            bytes,
            behind: Behind::new(),
        };
        let Some(file) = file else { return Err(Error::format(out, "is a folder")) };
        let failed = |error: std::io::Error| Error::io(out, error);
        transfer::reserve(&file, bytes).map_err(failed)?;
        let mut places = Vec::new();
        let mut at = 0;
        for piece in pieces(new.parts) {
            match piece {
                Piece::Copy { start, end } => {
                    transfer::copy(&shard.file, start, &file, at, end - start).map_err(|failure| match failure {
                        Failure::Read(error) => Error::io(&shard.path, error),
                        Failure::Write(error) => failed(error),
                    })?;
                    at += end - start;
                }
                Piece::Bytes(bytes) => {
                    positioned::write_all_at(&file, &bytes, at).map_err(failed)?;
                    at += bytes.len() as u64;
                }
                Piece::Data { array, bytes } => {
                    places.push((onnx.array_name(array), Place { file: 0, start: at, bytes, carried: false }));
                    at += bytes;
                }
            }
        }
        writer.files.push(Output { file: Arc::new(file), path: out.to_owned() });
        if let Some((_, start, bytes)) = new.external.last() {
            let data_bytes = start.saturating_add(*bytes);
            if data.symlink_metadata().is_ok() {
                let why = "is there already, and may be another model's: remove it, or name another output";
                return Err(Error::Usage(format!("{}: {why}", data.display())));
            }
            let (beside, file) = Destination::new(Some(source), None, &data, false)?;
            writer.beside = Some(beside);
            if let Some(file) = file {
                transfer::reserve(&file, data_bytes).map_err(|error| Error::io(&data, error))?;
                writer.files.push(Output { file: Arc::new(file), path: data });
            }
            writer.bytes = writer.bytes.saturating_add(data_bytes);
        }
        let external = new.external.into_iter();
        places
            .extend(external.map(|(array, start, bytes)| {
                (onnx.array_name(array), Place { file: 1, start, bytes, carried: false })
            }));
        places.extend(new.carried.into_iter().map(|array| {
            let name = onnx.array_name(array);
            let bytes = source.get(&name).map_or(0, crate::Tensor::bytes);
            (name, Place { file: 0, start: 0, bytes, carried: true })
        }));
        writer.places = Places::of(places);
        Ok(writer)
    }
}
