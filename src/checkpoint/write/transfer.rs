//! Bytes from one open file to another, and room for them.

use crate::checkpoint::positioned;
use std::fs::File;
use std::io;

/// Bytes copied at a time where the kernel does not copy by itself.
const CHUNK_BYTES: u64 = 1 << 20;

/// Which of the two files failed.
#[derive(Debug)]
pub(super) enum Failure {
    Read(io::Error),
    Write(io::Error),
}

/// Copies `bytes` bytes from byte `start` of `from` to byte `target` of `to`. No cursor is used, so that threads can
/// share both files.
pub(super) fn copy(from: &File, start: u64, to: &File, target: u64, bytes: u64) -> Result<(), Failure> {
    let mut done = in_kernel(from, start, to, target, bytes);
    let mut buf = vec![0; (bytes - done).min(CHUNK_BYTES) as usize];
    while done < bytes {
        let chunk = &mut buf[..(bytes - done).min(CHUNK_BYTES) as usize];
        positioned::read_exact_at(from, chunk, start + done).map_err(Failure::Read)?;
        positioned::write_all_at(to, chunk, target + done).map_err(Failure::Write)?;
        done += chunk.len() as u64;
    }
    Ok(())
}

/// Lets the kernel copy as far as it can: nothing passes through this process, and some file systems share the blocks
/// instead. How many bytes it did; the reads and writes that do the rest tell what is wrong, if anything.
#[cfg(target_os = "linux")]
fn in_kernel(from: &File, mut start: u64, to: &File, mut target: u64, bytes: u64) -> u64 {
    // A system call a gigabyte, so that a signal never waits long.
    const AT_ONCE: u64 = 1 << 30;
    let mut done = 0;
    while done < bytes {
        let length = (bytes - done).min(AT_ONCE) as usize;
        match rustix::fs::copy_file_range(from, Some(&mut start), to, Some(&mut target), length) {
            // Nothing copied is how some file systems say that they cannot.
            Ok(0) => break,
            Ok(copied) => done += copied as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    done
}

#[cfg(not(target_os = "linux"))]
fn in_kernel(_from: &File, _start: u64, _to: &File, _target: u64, _bytes: u64) -> u64 {
    0
}

/// Makes `file`, which is empty, `bytes` long. On Linux the space is taken at once where the file system can do that, so
/// that a disk too small is found before the work is done; elsewhere it is found while writing.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if bytes > 0 {
        use rustix::fs::FallocateFlags;
        use rustix::io::Errno;
        let reserved = rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes));
        // These mean no room; others, no such operation.
        if let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = reserved {
            return Err(error.into());
        }
    }
    file.set_len(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn ranges_are_copied_and_failures_told_apart() {
        let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let data: Vec<u8> = (0..3 * CHUNK_BYTES as usize + 5).map(|i| (i % 251) as u8).collect();
        from.write_all(&data).unwrap();
        reserve(&to, data.len() as u64 + 10).unwrap();
        for (start, target, bytes) in [(0, 0, 0), (3, 7, data.len() - 3), (1, 0, 2)] {
            copy(&from, start as u64, &to, target as u64, bytes as u64).unwrap();
            let mut copied = Vec::new();
            to.rewind().unwrap();
            to.read_to_end(&mut copied).unwrap();
            assert_eq!(copied.len(), data.len() + 10);
            assert!(copied[target..target + bytes] == data[start..start + bytes]);
        }
        let beyond = copy(&from, 1, &to, 0, data.len() as u64);
        assert!(matches!(beyond, Err(Failure::Read(e)) if e.kind() == io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn room_that_cannot_be_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(reserve(&file, u64::MAX).is_err());
    }
}
