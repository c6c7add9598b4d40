//! Who takes memory back.

/// What takes memory back from a guest.
pub trait Reclaim: Send {
    /// Gives up the memory of `pages` pages from number `first` on, which lie in guest memory; they
    /// read as zeros afterwards. How many of them it did that to: those that are pinned are left as they
    /// are, and so are those for which the host has no room.
    fn reclaim(&mut self, first: u32, pages: u32) -> u32;
}
