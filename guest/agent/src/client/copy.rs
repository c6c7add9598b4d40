//! Files, in both directions.

use std::io::{self, Read, Write};
use std::path::Path;

use super::{Agent, ClientError, parse, unexpected};
use crate::frame::{self, CHUNK, Kind};
use crate::message::{Action, Reply};
use crate::put::Incoming;

impl Agent {
    /// Writes all of `content` to the file `path` of the guest, with the permission bits `mode`; how
    /// many bytes. The file is in its place whole or not at all.
    ///
    /// # Errors
    /// [`ClientError`] when it is not. `name` is what the content is called there.
    pub fn put(
        self,
        path: &str,
        mode: u32,
        name: &Path,
        mut content: impl Read,
    ) -> Result<u64, ClientError> {
        self.request(Action::Write { path: path.to_owned(), mode })?;
        let mut bytes = vec![0; CHUNK];
        loop {
            match content.read(&mut bytes) {
                Ok(len) => {
                    self.send(Kind::Data, bytes.get(..len).unwrap_or_default())?;
                    if len == 0 {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ClientError::local(name)(error)),
            }
        }
        match self.reply(&mut bytes)? {
            Reply::Written { bytes } => Ok(bytes),
            other => Err(unexpected(other)),
        }
    }

    /// Reads the file `path` of the guest to `output`, which is called `name`; how many bytes.
    ///
    /// # Errors
    /// [`ClientError`] when not all of it has come. Some of it may have.
    pub fn get(self, path: &str, name: &Path, mut output: impl Write) -> Result<u64, ClientError> {
        self.content(path)?;
        self.receive(|bytes| output.write_all(bytes), name)
    }

    /// Reads the file `path` of the guest to the file `to` of the host, with the same permission
    /// bits; how many bytes. It is in its place whole or not at all.
    ///
    /// # Errors
    /// [`ClientError`] when it is not.
    pub fn get_file(self, path: &str, to: &Path) -> Result<u64, ClientError> {
        let mode = self.content(path)?;
        let mut file = Incoming::new(to).map_err(ClientError::local(to))?;
        self.receive(|bytes| file.write(bytes), to)?;
        // What lets others run as its owner does not cross the border of a guest.
        file.finish(mode & 0o777).map_err(ClientError::local(to))
    }

    /// Asks for a file; its permission bits.
    fn content(&self, path: &str) -> Result<u32, ClientError> {
        self.request(Action::Read { path: path.to_owned() })?;
        match self.reply(&mut Vec::new())? {
            Reply::Content { mode } => Ok(mode),
            other => Err(unexpected(other)),
        }
    }

    fn receive(
        &self,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
        name: &Path,
    ) -> Result<u64, ClientError> {
        let (mut bytes, mut received) = (Vec::new(), 0);
        loop {
            match frame::read(&self.stream, &mut bytes)? {
                Kind::Data => {
                    take(&bytes).map_err(ClientError::local(name))?;
                    received += bytes.len() as u64;
                }
                Kind::Reply => match parse(&bytes)? {
                    Reply::Written { bytes } if bytes == received => return Ok(received),
                    other => return Err(unexpected(other)),
                },
                other => return Err(ClientError::Answer(format!("{other:?}"))),
            }
        }
    }
}
