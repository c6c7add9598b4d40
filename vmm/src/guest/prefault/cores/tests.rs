use super::*;

#[test]
fn threads_and_cpus_are_counted() {
    assert_eq!(running("0.20 0.18 0.12 3/80 11206\n"), Some(3));
    assert_eq!(running("0.20 0.18"), None);
    assert_eq!(count("0-3,8\n"), Some(5));
    assert_eq!(count("0"), Some(1));
    assert_eq!((count(""), count("3-1")), (None, None));
}

#[test]
fn there_is_a_core_unless_others_want_all_of_them() {
    let cores = Cores::new();
    assert!(cores.load.is_some() && cores.online >= 1);
    let none = Cores { online: 0, ..Cores::new() };
    assert!(!none.has_one_for_this_thread(), "this thread wants one, too");
    assert!(Cores { online: usize::MAX, ..cores }.has_one_for_this_thread());
    assert!(!Cores { load: None, online: 2 }.has_one_for_this_thread());
}
