//! The program on a host that lacks something, made of this one: another user, another `/dev`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::binary::{self, Pincow};

/// A user without any rights.
pub const NOBODY: u32 = 65_534;

/// In a mount namespace of its own: `$1` becomes `/dev`, with copies of the devices in `$2`, open
/// to all; `$3` is the user who runs the rest.
const OTHER_DEV: &str = r#"
    mount -t tmpfs -o mode=755 pincow-test "$1"
    for device in $2; do
        cp -a "/dev/$device" "$1/$device"
        chmod 0666 "$1/$device"
    done
    mount --move "$1" /dev
    user=$3
    shift 3
    exec setpriv --reuid "$user" --clear-groups "$@"
"#;

/// Whether this process may do what these tests need.
#[must_use]
pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !root {
        println!("skipped: only root can take permissions and devices away");
    }
    root
}

/// A copy of the program where every user can reach it, and an empty directory.
pub struct Elsewhere {
    directory: TempDir,
}

impl Default for Elsewhere {
    fn default() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), all).expect("our own directory");
        let elsewhere = Self { directory };
        fs::copy(binary::path(), elsewhere.program()).expect("a copy of the program");
        fs::create_dir(elsewhere.dev()).expect("an empty directory");
        elsewhere
    }
}

impl Elsewhere {
    fn program(&self) -> PathBuf {
        self.directory.path().join("pincow")
    }

    fn dev(&self) -> PathBuf {
        self.directory.path().join("dev")
    }

    /// The program as `user`.
    #[must_use]
    pub fn as_user(&self, user: u32, args: &[&str]) -> Pincow {
        let mut command = Command::new(self.program());
        command.uid(user);
        Pincow::wrapped(command, args)
    }

    /// The program as `user`, where `/dev` has nothing but these devices, open to all.
    #[must_use]
    pub fn with_devices(&self, devices: &[&str], user: u32, args: &[&str]) -> Pincow {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-e", "-c", OTHER_DEV, "sh"]);
        command.arg(self.dev()).arg(devices.join(" ")).arg(user.to_string()).arg(self.program());
        Pincow::wrapped(command, args)
    }
}
