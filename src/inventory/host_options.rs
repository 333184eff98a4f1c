//! Keys of a `[defaults]` or `[[host]]` table as written, and how one table overrides another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::model::HostKeyPolicy;
use super::place;
use super::section::{Section, Spanned};

/// More GPUs than any one machine has.
const MAX_GPUS: u32 = 4_096;

/// What a `[defaults]` or `[[host]]` says; `None` is not said.
#[derive(Debug, Clone, Default)]
pub(super) struct HostOptions {
    pub(super) kind: Option<Kind>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<u16>>,
    pub(super) identity_file: Option<Spanned<PathBuf>>,
    pub(super) ssh_config: Option<Spanned<PathBuf>>,
    pub(super) known_hosts: Option<Spanned<PathBuf>>,
    pub(super) jump: Option<Spanned<String>>,
    pub(super) kex: Option<Spanned<String>>,
    pub(super) host_key: Option<Spanned<HostKeyPolicy>>,
    pub(super) connect_timeout: Option<Spanned<Duration>>,
    pub(super) timeout: Option<Spanned<Duration>>,
    /// Without a duration, sampling is said to be off.
    pub(super) sample: Option<Spanned<Option<Duration>>>,
    pub(super) control_persist: Option<Spanned<Duration>>,
    pub(super) keep_shell: Option<Spanned<bool>>,
    pub(super) nvidia_smi: Option<Spanned<String>>,
    pub(super) gpus: Option<Spanned<u32>>,
    pub(super) maintenance: Option<Spanned<bool>>,
}

/// How a host is reached, without the particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    Ssh,
    Scripted(PathBuf),
}

/// Keys that only make sense over SSH.
const SSH_KEYS: &[&str] = &[
    "address",
    "user",
    "port",
    "identity_file",
    "ssh_config",
    "known_hosts",
    "jump",
    "kex",
    "host_key",
    "connect_timeout",
    "control_persist",
    "keep_shell",
];

impl HostOptions {
    /// Reads a `[defaults]`; SSH keys in it are there for the hosts that use them.
    pub(super) fn read_defaults(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let kind = read_kind(section, base, &[]);
        Self { kind, ..Self::read_values(section, base) }
    }

    /// Reads a `[[host]]`; an SSH key in it says that it is reached over SSH.
    pub(super) fn read_host(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let kind = read_kind(section, base, SSH_KEYS);
        Self { kind, ..Self::read_values(section, base) }
    }

    fn read_values(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let path = |text: &str| file_path(text, base);
        warn_of_probes(section);
        Self {
            kind: None,
            labels: section.labels("labels"),
            user: section.parsed("user", check::user),
            port: section.integer("port", 1..=u32::from(u16::MAX)).and_then(|port| {
                Some(Spanned { value: u16::try_from(port.value).ok()?, location: port.location })
            }),
            identity_file: section.parsed("identity_file", path),
            ssh_config: section.parsed("ssh_config", path),
            known_hosts: section.parsed("known_hosts", path),
            jump: section.parsed("jump", place::jump),
            kex: section.parsed("kex", check::kex),
            host_key: section.parsed("host_key", check::host_key),
            connect_timeout: section.parsed("connect_timeout", check::connect_timeout),
            timeout: section.parsed("timeout", check::duration),
            sample: section.parsed("sample", check::sample),
            control_persist: section.parsed("control_persist", check::duration),
            keep_shell: section.flag("keep_shell"),
            nvidia_smi: section.parsed("nvidia_smi", check::program),
            gpus: section.integer("gpus", 1..=MAX_GPUS),
            maintenance: section.flag("maintenance"),
        }
    }

    /// This layer over `under`: what is not said here is taken from there; labels are merged.
    pub(super) fn over(&self, under: &Self) -> Self {
        fn either<T: Clone>(over: &Option<T>, under: &Option<T>) -> Option<T> {
            over.as_ref().or(under.as_ref()).cloned()
        }
        let mut labels = under.labels.clone();
        labels.extend(self.labels.clone());
        Self {
            kind: either(&self.kind, &under.kind),
            labels,
            user: either(&self.user, &under.user),
            port: either(&self.port, &under.port),
            identity_file: either(&self.identity_file, &under.identity_file),
            ssh_config: either(&self.ssh_config, &under.ssh_config),
            known_hosts: either(&self.known_hosts, &under.known_hosts),
            jump: either(&self.jump, &under.jump),
            kex: either(&self.kex, &under.kex),
            host_key: either(&self.host_key, &under.host_key),
            connect_timeout: either(&self.connect_timeout, &under.connect_timeout),
            timeout: either(&self.timeout, &under.timeout),
            sample: either(&self.sample, &under.sample),
            control_persist: either(&self.control_persist, &under.control_persist),
            keep_shell: either(&self.keep_shell, &under.keep_shell),
            nvidia_smi: either(&self.nvidia_smi, &under.nvidia_smi),
            gpus: either(&self.gpus, &under.gpus),
            maintenance: either(&self.maintenance, &under.maintenance),
        }
    }
}

/// A path as the inventory means it: relative to the file that names it. `~/` stays for ssh to expand.
pub(super) fn file_path(text: &str, base: &Path) -> Result<PathBuf, ValueError> {
    let path = check::path(text)?;
    if path.starts_with("~") {
        return Ok(path);
    }
    let joined = base.join(path);
    // The inventory may have been named with a folder that begins so.
    if joined.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Ok(Path::new(".").join(joined));
    }
    Ok(joined)
}

/// Which kind a table says, and that it does not say two.
fn read_kind(section: &mut Section<'_, '_>, base: &Path, ssh_keys: &[&str]) -> Option<Kind> {
    let local = section.flag("local");
    let scripted = section.parsed("scripted", |text| file_path(text, base));
    let is_local = local.as_ref().is_some_and(|local| local.value);
    if !is_local && section.key_location("scripted").is_none() {
        let says_ssh = local.is_some() || ssh_keys.iter().any(|key| section.key_location(key).is_some());
        return says_ssh.then_some(Kind::Ssh);
    }
    let (said, why) = if is_local {
        ("`local = true`", "this machine is asked without SSH")
    } else {
        ("`scripted`", "a scripted host is answered from a file, without SSH")
    };
    let others = ssh_keys.iter().copied().chain(is_local.then_some("scripted"));
    let clashes: Vec<_> = others.filter_map(|key| Some((section.key_location(key)?, key))).collect();
    if let Some((location, key)) = clashes.into_iter().min() {
        let message = format!("`{key}` contradicts {said} of the same host");
        section.report(
            location,
            ValueError::new(message, "cannot both hold", format!("take one of them out: {why}")),
        );
    }
    if is_local { Some(Kind::Local) } else { scripted.map(|scene| Kind::Scripted(scene.value)) }
}

/// The key is from a time when there was to be more than one tool.
fn warn_of_probes(section: &mut Section<'_, '_>) {
    section.parsed_list("probes", |text| {
        let error =
            || ValueError::new("has an unknown probe", "not a probe that is known", "take the key out");
        if text == "nvidia-smi" { Ok(()) } else { Err(error()) }
    });
    if let Some(location) = section.key_location("probes") {
        let error = ValueError::new(
            "`probes` does nothing",
            "not read any more",
            "take the key out: every host is asked by nvidia-smi",
        );
        section.warn(location, error);
    }
}
