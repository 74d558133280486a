//! Data sets as files.

use std::path::PathBuf;

use super::files::{Folder, file, header};

/// What belongs to the inputs.
#[allow(dead_code, reason = "each test binary uses a part of it")]
pub(crate) enum Labels<'a> {
    Classes(&'a [i64]),
    Values(&'a [f32]),
    None,
}

/// A file of inputs of that shape, the first axis included.
pub(crate) fn set(folder: &Folder, name: &str, shape: &[usize], inputs: &[f32], labels: &Labels) -> PathBuf {
    let mut data: Vec<u8> = inputs.iter().flat_map(|value| value.to_le_bytes()).collect();
    let start = data.len();
    let count = shape[0];
    let kind = match labels {
        Labels::Classes(classes) => {
            data.extend(classes.iter().flat_map(|class| class.to_le_bytes()));
            Some(("I64", format!("[{count}]")))
        }
        Labels::Values(values) => {
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            Some(("F32", format!("[{count},{}]", values.len() / count)))
        }
        Labels::None => None,
    };
    let shape = format!("{shape:?}");
    let mut entries = vec![("inputs", "F32", shape.as_str(), 0, start)];
    if let Some((dtype, shape)) = &kind {
        entries.push(("labels", dtype, shape, start, data.len()));
    }
    let head = file(&header(&entries), 0);
    folder.write(name, [head, data].concat())
}
