//! What a guest says of its own work, in the last lines of `images/guest/workload`.

/// What fio says of a block that is not what it wrote, at once. It may be long before it ends then.
pub(crate) const WRONG: &str = "verify: ";

/// The lines of the workload, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// 0 where all that was read of the disk was what had been written.
    pub(crate) disk: u64,
    /// How often the disk was read.
    pub(crate) reads: u64,
    /// The same of memory.
    pub(crate) memory: u64,
    /// How often memory was written and compared.
    pub(crate) rounds: u64,
    /// Suspicious lines in the kernel's log.
    pub(crate) log_lines: u64,
    /// How often the clock went back.
    pub(crate) clock_steps: u64,
    /// The guest's time of day, in seconds since 1970.
    pub(crate) seconds: u64,
    /// 16 random bytes.
    pub(crate) random: String,
    /// The generation ID.
    pub(crate) generation: String,
}

impl Verdict {
    /// The verdict in what a guest has printed. `None` where it did not come to one.
    pub(crate) fn find(console: &str) -> Option<Self> {
        said(console, "over")?;
        let [disk, reads] = numbers(said(console, "disk")?)?;
        let [memory, rounds] = numbers(said(console, "memory")?)?;
        let [log_lines] = numbers(said(console, "log")?)?;
        let [clock_steps, seconds] = numbers(said(console, "clock")?)?;
        let hex = |name| said(console, name).filter(|hex| hex.len() == 32).map(str::to_owned);
        let (random, generation) = (hex("random")?, hex("generation")?);
        Some(Self {
            disk,
            reads,
            memory,
            rounds,
            log_lines,
            clock_steps,
            seconds,
            random,
            generation,
        })
    }

    /// What is wrong by the guest's own account.
    pub(crate) fn findings(&self) -> Vec<String> {
        let Self { disk, reads, memory, rounds, log_lines, clock_steps, .. } = self;
        let found = [
            (*disk != 0).then(|| format!("the disk is not what was written: status {disk}")),
            (*reads == 0).then(|| "the disk was never read".to_owned()),
            (*memory != 0).then(|| format!("memory is not what was written: status {memory}")),
            (*rounds == 0).then(|| "memory was never compared".to_owned()),
            (*log_lines != 0).then(|| format!("{log_lines} suspicious lines in the kernel's log")),
            (*clock_steps != 0).then(|| format!("the clock went back {clock_steps} times")),
        ];
        found.into_iter().flatten().collect()
    }
}

/// What the last line of the workload that begins with `name` says after it.
fn said<'a>(console: &'a str, name: &str) -> Option<&'a str> {
    let line = |line: &'a str| line.strip_prefix("workload: ")?.strip_prefix(name);
    console.lines().rev().find_map(line).map(str::trim)
}

fn numbers<const N: usize>(words: &str) -> Option<[u64; N]> {
    let numbers: Option<Vec<u64>> = words.split(' ').map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[test]
fn a_verdict_is_found_and_judged() {
    let said = "workload: begun\r\nstop\r\n\nworkload: disk 4 300\r\n\nworkload: memory 1 17\r\n\
                workload: log 2\r\nworkload: clock 3 1790000000\r\n\
                workload: random 000102030405060708090a0b0c0d0e0f\r\n\
                workload: generation 101112131415161718191a1b1c1d1e1f\r\nworkload: over\r\n";
    let verdict = Verdict::find(said).expect("a verdict");
    assert_eq!((verdict.disk, verdict.reads, verdict.memory, verdict.rounds), (4, 300, 1, 17));
    assert_eq!((verdict.clock_steps, verdict.seconds), (3, 1_790_000_000));
    assert_eq!(verdict.findings().len(), 4);
    for (what, instead) in [
        ("over", "ov"),
        ("0f\r", "\r"),
        ("1f\r", "\r"),
        ("log 2", "log"),
        ("memory 1 17", "memory 1"),
        ("disk 4 300", "disk 4"),
    ] {
        assert_eq!(Verdict::find(&said.replace(what, instead)), None, "{instead}");
    }
}
