//! What a disk is like, and how a guest is told (section 5.2.4).

use serde::{Deserialize, Serialize};
use thiserror::Error;
use virtio_bindings::virtio_blk as abi;

use super::decode::{on_disk, whole_sectors};
use super::request::{ID_LEN, Kind, Request, SECTOR, Status};
use crate::virtio::features::COMMON;

#[cfg(test)]
mod tests;

/// Segments of one request, header and status not counted.
const SEG_MAX: u32 = 254;
/// Bytes of one segment.
const SIZE_MAX: u32 = 128 << 10;
/// Bytes of one request: what a driver that keeps to the two above can ask for.
const LEN_MAX: u32 = SEG_MAX * SIZE_MAX;
/// Ranges of one discard or write zeroes.
const RANGES_MAX: u32 = 16;
/// Sectors of one range: 2 GiB.
const RANGE_SECTORS_MAX: u32 = 4 << 20;
/// Queues of one disk.
const QUEUES_MAX: u16 = 16;
/// The largest queue of a disk. Requests in flight are bounded by it, and so is the memory they take.
const QUEUE_SIZE_MAX: u16 = 1024;

/// Length of the configuration space up to the last field that is offered, in bytes.
const CONFIG_LEN: usize = 60;

/// How a disk is to be offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkOptions {
    /// Length in sectors of 512 bytes.
    pub capacity: u64,
    /// What a guest should align its requests to, in bytes: a power of two from 512 on.
    pub block_size: u32,
    /// Blocks of one physical block, as a power of two.
    pub physical_block_exponent: u8,
    /// The best length of a request, in blocks; 0 when it does not matter.
    pub optimal_blocks: u32,
    /// Requests that change the disk fail.
    pub read_only: bool,
    /// Queues, from 1 to 16.
    pub queues: u16,
    /// Entries of each queue: a power of two up to 1024.
    pub queue_size: u16,
    /// The disk's name, of which a guest is given 20 bytes.
    pub id: String,
}

impl Default for BlkOptions {
    /// An empty disk.
    fn default() -> Self {
        Self {
            capacity: 0,
            block_size: 512,
            physical_block_exponent: 3,
            optimal_blocks: 0,
            read_only: false,
            queues: 1,
            queue_size: 128,
            id: "pincow".into(),
        }
    }
}

/// Options that no disk can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// The block size is wrong.
    #[error("a block size of {0} bytes: it is a power of two from 512 to 65536")]
    BlockSize(u32),
    /// The physical block size is wrong.
    #[error("2^{0} blocks in a physical block: at most 2^7")]
    PhysicalBlock(u8),
    /// The number of queues is wrong.
    #[error("{0} queues: a disk has 1 to 16")]
    Queues(u16),
    /// The length of queues is wrong.
    #[error("queues of {0} entries: a power of two up to 1024")]
    QueueSize(u16),
    /// The disk is not a whole number of blocks.
    #[error("{capacity} sectors are not a whole number of blocks of {block_size} bytes")]
    Capacity {
        /// In sectors of 512 bytes.
        capacity: u64,
        /// In bytes.
        block_size: u32,
    },
}

/// Valid [`BlkOptions`], and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlkConfig {
    options: BlkOptions,
}

impl TryFrom<BlkOptions> for BlkConfig {
    type Error = OptionsError;

    fn try_from(options: BlkOptions) -> Result<Self, OptionsError> {
        let BlkOptions { capacity, block_size, queues, queue_size, .. } = options;
        if !block_size.is_power_of_two() || !(512..=65536).contains(&block_size) {
            return Err(OptionsError::BlockSize(block_size));
        }
        if options.physical_block_exponent > 7 {
            return Err(OptionsError::PhysicalBlock(options.physical_block_exponent));
        }
        if !(1..=QUEUES_MAX).contains(&queues) {
            return Err(OptionsError::Queues(queues));
        }
        if !queue_size.is_power_of_two() || queue_size > QUEUE_SIZE_MAX {
            return Err(OptionsError::QueueSize(queue_size));
        }
        if !capacity.is_multiple_of(u64::from(block_size) / SECTOR) {
            return Err(OptionsError::Capacity { capacity, block_size });
        }
        Ok(Self { options })
    }
}

