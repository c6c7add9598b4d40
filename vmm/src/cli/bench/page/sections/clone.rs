//! `pincow bench clone` on the page.

use super::Bench;
use super::answers::{self, Made};

pub(super) const BENCH: Bench = Bench {
    name: "clone",
    title: "Clones of a snapshot",
    text: "From the call to the first answer of the child's own vCPU, one clone at a time, by guest \
           memory. The floor is a virtual machine made of the bare KVM calls over a mapping of the \
           same bytes: up to its first exit, and up to the same answer.",
    draw: |runs| answers::draw(runs, &CLONES),
};

const CLONES: Made = Made {
    samples: "clone_samples_us",
    title: "How long a clone takes",
    axis: "from the call to the child's answer, \u{b5}s",
    headings: Made::headings("clone p50 (\u{b5}s)"),
};
