use std::sync::mpsc;

use super::*;
use crate::frame::MOST;

#[test]
fn a_command_has_its_arguments_output_errors_and_status() {
    let (ended, output, errors) =
        run(command(&["sh", "-c", "echo out $1; echo err >&2; exit 7", "sh", "a  b"]), b"")
            .unwrap();
    assert_eq!(ended, Ended::Exited(7));
    assert_eq!(
        (output.as_slice(), errors.as_slice()),
        (b"out a b\n".as_slice(), b"err\n".as_slice())
    );
    for (script, expected) in [
        ("exit 0", Ended::Exited(0)),
        ("exit 255", Ended::Exited(255)),
        ("kill -TERM $$", Ended::Killed(15)),
        ("kill -KILL $$", Ended::Killed(9)),
    ] {
        assert_eq!(run(sh(script), b"").unwrap(), (expected, vec![], vec![]), "{script}");
    }
}

#[test]
fn a_command_has_its_environment_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let exec = Exec {
        env: vec![("WORD".into(), "a=b c".into())],
        cwd: Some(path.display().to_string()),
        ..sh("echo \"$WORD\"; pwd; test -n \"$PATH\"")
    };
    let (ended, output, _) = run(exec, b"").unwrap();
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(String::from_utf8(output).unwrap(), format!("a=b c\n{}\n", path.display()));
}

#[test]
fn input_arrives_and_ends() {
    let (ended, output, _) = run(command(&["cat"]), b"some words").unwrap();
    assert_eq!((ended, output.as_slice()), (Ended::Exited(0), b"some words".as_slice()));
}

/// More than all buffers hold, in both directions at the same time.
#[test]
fn large_data_goes_both_ways() {
    let data = pattern(5 << 20);
    let (ended, output, errors) = run(sh("tee /proc/self/fd/2"), &data).unwrap();
    assert_eq!(ended, Ended::Exited(0));
    assert!(output == data && errors == data);
    // A command that does not read, and one that does not stop at once.
    let (ended, output, _) = run(sh("exec 0<&-; echo enough; exit 3"), &data).unwrap();
    assert_eq!((ended, output.as_slice()), (Ended::Exited(3), b"enough\n".as_slice()));
    let (ended, _, _) = run(sh("head -c 1000 >/dev/null"), &data).unwrap();
    assert_eq!(ended, Ended::Exited(0));
}

#[test]
fn all_that_was_written_before_the_end_arrives() {
    for _ in 0..20 {
        let (_, output, errors) = run(sh("head -c 60000 /dev/zero; echo last >&2"), b"").unwrap();
        assert_eq!((output.len(), errors.as_slice()), (60_000, b"last\n".as_slice()));
    }
}

/// A process that stays behind, with the output in its hands, does not hold up the end.
#[test]
fn the_end_of_the_first_process_is_the_end() {
    let (agent, serving) = agent();
    let mut output = Vec::new();
    let (tell, told) = mpsc::channel();
    let script = "sleep 1000 <&0 & echo $!";
    let started = move |pid| tell.send(pid).unwrap();
    // Standard input is in its hands, too, and is more than a pipe holds.
    let input = std::io::Cursor::new(pattern(1 << 20));
    let ended = agent.exec(sh(script), input, &mut output, std::io::sink(), started);
    assert_eq!(ended.unwrap(), Ended::Exited(0));
    serving.join().unwrap();
    let stays: u32 = String::from_utf8(output).unwrap().trim().parse().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{stays}")).exists());
    // It belongs to the command's group, as long as there is one.
    let (other, _) = super::agent();
    other.signal(told.recv().unwrap(), 9).unwrap();
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let (agent, serving) = agent();
    let signal = |pid| super::agent().0.signal(pid, 15).unwrap();
    let exec = sh("sleep 1000 | sleep 1000");
    let ended = agent.exec(exec, std::io::empty(), std::io::sink(), std::io::sink(), signal);
    assert_eq!(ended.unwrap(), Ended::Killed(15));
    serving.join().unwrap();
    for (pid, signal) in [(0, 9), (1, 9), (u32::MAX, 9), (77, 0), (77, 999), (i32::MAX as u32, 9)] {
        let (agent, _) = super::agent();
        assert!(
            matches!(agent.signal(pid, signal), Err(ClientError::Refused(_))),
            "{pid} {signal}"
        );
    }
}

#[test]
fn what_cannot_be_run_is_told_apart() {
    assert_eq!(reason(run(command(&["no-such-program"]), b"")), Reason::NoProgram);
    assert_eq!(reason(run(command(&["/no/such/program"]), b"")), Reason::NoProgram);
    assert_eq!(reason(run(command(&["/etc/passwd"]), b"")), Reason::NotRunnable);
    assert_eq!(reason(run(command(&[]), b"")), Reason::Request);
    let nowhere = Exec { cwd: Some("/no/such/folder".into()), ..sh("true") };
    let refused = refusal(run(nowhere, b""));
    assert!(refused.message.contains("/no/such/folder"), "{refused:?}");
    for name in ["", "A=B", "A\0"] {
        let exec = Exec { env: vec![(name.into(), "x".into())], ..sh("true") };
        assert_eq!(reason(run(exec, b"")), Reason::Request, "{name:?}");
    }
    assert!(matches!(run(sh("tru\0e"), b""), Err(ClientError::Refused(_))));
    let long = run(command(&["echo", &"x".repeat(MOST)]), b"").unwrap_err();
    assert!(matches!(long, ClientError::Send(_)), "{long}");
}

/// As in the child of a fork, where all connections are reset.
#[test]
fn a_command_outlives_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, done) = (folder.path().join("begun"), folder.path().join("done"));
    let script = format!(
        "touch {}; while read line; do :; done; yes | head -c 1000000; touch {}",
        begun.display(),
        done.display()
    );
    let (near, serving) = raw();
    let request = serde_json::json!({
        "version": 1, "action": { "exec": { "argv": ["sh", "-c", script] } }
    });
    crate::frame::write(&near, crate::frame::Kind::Request, request.to_string().as_bytes())
        .unwrap();
    while !begun.exists() {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(near);
    serving.join().unwrap();
    assert!(done.exists());
}
