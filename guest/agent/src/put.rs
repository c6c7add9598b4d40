//! Files that appear whole or not at all.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written beside its place. Dropped before [`finish`](Self::finish), it leaves
/// nothing.
pub(crate) struct Incoming {
    file: NamedTempFile,
    place: PathBuf,
    bytes: u64,
}

impl Incoming {
    /// A file for `path`. Where that is a symbolic link, its target is replaced, not the link.
    ///
    /// # Errors
    /// When there is no folder for it, or something there is no regular file.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&place) {
            Ok(found) if found.is_dir() => {
                return Err(io::Error::other("it is a folder: name the file in it"));
            }
            Ok(found) if !found.is_file() => {
                return Err(io::Error::other("it is there and not a regular file"));
            }
            _ => {}
        }
        let folder = match place.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(io::Error::other("it is not the name of a file")),
        };
        Ok(Self { file: NamedTempFile::new_in(folder)?, place, bytes: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Puts the file in its place, with the permission bits `mode`; how long it is.
    pub(crate) fn finish(self, mode: u32) -> io::Result<u64> {
        let file = self.file.as_file();
        file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()?;
        self.file.persist(&self.place).map_err(|error| error.error)?;
        Ok(self.bytes)
    }
}
