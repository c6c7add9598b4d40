//! A file that appears whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::super::Failure;

#[cfg(test)]
mod tests;

/// Where a file will be.
pub(super) struct Place {
    path: PathBuf,
    /// What it is called until it is whole: in the same folder, so that renaming it is one step.
    beside: PathBuf,
}

impl Place {
    /// A place at which a file can be written, which is tried out at once: the work that leads to its
    /// content may take minutes.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        let refused = |what: &str| Failure::Other(format!("{}: {what}", path.display()));
        let name = path.file_name().ok_or_else(|| refused("name a file"))?;
        // Renaming onto one that is something else, such as a device, would take it away.
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(refused("it is there and is not a regular file: name another one"));
        }
        let hidden = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let place = Self { path: path.to_owned(), beside: path.with_file_name(hidden) };
        place.begin(b"").map_err(Failure::file(path))?;
        fs::remove_file(&place.beside).map_err(Failure::file(path))?;
        Ok(place)
    }

    /// Puts a file there, in place of one that was there before.
    pub(super) fn put(&self, content: &str) -> Result<(), Failure> {
        let begun = self.begin(content.as_bytes());
        let written = begun.and_then(|()| fs::rename(&self.beside, &self.path));
        if written.is_err() {
            // What can be said about that says less than the first error.
            let _ = fs::remove_file(&self.beside);
        }
        written.map_err(Failure::file(&self.path))
    }

    /// The file, on the disk, not yet in its place.
    fn begin(&self, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.beside)?;
        file.write_all(content)?;
        file.sync_all()
    }

    /// Where it will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
