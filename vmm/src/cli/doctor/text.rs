//! The report for people.

use std::io::{self, Write};

use super::Report;
use super::doorbell::Doorbell;
use super::kvm::KvmReport;
use super::limits::Limits;

/// Exits that take longer than this have more than hardware in their way.
const SLOW_EXIT_US: f64 = 10.0;

/// Writes the report.
pub(super) fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "Linux {}\n", report.kernel)?;
    kvm(&report.kvm, to)?;
    writeln!(to, "\nGuests that can run here")?;
    for answer in &report.guests {
        let can = if answer.works { "yes" } else { "NO" };
        line(to, answer.guests, &format!("{can}: {}", answer.why))?;
    }
    writeln!(to, "\nGuest memory")?;
    match (&report.userfaultfd.source, &report.userfaultfd.problem) {
        (Some(source), _) => {
            let from = match source {
                pincow_mmu::host::UffdSource::Device => "/dev/userfaultfd",
                pincow_mmu::host::UffdSource::Syscall => "the system call",
            };
            line(to, "userfaultfd", &format!("yes, from {from}"))?;
        }
        (None, problem) => line(to, "userfaultfd", &format!("NO: {}", text(problem)))?,
    }
    for feature in &report.features {
        let answer = match feature.present {
            true => "yes".to_owned(),
            false => format!("no (Linux {}): {}", feature.since, feature.without),
        };
        line(to, feature.name, &answer)?;
    }
    limits(&report.limits, to)?;
    writeln!(to, "\nCommands")?;
    for verdict in report.commands.iter() {
        let missing: Vec<_> = verdict.missing.iter().map(|missing| missing.what).collect();
        let answer = match verdict.works {
            true => "works".to_owned(),
            false => format!("CANNOT RUN without {}: see above", missing.join(" and ")),
        };
        line(to, verdict.command, &answer)?;
    }
    Ok(())
}

fn kvm(kvm: &KvmReport, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "KVM")?;
    match &kvm.problem {
        Some(problem) => line(to, "/dev/kvm", &format!("NO: {problem}"))?,
        None => {
            let (api, vcpus) = (kvm.api_version.unwrap_or(0), kvm.max_vcpus.unwrap_or(0));
            line(to, "/dev/kvm", &format!("yes, API version {api}, up to {vcpus} vCPUs a guest"))?;
        }
    }
    let said: Vec<_> = (kvm.modules.iter().map(|module| (*module).to_owned()))
        .chain(kvm.parameters.iter().map(|(name, value)| format!("{name}={value}")))
        .chain(kvm.cpu_flags.iter().map(|flag| format!("CPU flag {flag}")))
        .collect();
    line(to, "kind", &format!("{} ({})", kvm.kind.words(), said.join(", ")))?;
    line(to, "guests' addresses", kvm.paging.words())?;
    if let Some(exit) = kvm.exit_us {
        let slow = if exit.p50 > SLOW_EXIT_US { "; hardware alone takes 1 to 2" } else { "" };
        line(to, "an exit and back", &format!("{} us (p99 {}){slow}", exit.p50, exit.p99))?;
    }
    if let Some(doorbell) = &kvm.doorbell {
        line(to, "a doorbell", &doorbell_words(doorbell))?;
    }
    Ok(())
}

fn doorbell_words(doorbell: &Doorbell) -> String {
    let exit = doorbell.as_exit_us;
    match (doorbell.in_kernel_us, doorbell.ratio_p50) {
        (Some(kernel), Some(ratio)) => format!(
            "{} us (p99 {}) in the kernel, {ratio} of the {} (p99 {}) that it takes as an exit",
            kernel.p50, kernel.p99, exit.p50, exit.p99
        ),
        _ => format!(
            "{} us (p99 {}), as an exit: this KVM has no KVM_CAP_IOEVENTFD (Linux 2.6.32)",
            exit.p50, exit.p99
        ),
    }
}

fn limits(limits: &Limits, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "\nLimits (guests: of 64 MiB each, in one process, roughly)")?;
    let mappings = format!(
        "{}: {} guests, or {} whose memory was written at random all over (more cost more memory \
         each); more: sudo sysctl -w vm.max_map_count=1048576",
        limits.max_map_count, limits.guests_by_mappings, limits.guests_by_mappings_torn
    );
    line(to, "mappings", &mappings)?;
    let files = match (limits.open_files, limits.guests_by_open_files) {
        (Some(files), Some(guests)) => format!("{files}: {guests} guests; more: ulimit -n"),
        _ => "no limit".to_owned(),
    };
    line(to, "open files", &files)?;
    let threads = limits.threads.map_or_else(|| "unknown".to_owned(), |most| most.to_string());
    line(to, "threads", &format!("{threads}; a guest takes one for each vCPU, and KVM one more"))?;
    let mib = |bytes: u64| bytes >> 20;
    let (all, free) = (mib(limits.memory_bytes), mib(limits.available_bytes));
    line(to, "memory", &format!("{all} MiB, {free} MiB of it available"))?;
    let (huge, effect) = (&limits.shmem_huge_pages, limits.shmem_huge_pages_effect);
    line(to, "huge pages for shared memory", &format!("{huge}: {effect}"))
}

fn text(problem: &Option<String>) -> &str {
    problem.as_deref().unwrap_or("for no reason that the kernel tells")
}

/// A name and what is to be said of it, broken where a terminal ends.
fn line(to: &mut dyn Write, name: &str, answer: &str) -> io::Result<()> {
    const NAME_WIDTH: usize = 29;
    const ANSWER_WIDTH: usize = 68;
    let mut lines = vec![String::new()];
    for word in answer.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > ANSWER_WIDTH {
            lines.push(word.to_owned());
        } else {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last] += &format!("{space}{word}");
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let name = if at == 0 { name } else { "" };
        writeln!(to, "  {name:NAME_WIDTH$}  {line}")?;
    }
    Ok(())
}
