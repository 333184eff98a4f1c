//! The command line that makes the user's own `ssh` a master.
//!
//! ssh takes the first value that it finds for each option, and the command line comes before the user's
//! configuration. So everything that a master relies on is said here, whatever stands there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::local::{cannot_start, clean_command};
use crate::inventory::{HostKeyPolicy, SshTarget};
use crate::reading::Failure;

/// The time that `ssh -V` may take. It reads nothing and connects nowhere.
const VERSION_WITHIN: Duration = Duration::from_secs(2);

/// The version that OpenSSH says: major and minor.
pub(super) type SshVersion = (u32, u32);

/// The options that the user may have set for sessions at a terminal and that would keep a master or its shell from
/// working, each with the version of OpenSSH that knows it. An older one refuses it, and nobody can have set it there.
const KEPT_OUT: &[(SshVersion, &str)] = &[
    ((7, 6), "RemoteCommand=none"),
    // With it a shell reads the end of its input at once.
    ((8, 7), "StdinNull=no"),
    // With `none` or `subsystem` there is no shell; ssh lives on after it has closed its output.
    ((8, 7), "SessionType=default"),
    ((8, 7), "ForkAfterAuthentication=no"),
];

/// The version of the local `ssh`, asked for once. `None` if it does not say one as OpenSSH does.
///
/// # Errors
/// It cannot be started.
pub(super) async fn ssh_version() -> Result<Option<SshVersion>, Failure> {
    static VERSION: OnceCell<Option<SshVersion>> = OnceCell::const_new();
    let ask = async || {
        let mut command = clean_command("ssh");
        command.arg("-V").kill_on_drop(true);
        match timeout(VERSION_WITHIN, command.output()).await {
            Ok(Ok(output)) => Ok(version_in(&String::from_utf8_lossy(&output.stderr))),
            Ok(Err(error)) => Err(cannot_start("ssh", &error)),
            Err(_) => Ok(None),
        }
    };
    VERSION.get_or_try_init(ask).await.copied()
}

/// The numbers of `OpenSSH_9.2p1 Debian-2, OpenSSL …`.
fn version_in(said: &str) -> Option<SshVersion> {
    let numbers = said.split_once("OpenSSH_")?.1;
    // Windows has `OpenSSH_for_Windows_9.5p1`.
    let numbers = numbers.trim_start_matches(|character: char| !character.is_ascii_digit());
    let (major, rest) = numbers.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The arguments that make `ssh` a master: in the background, if it is to persist there, or else for as long
/// as the command runs that is to follow. What the inventory says goes into option values and behind `--`
/// only, so that nothing in it can become an option.
pub(super) fn arguments(
    target: &SshTarget,
    socket: &Path,
    persist: Option<Duration>,
    version: Option<SshVersion>,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-M".into(), "-S".into(), socket.into()];
    args.extend(if persist.is_some() { vec!["-N".into(), "-f".into()] } else { vec!["-T".into()] });
    let mut option = |value: String| args.extend(["-o".into(), OsString::from(value)]);
    option(match persist {
        Some(persist) => format!("ControlPersist={}s", persist.as_secs().max(1)),
        None => "ControlPersist=no".to_owned(),
    });
    option("BatchMode=yes".to_owned());
    option(format!(
        "StrictHostKeyChecking={}",
        match target.host_key {
            HostKeyPolicy::Strict => "yes",
            HostKeyPolicy::AcceptNew => "accept-new",
        }
    ));
    option(format!("ConnectTimeout={}", target.connect_timeout.as_secs().max(1)));
    // A master whose network is gone ends itself after 15 s.
    option("ServerAliveInterval=5".to_owned());
    option("ServerAliveCountMax=3".to_owned());
    for off in ["ForwardAgent", "ForwardX11", "PermitLocalCommand", "Tunnel"] {
        option(format!("{off}=no"));
    }
    option("ClearAllForwardings=yes".to_owned());
    for (since, value) in KEPT_OUT {
        if version.is_some_and(|version| *since <= version) {
            option((*value).to_owned());
        }
    }
    // The user's own setting may be quieter than what classify needs.
    option("LogLevel=INFO".to_owned());
    args.extend(of_target(target));
    args
}

/// The arguments that follow from how the inventory says that a host is reached, the host at their end.
fn of_target(target: &SshTarget) -> Vec<OsString> {
    let known_hosts =
        |path: &PathBuf| format!("UserKnownHostsFile=\"{}\"", path.display().to_string().replace('%', "%%"));
    let options = [
        target.kex.as_ref().map(|kex| format!("KexAlgorithms={kex}")),
        target.known_hosts.as_ref().map(known_hosts),
        target.identity_file.as_ref().map(|_| "IdentitiesOnly=yes".to_owned()),
    ];
    let flags: [(&str, Option<OsString>); 5] = [
        ("-i", target.identity_file.as_ref().map(Into::into)),
        ("-F", target.ssh_config.as_ref().map(|path| home_expanded(path).into())),
        ("-p", target.port.map(|port| port.to_string().into())),
        ("-l", target.user.as_ref().map(Into::into)),
        ("-J", target.jump.as_ref().map(Into::into)),
    ];
    let options = options.into_iter().flatten().map(|option| ("-o", option.into()));
    let flags = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    let args = options.chain(flags).flat_map(|(flag, value)| [flag.into(), value]);
    args.chain(["--".into(), OsString::from(&target.address)]).collect()
}

/// `~/` at the beginning becomes the home folder: ssh does that for keys, but not for `-F`.
pub(super) fn home_expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(persist: Option<Duration>, version: Option<SshVersion>) -> Vec<String> {
        let args = arguments(&SshTarget::new("gpu1".to_owned()), Path::new("/run/x"), persist, version);
        args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn the_host_stands_behind_the_end_of_options() {
        let args = message(Some(Duration::from_secs(600)), Some((9, 2)));
        assert_eq!(args[args.len() - 2..], ["--", "gpu1"]);
    }

    #[test]
    fn an_ssh_is_only_given_options_that_it_knows() {
        let has = |version, option: &str| message(None, version).iter().any(|word| word == option);
        for (version, n_known) in [(None, 0), (Some((7, 4)), 0), (Some((7, 6)), 1), (Some((8, 7)), 4)] {
            let known = KEPT_OUT.iter().filter(|(_, option)| has(version, option));
            assert_eq!(known.count(), n_known, "{version:?}");
        }
    }

    #[test]
    fn versions_are_read_as_openssh_prints_them() {
        assert_eq!(version_in("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.22 25 Aug 2026\n"), Some((9, 2)));
        assert_eq!(version_in("OpenSSH_10.0p2, LibreSSL 3.9.2"), Some((10, 0)));
        assert_eq!(version_in("OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2"), Some((9, 5)));
        assert_eq!(version_in("Dropbear v2022.83"), None);
    }
}
