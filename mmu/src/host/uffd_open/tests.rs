//! Opening with permission, and what is said without.

#![expect(unsafe_code, reason = "a thread gives its privileges up by a raw system call")]

use super::*;

#[test]
fn this_machine_hands_one_out() {
    open().expect("these tests need permission for userfaultfd");
}

#[test]
fn a_refusal_names_the_command_that_grants() {
    let refused = std::thread::spawn(|| {
        let nobody: libc::uid_t = 65534;
        // SAFETY: the raw system call changes the user of this thread only, which ends here.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
        assert_eq!(result, 0, "this test needs root");
        open().map(|_| ()).expect_err("nobody has no permission")
    })
    .join()
    .expect("the thread ends well");
    let text = refused.to_string();
    assert!(text.contains("Run: sudo "), "{text}");
    assert!(text.contains("userfaultfd"), "{text}");
}