impl BlkConfig {
    /// The options.
    #[must_use]
    pub fn options(&self) -> &BlkOptions {
        &self.options
    }

    /// What is offered (section 5.2.3).
    #[must_use]
    pub fn features(&self) -> u64 {
        let bit = |number: u32, on: bool| u64::from(on) << number;
        let writable = !self.options.read_only;
        COMMON
            | bit(abi::VIRTIO_BLK_F_SIZE_MAX, true)
            | bit(abi::VIRTIO_BLK_F_SEG_MAX, true)
            | bit(abi::VIRTIO_BLK_F_BLK_SIZE, true)
            | bit(abi::VIRTIO_BLK_F_TOPOLOGY, true)
            | bit(abi::VIRTIO_BLK_F_FLUSH, true)
            | bit(abi::VIRTIO_BLK_F_RO, self.options.read_only)
            | bit(abi::VIRTIO_BLK_F_MQ, self.options.queues > 1)
            | bit(abi::VIRTIO_BLK_F_DISCARD, writable)
            | bit(abi::VIRTIO_BLK_F_WRITE_ZEROES, writable)
    }

    /// The configuration space (`struct virtio_blk_config`).
    fn space(&self) -> [u8; CONFIG_LEN] {
        let options = &self.options;
        let mut space = [0; CONFIG_LEN];
        let mut put = |at: usize, bytes: &[u8]| {
            for (place, byte) in space.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
        };
        let align = (options.block_size / 512).to_le_bytes();
        put(0, &options.capacity.to_le_bytes());
        put(8, &SIZE_MAX.to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &options.block_size.to_le_bytes());
        put(24, &[options.physical_block_exponent, 0]);
        put(26, &1_u16.to_le_bytes());
        put(28, &options.optimal_blocks.to_le_bytes());
        put(34, &options.queues.to_le_bytes());
        if !options.read_only {
            put(36, &RANGE_SECTORS_MAX.to_le_bytes());
            put(40, &RANGES_MAX.to_le_bytes());
            put(44, &align);
            put(48, &RANGE_SECTORS_MAX.to_le_bytes());
            put(52, &RANGES_MAX.to_le_bytes());
            put(56, &[1]);
        }
        space
    }

    /// Fills `data` from `offset` of the configuration space on. What lies beyond stays as it is.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        for (byte, value) in data.iter_mut().zip(self.space().iter().skip(offset)) {
            *byte = *value;
        }
    }

    /// The disk's name as a guest is given it, filled up with zeros.
    #[must_use]
    pub fn id(&self) -> [u8; ID_LEN] {
        let mut id = [0; ID_LEN];
        for (place, byte) in id.iter_mut().zip(self.options.id.bytes()) {
            *place = byte;
        }
        id
    }

    /// How many ranges a discard or write zeroes may list.
    pub(super) fn most_ranges(&self) -> usize {
        RANGES_MAX as usize
    }

    /// Whether this disk carries out `request`.
    ///
    /// # Errors
    /// What to answer instead.
    pub(super) fn permits(&self, request: &Request) -> Result<(), Status> {
        let BlkOptions { capacity, read_only, .. } = self.options;
        let permitted = match request.kind {
            Kind::In | Kind::Out => {
                let len = request.data_len;
                let fits = on_disk(request.sector, request.sectors(), capacity);
                whole_sectors(len) && len <= LEN_MAX && fits
            }
            Kind::Discard | Kind::WriteZeroes => {
                let fits = request.ranges.iter().all(|range| {
                    range.sectors <= RANGE_SECTORS_MAX
                        && on_disk(range.sector, range.sectors.into(), capacity)
                });
                !request.ranges.is_empty() && request.ranges.len() <= RANGES_MAX as usize && fits
            }
            Kind::GetId => request.data_len as usize <= ID_LEN,
            Kind::Flush => true,
            Kind::Unsupported(_) => return Err(Status::Unsupported),
        };
        let refused = request.kind.writes() && read_only;
        (permitted && !refused).then_some(()).ok_or(Status::IoError)
    }
}
