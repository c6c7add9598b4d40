//! `pincow bench boot` on the page.

use super::Bench;
use super::answers::{self, Made};

pub(super) const BENCH: Bench = Bench {
    name: "boot",
    title: "New guests",
    text: "From the call to the first answer of a new guest's own vCPU, one guest at a time, by guest \
           memory. The floor is a virtual machine made of the bare KVM calls over new memory with the \
           bytes that the payload needs: up to its first exit, and up to the same answer.",
    draw: |runs| answers::draw(runs, &BOOTS),
};

const BOOTS: Made = Made {
    samples: "boot_samples_us",
    title: "How long a boot takes",
    axis: "from the call to the guest's answer, \u{b5}s",
    headings: Made::headings("boot p50 (\u{b5}s)"),
};
