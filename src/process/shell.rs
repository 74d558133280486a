//! What the shell gets: the user's command with paths filled in.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result};

/// `path` as it is in every folder: commands change theirs.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(path, error))
}

/// `command` with each placeholder, such as `{model}`, replaced by its path, quoted for the shell where it needs to be;
/// quotes that the user has put around a placeholder give way, and those that it is inside of end before it and go on after.
pub(crate) fn filled(command: &str, values: &[(&str, &OsStr)]) -> OsString {
    let mut line = OsString::new();
    let mut rest = command;
    let mut open = None;
    loop {
        let places = values.iter().filter_map(|(name, value)| Some((rest.find(name)?, *name, *value)));
        let Some((at, name, value)) = places.min_by_key(|(at, ..)| *at) else { break };
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let around = ['"', '\''].into_iter().find(|&quote| before.ends_with(quote) && after.starts_with(quote));
        let (before, after) = match around {
            Some(_) => (&before[..before.len() - 1], &after[1..]),
            None => (before, after),
        };
        line.push(before);
        open = open_quote(before, open);
        let quote = open.filter(|_| !is_plain(value)).map(String::from).unwrap_or_default();
        line.push(&quote);
        line.push(quoted(value));
        line.push(&quote);
        rest = after;
    }
    line.push(rest);
    line
}

/// The quote that is open after `text`, before which `open` was.
fn open_quote(text: &str, mut open: Option<char>) -> Option<char> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (open, letter) {
            // Whatever follows it is itself.
            (None | Some('"'), '\\') if cfg!(unix) => drop(letters.next()),
            (None, '"' | '\'') => open = Some(letter),
            (Some(quote), letter) if letter == quote => open = None,
            _ => {}
        }
    }
    open
}

/// Nothing in it means anything to a shell, so that it may also be inside quotes of the user's.
fn is_plain(value: &OsStr) -> bool {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_./+:@,=-".contains(byte) || cfg!(windows) && *byte == b'\\';
    !value.is_empty() && value.as_encoded_bytes().iter().all(plain)
}

#[cfg(unix)]
fn quoted(value: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    if is_plain(value) {
        return value.to_owned();
    }
    let mut quoted = vec![b'\''];
    for &byte in value.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

#[cfg(not(unix))]
fn quoted(value: &OsStr) -> OsString {
    if is_plain(value) {
        return value.to_owned();
    }
    // No path has a quote in it there.
    let mut quoted = OsString::from("\"");
    quoted.push(value);
    quoted.push("\"");
    quoted
}

/// The shell with a line to run.
#[cfg(not(windows))]
pub(super) fn command(line: &OsStr) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    command
}

/// The shell with a line to run: it strips the outermost quotes itself, and knows no escapes.
#[cfg(windows)]
pub(super) fn command(line: &OsStr) -> Command {
    use std::os::windows::process::CommandExt;
    let mut whole = OsString::from("\"");
    whole.push(line);
    whole.push("\"");
    let mut command = Command::new("cmd");
    command.args(["/S", "/C"]).raw_arg(whole);
    command
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_they_need_to_be() {
        let fill = |command: &str, model: &str| {
            filled(command, &[("{model}", OsStr::new(model)), ("{mask}", OsStr::new(""))]).into_string().unwrap()
        };
        assert_eq!(fill("run {model} {mask} {other}", "/tmp/a-1.onnx"), "run /tmp/a-1.onnx '' {other}");
        assert_eq!(fill("run \"{model}\" '{model}'", "/tmp/a b"), "run '/tmp/a b' '/tmp/a b'");
        assert_eq!(fill("--x={model}", "it's $HOME"), r"--x='it'\''s $HOME'");
        assert_eq!(fill("{model}{model}", "{mask}"), "'{mask}''{mask}'", "what is filled in is not filled again");
        assert_eq!(fill("sh -c \"run {model}\"", "/tmp/a"), "sh -c \"run /tmp/a\"");
        assert_eq!(
            fill("run \"--model={model}\" 'a{model}'", "/tmp/a b"),
            r#"run "--model="'/tmp/a b'"" 'a''/tmp/a b'''"#
        );
        assert_eq!(fill(r#"echo \"{model}"#, "a b"), r#"echo \"'a b'"#, "no quote is open");
        assert_eq!(fill("", "x"), "");
    }

    #[test]
    fn any_bytes_reach_the_command() {
        use std::os::unix::ffi::OsStrExt;
        let odd = OsStr::from_bytes(b"/tmp/a\n'\"`$(x)\\ \xff*");
        let line = filled("printf %s {model}", &[("{model}", odd)]);
        let written = command(&line).output().unwrap();
        assert_eq!(written.stdout, odd.as_bytes());
        let line = filled("printf %s%s \"<{model}\" '{model}>'", &[("{model}", odd)]);
        let written = command(&line).output().unwrap();
        assert_eq!(written.stdout, [b"<", odd.as_bytes(), odd.as_bytes(), b">"].concat());
    }
}
