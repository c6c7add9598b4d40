//! Waiting for descriptors.

#![expect(unsafe_code, reason = "ppoll is given an array by address")]

use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

/// Waits until one of `descriptors` is readable or `timeout` has passed; `None` waits for ever. May
/// return early, for a signal.
pub(crate) fn wait_readable(descriptors: &[RawFd], timeout: Option<Duration>) {
    let mut polls: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let until = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `polls` is as long as is said, and the timeout is null or lives until the end.
    let _ =
        unsafe { libc::ppoll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, until, ptr::null()) };
}
