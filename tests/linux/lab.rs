//! What tests of Linux guests need, where there is something to test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pincow_vmm::boot::linux::{Linux, Protocol};
use pincow_vmm::kvm::Host;
use pincow_vmm::machine::ring0;

/// With what every guest here starts. QEMU's emulated AMD processor, which the bed has, lets XSETBV
/// of a guest through to its host, so guests do without XSAVE.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 noxsave quiet";

/// What a host that can run Linux has for it.
pub(crate) struct Lab {
    pub(crate) host: Arc<Host>,
    pub(crate) images: PathBuf,
}

impl Lab {
    /// `None` where there is nothing to test.
    pub(crate) fn new() -> Option<Lab> {
        let named = std::env::var_os("PINCOW_LINUX").map(PathBuf::from);
        let images = named.unwrap_or_else(|| PathBuf::from("/with/linux"));
        if !images.join("bzImage").exists() {
            eprintln!("skipped: no Linux images in {} (images/linux)", images.display());
            return None;
        }
        let host = match Host::open() {
            Ok(host) => Arc::new(host),
            Err(error) => {
                eprintln!("skipped: {error}");
                return None;
            }
        };
        if let Err(error) = ring0::check(&host) {
            eprintln!("skipped: {error}");
            return None;
        }
        Some(Lab { host, images })
    }

    /// A kernel of the images, with the initrd.
    pub(crate) fn linux(&self, kernel: &str, protocol: Option<Protocol>) -> Linux {
        linux_of(&self.images, kernel, protocol)
    }
}

/// A kernel of a folder, with the initrd.
pub(crate) fn linux_of(folder: &Path, kernel: &str, protocol: Option<Protocol>) -> Linux {
    let read = |name: &str| fs::read(folder.join(name)).expect(name);
    let initrd = Some(read("initrd"));
    Linux { kernel: read(kernel), initrd, command_line: COMMAND_LINE.to_owned(), protocol }
}
