//! The table as the design has it, cell by cell, against what the rule core says.

use super::*;

/// Columns as in `RuleSet::ALL`: single-refcount, literal, busy, refcount, pin-bias, exclusive,
/// wait, short-read, mapcount.
const EXPECTED: &str = "
    reuse   reuse reuse reuse reuse reuse   reuse   reuse   reuse
    copy    copy  copy  copy  copy  copy    copy    copy    copy
    copy    copy  copy  copy  copy  copy    copy    copy    reuse
    copy    copy  copy  copy  copy  copy    copy    copy    copy
    copy    copy  copy  copy  copy  copy    copy    copy    reuse
    copy    copy  copy  copy  copy  reuse   reuse   reuse   reuse
    copy    copy  copy  copy  copy  copy    copy    copy    reuse
    copy    copy  copy  copy  copy  reuse   reuse   reuse   reuse
    copy    copy  copy  copy  copy  copy    WAIT    copy    reuse
    copy    copy  copy  copy  copy  copy    WAIT    copy    copy

    share   share share share share share   share   share   share
    share   share share share share share   share   share   share
    copy    copy  BUSY  copy  copy  copy    WAIT    copy    share
    copy    copy  BUSY  copy  copy  copy    copy    copy    share
    copy    copy  BUSY  copy  copy  copy    share   share   share
    share   share share copy  copy  copy    copy    copy    share
    share   share share copy  copy  share   share   share   share
    copy    copy  BUSY  share share share   share   share   share
    copy    copy  BUSY  share copy  share   share   share   share

    fault   fault fault fault fault fault   fault   fault   fault
    fault   -     -     -     -     unshare unshare unshare -
    fault   -     -     -     -     unshare -       -       -
    fault   -     -     -     -     private private private -
    fault   -     -     -     -     -       -       -       -

    allow   allow allow allow allow allow   allow   allow   allow
    BUSY    BUSY  BUSY  allow allow allow   allow   allow   allow

    allow   allow allow allow allow allow   allow   allow   allow
    BUSY    BUSY  BUSY  BUSY  BUSY  BUSY    WAIT    BUSY    allow
    BUSY    BUSY  BUSY  allow allow allow   allow   allow   allow
    BUSY    BUSY  BUSY  allow BUSY  allow   allow   allow   allow
    allow   allow allow BUSY  BUSY  BUSY    WAIT    BUSY    allow
";

#[test]
fn every_cell_is_what_the_design_says() {
    let lines: Vec<_> = EXPECTED.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), ROWS.len());
    for (line, row) in lines.iter().zip(&ROWS) {
        let answers = RuleSet::ALL.map(|set| row.answer(set));
        let expected: Vec<_> = line.split_whitespace().collect();
        assert_eq!(answers.as_slice(), expected, "{:?}, {}", row.event, row.situation);
    }
}

#[test]
fn rows_of_one_event_stand_together_and_differ() {
    let mut headings: Vec<_> = ROWS.iter().map(|row| row.event.heading()).collect();
    headings.dedup();
    assert_eq!(headings.len(), 5);
    let situations: std::collections::BTreeSet<_> =
        ROWS.iter().map(|row| (row.event.heading(), row.situation)).collect();
    assert_eq!(situations.len(), ROWS.len());
}

#[test]
fn the_legend_explains_every_answer() {
    for row in &ROWS {
        for set in RuleSet::ALL {
            let answer = row.answer(set);
            assert!(answer == "-" || LEGEND.contains(&format!("{answer}:")), "{answer}");
        }
    }
}
