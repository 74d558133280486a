//! One array of an ONNX file: what it says of itself, and where its elements are.

use super::dtype::{dtype, typed_field};
use super::schema::{Entry, tensor};
use super::wire::{Field, Kind, Wire};
use crate::checkpoint::header::{self, MAX_AXES};
use crate::shortened;
use crate::{Dtype, Error, Result};
use prost::Message;

/// Stretches that the elements of an array may come in: writers make one.
const MAX_STRETCHES: usize = 1 << 16;

/// An array as the file describes it.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) name: String,
    /// `None` for formats that a checkpoint does not hold.
    pub(super) dtype: Option<Dtype>,
    pub(super) shape: Vec<u64>,
    pub(super) elements: u64,
    pub(super) bytes: u64,
    pub(super) payload: Payload,
    /// The messages around it, outermost first, itself last.
    pub(super) within: Vec<Field>,
}

/// Where the elements are.
#[derive(Debug)]
pub(super) enum Payload {
    /// As they are stored in memory, from this byte of the file on.
    Plain(u64),
    /// As numbers, in these fields.
    Typed(Vec<Field>),
    /// In another file.
    External { location: String, offset: u64 },
}

/// Fields that hold elements.
pub(super) fn is_data(number: u32) -> bool {
    matches!(
        number,
        tensor::FLOAT_DATA
            | tensor::INT32_DATA
            | tensor::STRING_DATA
            | tensor::INT64_DATA
            | tensor::RAW_DATA
            | tensor::DOUBLE_DATA
            | tensor::UINT64_DATA
    )
}

/// Fields of an array, as they are found.
#[derive(Default)]
struct Found {
    name: String,
    data_type: i64,
    dims: Vec<u64>,
    raw: Option<Field>,
    typed: Vec<Field>,
    external: Vec<Entry>,
    is_external: bool,
    segmented: bool,
}

impl Array {
    /// The array of the message that `within` leads to; `name` if it is known by another one than its own.
    pub(super) fn parse(wire: &mut Wire, within: Vec<Field>, name: Option<&str>) -> Result<Self> {
        let Some(message) = within.last().copied() else { return Err(wire.damaged("an array is nowhere")) };
        let mut found = find(wire, message)?;
        if let Some(name) = name {
            name.clone_into(&mut found.name);
        }
        if found.name.is_empty() {
            return Err(wire.damaged(&format!("the array at byte {} has no name", message.start)));
        }
        let path = wire.path.to_owned();
        let fail =
            |what: &str| Error::tensor(&path, &found.name, format!("{what}; download the file or export it again"));
        let dtype = dtype(found.data_type);
        // 4 bits and more: what a checkpoint does not hold is only told apart.
        let (elements, bytes) = header::size(&found.dims, dtype.unwrap_or(Dtype::U8)).map_err(|e| fail(&e))?;
        let Some(format) = dtype else {
            let payload = Payload::Typed(Vec::new());
            return Ok(Self { name: found.name, dtype, shape: found.dims, elements, bytes, payload, within });
        };
        if found.segmented {
            return Err(fail("it is stored in segments, which no ONNX runtime reads"));
        }
        let typed: Vec<Field> = found.typed.iter().copied().filter(|f| f.number == typed_field(format)).collect();
        let payload = match (found.raw, typed.as_slice()) {
            _ if found.is_external => external(&found, bytes).map_err(|what| fail(&what))?,
            (Some(raw), []) if raw.length() == bytes => Payload::Plain(raw.body),
            (Some(raw), []) => {
                let shape = shortened(&format!("{:?}", found.dims));
                return Err(fail(&format!("{format} of shape {shape} takes {bytes} bytes, not {}", raw.length())));
            }
            (Some(_), _) => return Err(fail("its elements are stored twice")),
            (None, []) if bytes == 0 => Payload::Plain(message.end),
            (None, []) if !found.typed.is_empty() => {
                return Err(fail(&format!("it is {format}, and its elements are stored as something else")));
            }
            (None, []) => return Err(fail(&format!("its {bytes} bytes are missing"))),
            // The way floats are packed is the way they are in memory.
            (None, [one]) if format_is_packed_plainly(format) && one.kind == Kind::Length && one.length() == bytes => {
                Payload::Plain(one.body)
            }
            (None, _) => Payload::Typed(typed),
        };
        Ok(Self { name: found.name, dtype, shape: found.dims, elements, bytes, payload, within })
    }
}

fn format_is_packed_plainly(format: Dtype) -> bool {
    matches!(format, Dtype::F32 | Dtype::F64 | Dtype::C64)
}

fn find(wire: &mut Wire, message: Field) -> Result<Found> {
    let mut found = Found::default();
    let mut at = message.body;
    while let Some(field) = wire.field(&mut at, message.end)? {
        match field.number {
            tensor::NAME => found.name = wire.text(&field, "the name of an array")?,
            tensor::DATA_TYPE => found.data_type = field.value as i64,
            tensor::DIMS if field.kind == Kind::Varint => dimension(wire, &mut found.dims, field.value)?,
            tensor::DIMS => {
                let packed = field.whole(wire, "a shape")?;
                let mut at = packed.body;
                while at < packed.end {
                    let value = wire.varint(&mut at, packed.end)?;
                    dimension(wire, &mut found.dims, value)?;
                }
            }
            tensor::SEGMENT => found.segmented = true,
            tensor::DATA_LOCATION => found.is_external = field.value == 1,
            tensor::EXTERNAL_DATA => {
                let field = field.whole(wire, "the place of external data")?;
                if field.length() > 1 << 16 || found.external.len() > 64 {
                    return Err(wire.damaged("the place of external data is too long"));
                }
                let bytes = wire.read(field.body, field.end)?;
                let entry = Entry::decode(&bytes[..]);
                found.external.push(entry.map_err(|e| wire.damaged(&format!("the place of external data: {e}")))?);
            }
            tensor::RAW_DATA if found.raw.is_some() => return Err(wire.damaged("an array has its elements twice")),
            tensor::RAW_DATA => found.raw = Some(field.whole(wire, "the data of an array")?),
            number if is_data(number) => {
                // Numbers one by one, each with its key: a file can hold millions of them.
                let follows = |last: &&mut Field| last.end == field.start && last.kind == field.kind;
                if found.typed.len() == MAX_STRETCHES {
                    return Err(wire.damaged("the elements of an array are scattered"));
                }
                match found.typed.last_mut().filter(follows) {
                    Some(last) if last.number == number && field.kind != Kind::Length => last.end = field.end,
                    _ => found.typed.push(field),
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn dimension(wire: &Wire, dims: &mut Vec<u64>, value: u64) -> Result<()> {
    if value as i64 <= -1 {
        return Err(wire.damaged(&format!("an array has an axis of length {}", value as i64)));
    }
    if dims.len() == MAX_AXES {
        return Err(wire.damaged(&format!("an array has more than {MAX_AXES} axes")));
    }
    dims.push(value);
    Ok(())
}

/// Where external data are: see onnx/docs/ExternalData.md.
fn external(found: &Found, bytes: u64) -> Result<Payload, String> {
    let value = |key: &str| found.external.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| match value(key) {
        None => Ok(None),
        Some(text) => {
            text.trim().parse::<u64>().map(Some).map_err(|_| format!("the {key} of its external data is no number"))
        }
    };
    let location = value("location").ok_or("it is external, and does not say where")?;
    if let Some(length) = number("length")?.filter(|length| *length != bytes) {
        return Err(format!("it takes {bytes} bytes, and {length} are stored"));
    }
    Ok(Payload::External { location: location.to_owned(), offset: number("offset")?.unwrap_or(0) })
}
