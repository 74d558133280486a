//! The one error type: it names the file, the tensor and the remedy.

use std::path::PathBuf;

/// What can go wrong, in words a person can act on.
///
/// `Display` gives one line. Names that come from a file are shown with their control characters escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open, read or write a file.
    #[error("{}: {source}{}", shown(path), remedy_for(source))]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what it claims to be.
    #[error("{}: {message}", shown(path))]
    Format {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// One tensor of a file is not what the file claims it to be.
    #[error("{}: tensor `{}`: {message}", shown(path), shortened(tensor))]
    Tensor {
        /// The file concerned.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// A network whose operators do not fit together.
    #[error("{0}")]
    Graph(String),
    /// An option or argument that cannot be honoured.
    #[error("{0}")]
    Usage(String),
    /// An external command, or what runs or trains a network: what it was, what happened, and the end of what it wrote.
    #[error("{0}")]
    Run(String),
    /// The GPU, its driver or its limits.
    #[error("{0}")]
    Device(String),
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error together with the file it happened on.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// A file that is not what it claims to be.
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format { path: path.into(), message: message.into() }
    }

    /// A tensor that is not what its file claims it to be.
    pub fn tensor(path: impl Into<PathBuf>, tensor: &str, message: impl Into<String>) -> Self {
        Self::Tensor { path: path.into(), tensor: tensor.to_owned(), message: message.into() }
    }
}

/// `name` with control characters and other invisible formatting escaped, so that it cannot steer a terminal.
///
/// ```
/// assert_eq!(secateur::escape("conv1.weight"), "conv1.weight");
/// assert_eq!(secateur::escape("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
/// for hidden in ['\u{ad}', '\u{61c}', '\u{202e}', '\u{e0041}'] {
///     assert_eq!(secateur::escape(&format!("a{hidden}")), format!("a{}", hidden.escape_unicode()));
/// }
/// ```
pub fn escape(name: &str) -> String {
    // Bidirectional controls reorder what a reader sees; soft hyphens, joiners, tags and the like are invisible.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    if !name.contains(hidden) {
        return name.to_owned();
    }
    name.chars().fold(String::with_capacity(name.len() + 8), |mut out, c| {
        if hidden(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Text from a file, made safe and short enough for a one-line message.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS: usize = 200;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text),
    }
}

fn shown(path: &std::path::Path) -> String {
    escape(&path.display().to_string())
}

fn remedy_for(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => " (check the path)",
        std::io::ErrorKind::PermissionDenied => " (check its permissions)",
        std::io::ErrorKind::StorageFull => " (free some space, or write elsewhere)",
        std::io::ErrorKind::UnexpectedEof => " (the file is shorter than its header says: download it again)",
        _ => "",
    }
}
