//! Taps: network interfaces of the host whose other end is a file (tuntap.rst).

#![expect(unsafe_code, reason = "taps are attached by ioctls")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use thiserror::Error;

use super::frames::Frames;

#[cfg(test)]
mod tests;

/// Where taps are attached.
const DEVICE: &str = "/dev/net/tun";

/// A tap that was not attached. Each message begins with what failed and ends with what to do.
#[derive(Debug, Error)]
pub enum TapError {
    /// No interface has such a name.
    #[error(
        "`{0}` cannot be the name of a network interface: 1 to 15 bytes without `/`, `%` or blanks"
    )]
    Name(String),
    /// There is no such interface.
    #[error(
        "there is no network interface `{0}` here: make a tap with `ip tuntap add {0} mode tap user \
         USER`, and bring it up with `ip link set {0} up`"
    )]
    Missing(String),
    /// The device of all taps cannot be opened.
    #[error(
        "opening {DEVICE} for the tap `{name}`: {source}: load the module with `modprobe tun`, and \
         let this user open it"
    )]
    Device {
        /// The tap.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The tap is somebody else's.
    #[error(
        "the tap `{0}` is not this user's: make it so with `ip tuntap add {0} mode tap user USER`, \
         or run as root (CAP_NET_ADMIN)"
    )]
    Denied(String),
    /// Another process has it.
    #[error("the tap `{0}` is in use: each guest needs one of its own")]
    Busy(String),
    /// The interface is something else.
    #[error(
        "the network interface `{0}` is not a tap, or one with several queues: make one with `ip \
         tuntap add NAME mode tap`"
    )]
    NotATap(String),
    /// Anything else.
    #[error("attaching the tap `{name}`: {source}")]
    Attach {
        /// The tap.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The file's end of a tap.
#[derive(Debug)]
pub struct Tap {
    file: File,
}

impl Tap {
    /// Attaches to the tap `name` of this thread's network namespace. The tap stays that file's when
    /// it is moved to another namespace.
    ///
    /// # Errors
    /// [`TapError`] when there is no such tap, or this process may not have it.
    pub fn open(name: &str) -> Result<Self, TapError> {
        let refused = || TapError::Name(name.to_owned());
        let is_odd = |byte: u8| byte == b'/' || byte.is_ascii_whitespace() || byte == b'%';
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(is_odd) {
            return Err(refused());
        }
        let text = CString::new(name).map_err(|_| refused())?;
        // SAFETY: `text` is a string that ends with a zero.
        if unsafe { libc::if_nametoindex(text.as_ptr()) } == 0 {
            return Err(TapError::Missing(name.to_owned()));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(DEVICE)
            .map_err(|source| TapError::Device { name: name.to_owned(), source })?;
        attach(&file, name).map_err(|source| {
            let name = name.to_owned();
            match source.raw_os_error() {
                Some(libc::EPERM) => TapError::Denied(name),
                Some(libc::EBUSY) => TapError::Busy(name),
                Some(libc::EINVAL) => TapError::NotATap(name),
                _ => TapError::Attach { name, source },
            }
        })?;
        Ok(Self { file })
    }
}

/// Makes `file` the other end of the interface `name`, which is shorter than IFNAMSIZ.
fn attach(file: &File, name: &str) -> io::Result<()> {
    // Whole frames, with nothing before them.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags as libc::c_short },
    };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // SAFETY: the request is a whole ifreq, whose name ends with a zero, and which lives until the
    // call returns.
    let attached = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if attached < 0 {
        return Err(io::Error::last_os_error());
    }
    // A tap keeps what its last user could do: frames are to be whole and to have their checksums.
    // SAFETY: the argument is a number.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl Frames for Tap {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        // The kernel takes a frame whole or not at all.
        self.file.write(frame).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }

    fn source(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
