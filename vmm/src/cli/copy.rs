//! `pincow copy`.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use super::agent_args::AgentArgs;
use super::remote::Name;
use super::{Failure, Outcome};

#[cfg(test)]
mod tests;

/// Copy a file into a Linux guest, or out of it.
///
/// One of the two names is in the guest, and begins with the guest's ID as `pincow ps` lists it and a
/// colon, or with `guest:` if its socket is given (--vsock). The other may be `-`, for standard
/// input or output. A file appears whole or not at all, with the permission bits of the one that it
/// is a copy of. What it replaces must be a regular file. For folders, see the `tar` of
/// `pincow exec --help`.
///
///   pincow copy ./tool 4711.1:/usr/local/bin/tool
///   pincow copy --vsock guest.sock guest:/var/log/messages -
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,

    /// What to copy.
    from: Place,

    /// Where to.
    to: Place,
}

/// What stands before a name in the guest.
const GUEST: &str = "guest:";

/// The permission bits of what standard input becomes.
const MODE: u32 = 0o644;

/// A file, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Guest(Option<Name>, String),
    Host(PathBuf),
    Standard,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.split_once(':').and_then(|(id, path)| Some((id.parse().ok()?, path)));
        let place = match named {
            Some((id, path)) => Some((Some(id), path)),
            None => text.strip_prefix(GUEST).map(|path| (None, path)),
        };
        match place {
            Some((_, "")) => Err(format!("name the file in the guest, such as {GUEST}/etc/hosts")),
            Some((id, path)) => Ok(Self::Guest(id, path.to_owned())),
            None if text.is_empty() => Err("name a file".to_owned()),
            None if text == "-" => Ok(Self::Standard),
            None => Ok(Self::Host(text.into())),
        }
    }
}

pub(super) fn run(args: Args) -> Outcome {
    let agent = |id: &Option<Name>| args.agent.connect(*id);
    match (&args.from, &args.to) {
        (Place::Host(from), Place::Guest(id, to)) => {
            let (file, mode) = open(from)?;
            agent(id)?.put(to, mode, from, file)?;
        }
        (Place::Standard, Place::Guest(id, to)) => {
            agent(id)?.put(to, MODE, Path::new("standard input"), io::stdin())?;
        }
        (Place::Guest(id, from), Place::Host(to)) => {
            agent(id)?.get_file(from, to)?;
        }
        (Place::Guest(id, from), Place::Standard) => {
            agent(id)?.get(from, Path::new("standard output"), io::stdout())?;
        }
        _ => {
            return Err(Failure::Other(format!(
                "one of the two files has to be in the guest, and the other not: write ID:PATH, \
                 or {GUEST}PATH with --vsock, for that one"
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that can be read, and its permission bits.
fn open(path: &Path) -> Result<(File, u32), Failure> {
    let file = File::open(path).map_err(Failure::file(path))?;
    let metadata = file.metadata().map_err(Failure::file(path))?;
    if metadata.is_dir() {
        let path = path.display();
        return Err(Failure::Other(format!("{path}: it is a folder: copy its files one by one")));
    }
    Ok((file, metadata.permissions().mode() & 0o7777))
}
