//! Packets (section 5.10.6): a header, and bytes after it in those that carry some.

use super::cid::Cid;

#[cfg(test)]
mod tests;

/// Bytes of the header (`struct virtio_vsock_hdr`).
pub const HEADER_LEN: usize = 44;

/// The most bytes behind a header. Linux sends no more than this in one packet.
pub const PAYLOAD_MAX: usize = 64 << 10;

/// The CID of the host.
pub const HOST_CID: u64 = 2;

/// The only kind of socket here: VIRTIO_VSOCK_TYPE_STREAM.
pub(super) const STREAM: u16 = 1;

/// In a SHUTDOWN: its sender will receive nothing more.
pub(super) const SHUTDOWN_RECEIVE: u32 = 1;
/// In a SHUTDOWN: its sender will send nothing more.
pub(super) const SHUTDOWN_SEND: u32 = 2;
/// In a SHUTDOWN: neither.
pub(super) const SHUTDOWN_BOTH: u32 = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

/// No port of anybody: VMADDR_PORT_ANY.
pub(super) const PORT_ANY: u32 = u32::MAX;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Op {
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    Data = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
}

impl Op {
    /// `None` where the number is not one.
    pub(super) fn of(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            _ => return None,
        })
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ports {
    pub(super) host: u32,
    pub(super) guest: u32,
}

/// A header, with the names of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) src_cid: u64,
    pub(super) dst_cid: u64,
    pub(super) src_port: u32,
    pub(super) dst_port: u32,
    pub(super) len: u32,
    pub(super) socket_type: u16,
    pub(super) op: u16,
    pub(super) flags: u32,
    pub(super) buf_alloc: u32,
    pub(super) fwd_cnt: u32,
}

impl Header {
    /// One of the host's to the guest `cid`, without flags, bytes or credit.
    pub(super) fn to_guest(cid: Cid, ports: Ports, op: Op) -> Self {
        Self {
            src_cid: HOST_CID,
            dst_cid: cid.wide(),
            src_port: ports.host,
            dst_port: ports.guest,
            socket_type: STREAM,
            op: op as u16,
            ..Self::default()
        }
    }

    /// The RST that answers a packet of no connection. `None` for an RST, which is never answered.
    pub(super) fn reset(&self) -> Option<Self> {
        (self.op != Op::Reset as u16).then_some(Self {
            src_cid: self.dst_cid,
            dst_cid: self.src_cid,
            src_port: self.dst_port,
            dst_port: self.src_port,
            socket_type: self.socket_type,
            op: Op::Reset as u16,
            ..Self::default()
        })
    }

    /// The ends that a packet of the guest names.
    pub(super) fn ports(&self) -> Ports {
        Ports { host: self.dst_port, guest: self.src_port }
    }

    /// As it lies in guest memory: little-endian, without gaps.
    pub(super) fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Self {
        let mut at = 0;
        let mut next = |len: usize| {
            let field = bytes.iter().skip(at).take(len).rev();
            at += len;
            field.fold(0, |value, &byte| value << 8 | u64::from(byte))
        };
        Self {
            src_cid: next(8),
            dst_cid: next(8),
            src_port: next(4) as u32,
            dst_port: next(4) as u32,
            len: next(4) as u32,
            socket_type: next(2) as u16,
            op: next(2) as u16,
            flags: next(4) as u32,
            buf_alloc: next(4) as u32,
            fwd_cnt: next(4) as u32,
        }
    }

    /// The reverse of [`from_bytes`](Self::from_bytes).
    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let fields = [
            self.src_cid.to_le_bytes().as_slice(),
            &self.dst_cid.to_le_bytes(),
            &self.src_port.to_le_bytes(),
            &self.dst_port.to_le_bytes(),
            &self.len.to_le_bytes(),
            &self.socket_type.to_le_bytes(),
            &self.op.to_le_bytes(),
            &self.flags.to_le_bytes(),
            &self.buf_alloc.to_le_bytes(),
            &self.fwd_cnt.to_le_bytes(),
        ]
        .concat();
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(&fields);
        bytes
    }
}
