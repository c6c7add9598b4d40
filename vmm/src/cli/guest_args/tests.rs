use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    guest: GuestArgs,
}

fn backing(line: &str) -> BackingKind {
    let words = std::iter::once("run").chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap().guest.sharing().unwrap().backing
}

#[test]
fn the_host_copies_unless_the_rules_want_to_decide_or_somebody_asks() {
    assert_eq!(backing(""), BackingKind::HostCow);
    assert_eq!(backing("--rules exclusive"), BackingKind::HostCow);
    for rules in ["wait", "refcount", "pin-bias"] {
        assert_eq!(backing(&format!("--rules {rules}")), BackingKind::Trap, "{rules}");
    }
    assert_eq!(backing("--backing trap"), BackingKind::Trap);
}
