//! What carries frames.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;

/// Bytes of the shortest frame: the Ethernet header.
pub const FRAME_MIN: usize = 14;

/// Bytes of the longest frame: the longest IP packet, behind an Ethernet header with a VLAN tag.
pub const FRAME_MAX: usize = 65_535 + 18;

/// One end of a link. Nothing here ever waits.
pub trait Frames: Send {
    /// Sends one whole frame.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the link has no room now: the frame was not sent. After any
    /// other error the frame is lost.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Takes the next frame; its length. What does not fit into `buffer` is cut off.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none now. After any other error the link is gone.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Readable while there is a frame to receive. Valid for as long as the link.
    fn source(&self) -> RawFd;
}

/// Any link.
pub type Link = Box<dyn Frames>;

/// One frame a datagram: a link to another device or process. It must be non-blocking.
impl Frames for UnixDatagram {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        UnixDatagram::send(self, frame).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    fn source(&self) -> RawFd {
        self.as_raw_fd()
    }
}
