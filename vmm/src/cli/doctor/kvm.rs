//! What kind of KVM this host has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::doorbell::{self, Doorbell};
use super::probe_guest::{self, Ring0};
use crate::cli::spread::Spread;
use crate::kvm::Host;

#[cfg(test)]
mod tests;

/// The guests that ask are done in milliseconds, or in a second where the CPU is emulated; one that is
/// not will never be.
const PATIENCE: Duration = Duration::from_secs(20);

/// The modules that give KVM its way of running guests.
const VENDOR_MODULES: [&str; 3] = ["kvm_intel", "kvm_amd", "kvm_pvm"];
/// Those of their parameters that matter here.
const PARAMETERS: [&str; 4] = ["ept", "npt", "unrestricted_guest", "nested"];
/// Those of the CPU's flags that matter here.
const CPU_FLAGS: [&str; 3] = ["vmx", "svm", "hypervisor"];

/// What runs guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The CPU, on a machine of its own.
    Hardware,
    /// The CPU, inside of another virtual machine.
    Nested,
    /// KVM itself, without help from the CPU.
    Software,
    /// No module says.
    Unknown,
}

impl Kind {
    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Hardware => "real: the CPU runs guests",
            Self::Nested => "nested: the CPU runs guests, inside of another virtual machine",
            Self::Software => "nested, in software: the CPU offers no virtualization here",
            Self::Unknown => "unknown: no module of KVM says",
        }
    }
}

/// Who translates the addresses of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Paging {
    /// The CPU of AMD.
    Npt,
    /// The CPU of Intel.
    Ept,
    /// KVM, which keeps a copy of each guest's page tables.
    Shadow,
    /// No module says.
    Unknown,
}

impl Paging {
    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Npt => "by the CPU (NPT): guests change their page tables without an exit",
            Self::Ept => "by the CPU (EPT): guests change their page tables without an exit",
            Self::Shadow => {
                "by KVM, in software (shadow paging): a guest's first access to a page is slow, and \
                 so is each change of its page tables"
            }
            Self::Unknown => "unknown: no module of KVM says",
        }
    }
}

/// What KVM offers.
#[derive(Serialize)]
pub(super) struct KvmReport {
    /// Why it cannot be used, and what to do.
    pub(super) problem: Option<String>,
    /// The version that it speaks.
    pub(super) api_version: Option<i32>,
    /// The most vCPUs of one guest.
    pub(super) max_vcpus: Option<u32>,
    /// What runs guests.
    pub(super) kind: Kind,
    /// Who translates their addresses.
    pub(super) paging: Paging,
    /// The loaded modules.
    pub(super) modules: Vec<&'static str>,
    /// Their parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// What the CPU says of itself.
    pub(super) cpu_flags: Vec<&'static str>,
    /// Whether guests can run privileged code.
    pub(super) ring0: Option<Ring0>,
    /// From the guest to this process and back.
    pub(super) exit_us: Option<Spread>,
    /// From a guest's doorbell to its next instruction.
    pub(super) doorbell: Option<Doorbell>,
}

impl KvmReport {
    /// Asks, and runs the guests that tell.
    pub(super) fn of_this_host() -> Self {
        let opened = Host::open().map(Arc::new);
        let modules = modules();
        let parameters = parameters(&modules);
        let cpu_flags = cpu_flags(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        let host = opened.as_ref().ok();
        Self {
            problem: opened.as_ref().err().map(ToString::to_string),
            api_version: host.map(|host| host.kvm().get_api_version()),
            max_vcpus: host.map(|host| host.max_vcpus()),
            kind: kind(&modules, cpu_flags.contains(&"hypervisor")),
            paging: paging(&modules, &parameters),
            parameters,
            modules,
            cpu_flags,
            ring0: host.map(|host| in_time(host, probe_guest::ring0).unwrap_or(Ring0::Hangs)),
            exit_us: host.and_then(|host| in_time(host, probe_guest::exits).flatten()),
            doorbell: host.and_then(|host| in_time(host, doorbell::cost).flatten()),
        }
    }
}

/// Has something asked of KVM on a thread of its own; nothing when it takes for ever. The thread then
/// stays where it is until the process ends.
fn in_time<T: Send + 'static>(host: &Arc<Host>, ask: fn(&Host) -> T) -> Option<T> {
    let (tell, told) = mpsc::channel();
    let host = Arc::clone(host);
    thread::Builder::new().name("pincow-probe".into()).spawn(move || tell.send(ask(&host))).ok()?;
    told.recv_timeout(PATIENCE).ok()
}

fn module_path(module: &str) -> String {
    format!("/sys/module/{module}")
}

fn modules() -> Vec<&'static str> {
    VENDOR_MODULES.into_iter().filter(|module| Path::new(&module_path(module)).exists()).collect()
}

fn parameters(modules: &[&str]) -> BTreeMap<String, String> {
    let names = modules.iter().flat_map(|module| PARAMETERS.map(|name| (*module, name)));
    let value = |(module, name): (&str, &str)| {
        let path = format!("{}/parameters/{name}", module_path(module));
        let value = fs::read_to_string(path).ok()?;
        Some((format!("{module}.{name}"), value.trim().to_owned()))
    };
    names.filter_map(value).collect()
}

fn cpu_flags(cpuinfo: &str) -> Vec<&'static str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("flags"));
    let has = |flag: &&str| line.is_some_and(|line| line.split_whitespace().any(|w| w == *flag));
    CPU_FLAGS.into_iter().filter(has).collect()
}

fn kind(modules: &[&str], in_a_guest: bool) -> Kind {
    let by_cpu = modules.iter().any(|module| matches!(*module, "kvm_intel" | "kvm_amd"));
    match (by_cpu, in_a_guest) {
        (true, false) => Kind::Hardware,
        (true, true) => Kind::Nested,
        (false, _) if modules.is_empty() => Kind::Unknown,
        (false, _) => Kind::Software,
    }
}

fn paging(modules: &[&str], parameters: &BTreeMap<String, String>) -> Paging {
    let on = |name| parameters.get(name).is_some_and(|value| value == "Y" || value == "1");
    match (on("kvm_amd.npt"), on("kvm_intel.ept")) {
        (true, _) => Paging::Npt,
        (_, true) => Paging::Ept,
        _ if modules.is_empty() => Paging::Unknown,
        _ => Paging::Shadow,
    }
}
