use crate::scenario::{Op, Script};

fn error(text: &str) -> String {
    Script::parse_all("dir/x.scn", text).unwrap_err().to_string()
}

#[test]
fn every_operation_reads_back_as_it_is_written() {
    let text = "\
scenario all_of_them
write P
read P
fork P C
pin P W long p
pin C R short q uncounted
dma_write p
dma_read q
unpin p
destroy C
unpin q
write_protect P
evict P
hold P
release P
";
    let scripts = Script::parse_all("-", text).unwrap();
    assert_eq!(scripts.len(), 1);
    assert_eq!(scripts[0].to_string(), text);
    assert_eq!(scripts[0].lines, (2..16).collect::<Vec<_>>());
    assert_eq!(scripts[0], Script::new("all_of_them", scripts[0].ops.clone()));
}

#[test]
fn comments_blanks_and_line_ends_do_not_matter() {
    let text =
        "# first\n\n \tscenario\tA # one\r\n  write   P# no blank\r\n#scenario B\nscenario B";
    let scripts = Script::parse_all("-", text).unwrap();
    let ids: Vec<_> = scripts.iter().map(|script| script.id.as_str()).collect();
    assert_eq!(ids, ["A", "B"]);
    assert_eq!(scripts[0].ops, [Op::Write("P".to_owned())]);
    assert_eq!(scripts[0].lines, [4]);
    assert!(scripts[1].ops.is_empty());
}

#[test]
fn without_a_scenario_line_the_file_names_it() {
    let id = |file: &str| Script::parse_all(file, "read P").unwrap()[0].id.clone();
    assert_eq!(id("-"), "-");
    assert_eq!(id("dir/x.scn"), "x.scn");
    let two = Script::parse_all("x.scn", "read P\nscenario A\nread P").unwrap();
    assert_eq!((two[0].id.as_str(), two[1].id.as_str()), ("x.scn", "A"));
}

#[test]
fn names_live_and_end() {
    let text = "
scenario the_name_of_the_dead_is_free
fork P C
destroy P
fork C P
pin P R long P
unpin P
pin C W long P
dma_write P
scenario names_start_afresh
fork P C
pin P R long P
scenario a_hold_ends_with_its_guest
hold P
fork P C
destroy P
fork C P
hold P
";
    assert_eq!(Script::parse_all("-", text).unwrap().len(), 3);
}

#[test]
fn malformed_lines_are_named_with_their_reason() {
    for (text, expected) in [
        ("read P\nfrob P", "2: `frob` is not an operation"),
        ("Write P", "1: `Write` is not an operation"),
        ("write", "1: `write` needs a guest"),
        ("fork P", "1: `fork` needs a name for the child"),
        ("pin P R long", "1: `pin` needs a name for the pin"),
        ("pin P", "1: `pin` needs a direction, R or W"),
        ("pin P R", "1: `pin` needs a duration, short or long"),
        ("scenario # A", "1: `scenario` needs an ID"),
        ("write P C", "1: `write` takes no further `C`"),
        ("scenario A B", "1: `scenario` takes no further `B`"),
        ("pin P R long p uncounted q", "1: `pin` takes no further `q`"),
        ("pin P r long p", "1: `r` is not a direction: R (the device reads) or W (it writes)"),
        ("pin P R p", "1: `p` is not a duration: short or long"),
        (
            "pin P R long p counted",
            "1: `counted` is not `uncounted`, the only word that may follow a pin's name",
        ),
        ("fork P C-1", "1: `C-1` is not a name: names are letters, digits and `_`"),
        ("read C", "1: there was never a guest `C`"),
        ("dma_read p", "1: there was never a pin `p`"),
        ("fork P C\ndestroy C\nread C", "3: the guest `C` is gone"),
        ("pin P R long p\nunpin p\nunpin p", "3: the pin `p` is gone"),
        ("fork P P", "1: there is a guest `P` already"),
        ("pin P R long p\npin P W long p", "2: there is a pin `p` already"),
        ("pin P R long p\ndma_write p", "2: `p` is an R pin, and `dma_write` needs a W pin"),
        ("hold P\nhold P", "2: guest `P` has a hold already"),
        ("release P", "1: guest `P` has no hold"),
        ("scenario A\nscenario A", "2: there is a scenario `A` already"),
        ("", "1: there is no scenario"),
        ("# nothing\n\n", "1: there is no scenario"),
    ] {
        assert_eq!(error(text), format!("dir/x.scn:{expected}"), "{text:?}");
    }
}

#[test]
fn nothing_of_an_input_remains_when_its_end_is_malformed() {
    assert_eq!(
        error("scenario A\nread P\nscenario B\nread C"),
        "dir/x.scn:4: there was never a guest `C`"
    );
}
