//! Files that are not safetensors: what they are, and how to convert them.

use std::path::Path;

/// How much of a file's beginning [`by_content`] looks at, in bytes.
pub(super) const SNIFFED_BYTES: u64 = 512;

/// What to do about a file whose extension is another format's, or `None` where it may be safetensors.
pub(super) fn by_extension(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "onnx" => ONNX,
        "pt" | "pth" | "bin" | "ckpt" | "pkl" | "pickle" => PYTORCH,
        "gguf" | "ggml" => GGUF,
        "h5" | "hdf5" | "keras" => KERAS,
        "npz" | "npy" => NUMPY,
        "pdparams" => PADDLE,
        "msgpack" => FLAX,
        "tflite" | "pb" | "mlmodel" | "engine" | "trt" => COMPILED,
        "zip" | "tar" | "gz" | "tgz" | "xz" | "zst" | "7z" => PACKED,
        _ => return None,
    })
}

/// What a file that is no safetensors file really is, judged by its first [`SNIFFED_BYTES`] bytes.
pub(super) fn by_content(start: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 13] = [
        (b"PK\x03\x04", PYTORCH),
        // Python's pickle, protocols 2 to 5.
        (b"\x80\x02", PYTORCH),
        (b"\x80\x03", PYTORCH),
        (b"\x80\x04", PYTORCH),
        (b"\x80\x05", PYTORCH),
        (b"GGUF", GGUF),
        (b"\x89HDF\r\n\x1a\n", KERAS),
        (b"\x93NUMPY", NUMPY),
        (b"\x1f\x8b", PACKED),
        (b"\xfd7zXZ\0", PACKED),
        (b"\x28\xb5\x2f\xfd", PACKED),
        (b"version https://git-lfs", LFS),
        (b"version https://hawser", LFS),
    ];
    if let Some((_, message)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(message);
    }
    let text = start.trim_ascii_start();
    let begins = |tag: &str| text.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes()));
    if ["<!doctype", "<html", "<?xml", "<head"].into_iter().any(begins) {
        return Some(PAGE);
    }
    let readable = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    (!text.is_empty() && start.iter().take(64).all(readable)).then_some(TEXT)
}

const ONNX: &str = "an ONNX model: name it itself";
const PYTORCH: &str = "a PyTorch (pickle) file, which can run code when it is loaded: convert it, in Python: \
    safetensors.torch.save_file(torch.load(\"in.pth\", map_location=\"cpu\", weights_only=True), \
    \"out.safetensors\")";
const GGUF: &str =
    "a GGUF file, whose weights are quantised in blocks: use the safetensors checkpoint it was made from";
const KERAS: &str = "an HDF5 or Keras file: convert it, in Python: safetensors.numpy.save_file({w.path: w.numpy() for w in \
    keras.saving.load_model(\"in.keras\").weights}, \"out.safetensors\")";
const NUMPY: &str = "a NumPy file: convert it, in Python: \
    safetensors.numpy.save_file(dict(numpy.load(\"in.npz\")), \"out.safetensors\")";
const PADDLE: &str = "a Paddle file: convert it, in Python: \
    safetensors.paddle.save_file(paddle.load(\"in.pdparams\"), \"out.safetensors\")";
const FLAX: &str = "a Flax file: convert it, in Python: safetensors.flax.save_file(flax.traverse_util.flatten_dict(\
    flax.serialization.msgpack_restore(open(\"in.msgpack\", \"rb\").read()), sep=\".\"), \"out.safetensors\")";
const COMPILED: &str = "a compiled model: use the safetensors checkpoint it was made from";
const PACKED: &str = "a packed file: unpack it first";
const LFS: &str = "a git-lfs pointer, not the weights: run `git lfs pull` in its repository";
const PAGE: &str =
    "a web page, not the weights: download the file itself (its `resolve` or `raw` address, signed in where needed)";
const TEXT: &str = "text, not weights: read it for what went wrong with the download, and download it again";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_recognised() {
        let cases: [(&[u8], Option<&str>); 14] = [
            (b"", None),
            (b" ", None),
            (b"\0\0\0\0\0\0\0\0", None),
            (b"\x10\0\0\0\0\0\0\0{}              ", None),
            (b"PK\x03\x04rest", Some(PYTORCH)),
            (b"\x80\x02\x8a\x0a", Some(PYTORCH)),
            (b"GGUF\x03\0\0\0", Some(GGUF)),
            (b"\x89HDF\r\n\x1a\n", Some(KERAS)),
            (b"\x93NUMPY\x01\0", Some(NUMPY)),
            (b"\x1f\x8b\x08\0", Some(PACKED)),
            (b"version https://git-lfs.github.com/spec/v1\noid", Some(LFS)),
            (b"\n <!DOCTYPE html>", Some(PAGE)),
            (b"<HTML><body>\xc3\xa9", Some(PAGE)),
            (b"Entry not found", Some(TEXT)),
        ];
        for (start, expected) in cases {
            assert_eq!(by_content(start), expected, "{}", start.escape_ascii());
        }
    }
}
