//! Unmodified Linux: boots, ends, forks. On a host whose KVM runs kernels, with the files that
//! `images/linux` and `images/build small rootfs` make in $PINCOW_LINUX (or /with/linux, where `tests/npt`
//! puts them); elsewhere there is nothing to test, and the tests say so.

mod linux {
    pub(crate) mod agent;
    pub(crate) mod balloon;
    pub(crate) mod boot;
    pub(crate) mod console;
    pub(crate) mod control;
    pub(crate) mod fork;
    pub(crate) mod identity;
    pub(crate) mod lab;
    pub(crate) mod net;
    pub(crate) mod shell;
    pub(crate) mod state;
}

pub(crate) use linux::lab::Lab;
