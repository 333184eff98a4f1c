//! The obstacles to a login on this machine: key files, `known_hosts`, ssh's configuration. Looked at without
//! connecting anywhere.
//!
//! `ssh -G` says what ssh would do for a host, with all that the user's configuration adds to the inventory.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use super::local::clean_command;
use super::options::{arguments, home_expanded, ssh_version};
use crate::inventory::{HostKeyPolicy, SshTarget};
use crate::reading::SafeText;

/// The time that ssh may take to say what it would do. A `Match exec` of the user's may hang.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// No private key is longer.
const MAX_KEY: u64 = 64 << 10;

/// The beginning of OpenSSH's own format.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Everything that is found to be wrong here for `target`, in words; empty when all is well.
pub async fn look(target: &SshTarget) -> Vec<String> {
    let settings = match effective(target).await {
        Ok(settings) => settings,
        Err(message) => return vec![message],
    };
    let mut found = keys(target, &settings);
    if target.host_key == HostKeyPolicy::Strict
        && let Some(message) = host_key(&settings).await
    {
        found.push(message);
    }
    found
}

/// The settings that ssh would use, by its keywords in lower case; of those that come several times, all.
type Effective = BTreeMap<String, Vec<String>>;

async fn effective(target: &SshTarget) -> Result<Effective, String> {
    let version = ssh_version().await.map_err(|failure| failure.to_string())?;
    let mut command = clean_command("ssh");
    command.arg("-G").args(arguments(target, Path::new("none"), None, version));
    command.stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let output = match timeout(LOOK_WITHIN, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("ssh cannot be started: {error}")),
        Err(_) => return Err("ssh does not get through its configuration in time".to_owned()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(format!("ssh refuses its configuration: {}", SafeText::new(line)));
    }
    Ok(settings_in(&String::from_utf8_lossy(&output.stdout)))
}

/// The settings that `ssh -G` prints, one a line.
fn settings_in(stdout: &str) -> Effective {
    let mut settings = Effective::new();
    for (key, value) in stdout.lines().filter_map(|line| line.split_once(' ')) {
        settings.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    settings
}

fn first<'a>(settings: &'a Effective, key: &str) -> Option<&'a str> {
    settings.get(key)?.first().map(String::as_str)
}

/// The troubles of the keys that ssh would log in with.
fn keys(target: &SshTarget, settings: &Effective) -> Vec<String> {
    let has_agent = has_agent(settings);
    if let Some(named) = &target.identity_file {
        return trouble_of_key(&home_expanded(named), has_agent).into_iter().collect();
    }
    if has_agent || settings.contains_key("pkcs11provider") {
        return Vec::new();
    }
    let (mut troubles, mut names) = (Vec::new(), Vec::new());
    for file in settings.get("identityfile").into_iter().flatten().map(|file| home_expanded(Path::new(file)))
    {
        let name = file.display().to_string();
        // What has a `%` is ssh's to expand.
        match trouble_of_key(&file, has_agent) {
            Some(trouble) if !name.contains('%') => troubles.extend(file.exists().then_some(trouble)),
            _ => return Vec::new(),
        }
        names.push(format!("`{name}`"));
    }
    if troubles.is_empty() {
        troubles.push(format!("there is no key: none of {} is there, and no agent", names.join(", ")));
    }
    troubles
}

/// Whether an agent listens that ssh would ask.
fn has_agent(settings: &Effective) -> bool {
    let socket = match first(settings, "identityagent") {
        Some("none") => return false,
        Some(path) if path != "SSH_AUTH_SOCK" => home_expanded(Path::new(path)),
        _ => PathBuf::from(std::env::var_os("SSH_AUTH_SOCK").unwrap_or_default()),
    };
    UnixStream::connect(socket).is_ok()
}

/// Why ssh could not log in with a key file, if so.
fn trouble_of_key(path: &Path, has_agent: bool) -> Option<String> {
    let name = path.display();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        // With the private key in an agent, its public half is enough to name it.
        Err(_) if has_agent && PathBuf::from(format!("{name}.pub")).exists() => return None,
        Err(error) => return Some(format!("the key file `{name}`: {error}")),
    };
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() {
        return Some(format!("the key file `{name}` is no file"));
    }
    let mode = metadata.mode() & 0o777;
    if metadata.uid() == rustix::process::geteuid().as_raw() && mode & 0o077 != 0 {
        return Some(format!(
            "others may use the key file `{name}` (mode {mode:04o}), so ssh does not: `chmod 600 {name}`"
        ));
    }
    let mut text = String::new();
    if file.take(MAX_KEY).read_to_string(&mut text).is_err() {
        return Some(format!("the key file `{name}` has no text"));
    }
    match kind_of_key(&text) {
        KeyFile::Plain => None,
        KeyFile::Encrypted | KeyFile::Public if has_agent => None,
        KeyFile::Encrypted => Some(format!(
            "the key file `{name}` has a passphrase, which nobody can be asked for here, and there is no agent; use a key without one for this alone"
        )),
        KeyFile::Public => {
            Some(format!("the key file `{name}` is the public half of a key, and there is no agent"))
        }
        KeyFile::Other => Some(format!("the key file `{name}` is no private key")),
    }
}

