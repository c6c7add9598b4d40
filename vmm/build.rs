//! Compiles the guest payload, which `src/payload.rs` embeds.
//!
//! It calls `rustc` itself, crate by crate: a nested `cargo` would need a second target directory,
//! and would take over flags (coverage, sanitizers, profiles) that a freestanding program cannot
//! have. The payload is always optimised, whatever the profile of the monitor.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pincow_guest_protocol::map::PAYLOAD_BASE;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let out = path_of("OUT_DIR");
    let guest = path_of("CARGO_MANIFEST_DIR").join("../guest");
    for input in ["src", "protocol/src"] {
        println!("cargo::rerun-if-changed={}", guest.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");

    let payload = Payload { guest, out };
    payload.library("pincow_guest_protocol", "protocol/src/lib.rs", None);
    payload.library("pincow_guest", "src/lib.rs", Some("pincow_guest_protocol"));
    payload.image("src/payload.rs", "pincow_guest", "payload.elf");
}

/// Where the payload comes from and goes to.
struct Payload {
    guest: PathBuf,
    out: PathBuf,
}

impl Payload {
    /// Compiles a crate of the payload to an rlib.
    fn library(&self, name: &str, source: &str, dependency: Option<&str>) {
        let mut rustc = self.rustc(source);
        rustc.args(["--crate-type=rlib", "--crate-name", name]);
        rustc.arg("-o").arg(self.rlib(name));
        if let Some(dependency) = dependency {
            self.depend(&mut rustc, dependency);
        }
        run(&mut rustc);
    }

    /// Links the payload: a static executable at a fixed place, with nothing from the host.
    fn image(&self, source: &str, library: &str, image: &str) {
        let mut rustc = self.rustc(source);
        rustc.args(["--crate-type=bin", "--crate-name=payload"]);
        rustc.args(["-Clinker=rust-lld", "-Clinker-flavor=ld.lld", "-Clink-self-contained=no"]);
        for argument in
            ["-nostdlib", "-static", "--build-id=none", "-znorelro", "--no-eh-frame-hdr"]
        {
            rustc.arg(format!("-Clink-arg={argument}"));
        }
        rustc.arg(format!("-Clink-arg=--image-base={PAYLOAD_BASE:#x}"));
        rustc.arg("-o").arg(self.out.join(image));
        self.depend(&mut rustc, library);
        run(&mut rustc);
    }

    /// The compiler, with what all crates of the payload have in common.
    fn rustc(&self, source: &str) -> Command {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.arg(self.guest.join(source));
        rustc.args(["--edition=2024", "--target", TARGET]);
        rustc.args(["-Copt-level=3", "-Cpanic=abort", "-Crelocation-model=static"]);
        rustc.args(["-Ccodegen-units=1", "-Cembed-bitcode=no", "-Cstrip=debuginfo"]);
        // Messages of the payload name the source as it lies in the repository.
        let mut remap = OsString::from("--remap-path-prefix=");
        remap.push(&self.guest);
        remap.push("=guest");
        rustc.arg(remap);
        rustc
    }

    fn depend(&self, rustc: &mut Command, library: &str) {
        rustc.arg("-L").arg(&self.out);
        rustc.arg("--extern").arg(format!("{library}={}", self.rlib(library).display()));
    }

    fn rlib(&self, name: &str) -> PathBuf {
        self.out.join(format!("lib{name}.rlib"))
    }
}

fn run(rustc: &mut Command) {
    let status = rustc.status().unwrap_or_else(|error| panic!("cannot start {rustc:?}: {error}"));
    assert!(
        status.success(),
        "the guest payload does not compile ({status}); it needs the target {TARGET} \
         (rustup target add {TARGET}) and rust-lld, which comes with rustc: {rustc:?}"
    );
}

fn path_of(variable: &str) -> PathBuf {
    let value = env::var_os(variable).unwrap_or_else(|| panic!("cargo sets {variable}"));
    Path::new(&value).to_path_buf()
}
