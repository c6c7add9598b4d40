//! Files, in both directions.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Host;
use crate::frame::{CHUNK, Kind};
use crate::message::{Reason, Refusal, Reply};
use crate::put::Incoming;

fn failed(path: &Path) -> impl Fn(io::Error) -> Refusal {
    let path = path.display().to_string();
    move |error| Refusal::failed(format!("{path}, in the guest: {error}"))
}

/// Takes a file from the host. After an error, the rest is read and dropped, so that the host can
/// write all and then read the answer.
pub(super) fn write(host: &Host, path: &Path, mode: u32) -> Result<Reply, Refusal> {
    let mut file = Incoming::new(path);
    let mut bytes = Vec::new();
    loop {
        match host.read(&mut bytes) {
            Ok(Kind::Data) if bytes.is_empty() => break,
            Ok(Kind::Data) => {
                if let Ok(open) = &mut file
                    && let Err(error) = open.write(&bytes)
                {
                    file = Err(error);
                }
            }
            Ok(kind) => {
                let message = format!("{kind:?} among the bytes of a file");
                return Err(Refusal::new(Reason::Request, message));
            }
            Err(error) => return Err(Refusal::new(Reason::Request, error.to_string())),
        }
    }
    let bytes = file.and_then(|file| file.finish(mode)).map_err(failed(path))?;
    Ok(Reply::Written { bytes })
}

/// Gives a file to the host. The reply that remains is its end.
pub(super) fn read(host: &Host, path: &Path) -> Result<Reply, Refusal> {
    let mut file = File::open(path).map_err(failed(path))?;
    let metadata = file.metadata().map_err(failed(path))?;
    if metadata.is_dir() {
        return Err(failed(path)(io::Error::other("it is a folder: copy its files one by one")));
    }
    host.reply(&Reply::Content { mode: metadata.permissions().mode() & 0o7777 });
    let (mut bytes, mut sent) = (vec![0; CHUNK], 0);
    loop {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(len) => {
                host.send(bytes.get(..len).unwrap_or_default())?;
                sent += len as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(path)(error)),
        }
    }
    Ok(Reply::Written { bytes: sent })
}