/// The content of a key file.
#[derive(Debug, PartialEq, Eq)]
enum KeyFile {
    Plain,
    /// It has a passphrase.
    Encrypted,
    Public,
    Other,
}

fn kind_of_key(text: &str) -> KeyFile {
    let Some((_, body)) = text.split_once("-----BEGIN ") else {
        let is_public = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind));
        return if is_public { KeyFile::Public } else { KeyFile::Other };
    };
    let Some(body) = body.strip_prefix("OPENSSH PRIVATE KEY-----") else {
        let (label, rest) = body.split_once("-----").unwrap_or((body, ""));
        let is_encrypted = label.starts_with("ENCRYPTED") || rest.contains("ENCRYPTED");
        return match (label.ends_with("PRIVATE KEY"), is_encrypted) {
            (false, _) => KeyFile::Other,
            (true, true) => KeyFile::Encrypted,
            (true, false) => KeyFile::Plain,
        };
    };
    let digits: String =
        body.chars().take_while(|digit| *digit != '-').filter(|digit| !digit.is_whitespace()).collect();
    let Ok(bytes) = STANDARD.decode(digits) else { return KeyFile::Other };
    // Behind the magic comes the name of the cipher, as a string with its length before it.
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(b"\0\0\0\x04none") => KeyFile::Plain,
        Some(_) => KeyFile::Encrypted,
        None => KeyFile::Other,
    }
}

/// Why ssh would refuse the host's key, if its name is in none of the files.
async fn host_key(settings: &Effective) -> Option<String> {
    if first(settings, "knownhostscommand").is_some_and(|command| command != "none") {
        return None;
    }
    let host = first(settings, "hostname")?;
    let name = match (first(settings, "hostkeyalias"), first(settings, "port")) {
        (Some(alias), _) => alias.to_owned(),
        (None, Some(port)) if port != "22" => format!("[{host}]:{port}"),
        (None, _) => host.to_owned(),
    };
    let files =
        ["userknownhostsfile", "globalknownhostsfile"].into_iter().filter_map(|key| settings.get(key));
    let files: Vec<PathBuf> = files
        .flatten()
        .flat_map(|files| files.split_whitespace())
        .map(|file| home_expanded(Path::new(file.trim_matches('"'))))
        .collect();
    for file in files.iter().filter(|file| file.exists()) {
        let mut command = clean_command("ssh-keygen");
        command.arg("-F").arg(&name).arg("-f").arg(file).kill_on_drop(true);
        match timeout(LOOK_WITHIN, command.status()).await {
            Ok(Ok(status)) if !status.success() => {}
            // Found, or nobody can say.
            _ => return None,
        }
    }
    let names: Vec<_> = files.iter().take(1).map(|file| format!("`{}`", file.display())).collect();
    Some(format!(
        "the host key of `{name}` is not known: it is not in {}; compare its fingerprint and log in once, or set `host_key = \"accept-new\"`",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_by_what_stands_in_them() {
        let openssh = |cipher: &[u8]| {
            let length = u32::try_from(cipher.len()).unwrap().to_be_bytes();
            let body = STANDARD.encode([MAGIC, &length, cipher, b"rest"].concat());
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
        };
        let pem =
            |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        for (text, kind) in [
            (openssh(b"none"), KeyFile::Plain),
            (openssh(b"aes256-ctr"), KeyFile::Encrypted),
            (pem("RSA PRIVATE KEY", "MIIE"), KeyFile::Plain),
            (pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES"), KeyFile::Encrypted),
            (pem("ENCRYPTED PRIVATE KEY", "MIIE"), KeyFile::Encrypted),
            (pem("CERTIFICATE", "MIIE"), KeyFile::Other),
            ("ssh-ed25519 AAAA m@host".to_owned(), KeyFile::Public),
            ("".to_owned(), KeyFile::Other),
        ] {
            assert_eq!(kind_of_key(&text), kind, "{text}");
        }
    }
}
