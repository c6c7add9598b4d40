use super::*;

#[test]
fn names_are_those_that_a_kernel_and_its_programs_take() {
    let longest = "a".repeat(MOST);
    for name in ["a", "child-{}", "{}", "a.b-c9", &longest] {
        assert_eq!(parse(name).as_deref(), Ok(name));
    }
    let too_long = "a".repeat(MOST + 1);
    for name in ["", "-a", ".a", "a b", "a_b", "a/b", "{", "ä", "a\n", &too_long] {
        assert!(parse(name).is_err(), "{name}");
    }
}
