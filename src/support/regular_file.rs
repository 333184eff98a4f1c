//! Reads files that somebody else named: a FIFO would be waited for, a device could be read for ever.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Reads a regular file of at most `max_bytes`; links are followed. Never waits for another process.
///
/// # Errors
/// It cannot be read, is no regular file, or is larger. The words say which.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // The size that is told need not be what comes: files of /proc tell 0.
    let mut bytes = Vec::new();
    open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes) {
        return Ok(bytes);
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {max_bytes} bytes")))
}

/// Opens a regular file for reading; links are followed. Never waits for another process.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // A device may do something when it is opened, so that its type is looked up before.
    refuse_unless_regular(std::fs::metadata(path)?.file_type())?;
    // Where it was replaced meanwhile, opening a FIFO does not wait.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    refuse_unless_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// The same for a text in UTF-8.
///
/// # Errors
/// As [`read`], or it is no UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let bytes = read(path, max_bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

fn refuse_unless_regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let kinds = [
        (kind.is_dir(), "a directory"),
        (kind.is_fifo(), "a FIFO"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
        (kind.is_socket(), "a socket"),
    ];
    let what = kinds.into_iter().find(|(is_it, _)| *is_it).map_or("something else", |(_, what)| what);
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        read(path, 1_000).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(refusal(&fifo), "it is a FIFO, not a regular file");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(refusal(&link), "it is a device, not a regular file");
        assert_eq!(refusal(dir.path()), "it is a directory, not a regular file");
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(refusal(&dir.path().join("socket")), "it is a socket, not a regular file");
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [b'x'; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 10);
        assert_eq!(read(&path, 9).unwrap_err().to_string(), "it is larger than 9 bytes");
    }

    #[test]
    fn a_file_that_tells_no_size_is_read_and_bounded_all_the_same() {
        assert!(read(Path::new("/proc/self/status"), 100_000).unwrap().len() > 100);
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
    }

    #[test]
    fn a_text_that_is_not_utf_8_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"caf\xe9").unwrap();
        assert!(read_text(&path, 10).unwrap_err().to_string().contains("UTF-8"));
    }
}
