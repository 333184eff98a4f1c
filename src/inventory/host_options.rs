//! Options of hosts as read from `[defaults]` and `[[host]]`, and how one table overrides another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::location::{Location, Spanned};
use super::model::{Host, SshTarget, Target};

/// Options of one table, or of several merged ones.
#[derive(Clone, Default)]
pub(super) struct HostOptions {
    pub(super) kind: Option<Kind>,
    pub(super) labels: BTreeMap<String, String>,
    /// Where the value of each key stands, and how it changes the host's defaults.
    settings: BTreeMap<&'static str, (Location, Rc<Apply>)>,
}

/// Sets a field of a host.
type Apply = dyn Fn(&mut Host, &mut SshTarget);

/// The way to a host, without its particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    Ssh,
    Scripted(PathBuf),
}

impl HostOptions {
    /// Remembers the value of a key, if one was read, and the field that it sets.
    pub(super) fn set<T: Clone + 'static>(
        &mut self,
        key: &'static str,
        value: Option<Spanned<T>>,
        apply: fn(&mut Host, &mut SshTarget, T),
    ) {
        if let Some(Spanned { value, location }) = value {
            let apply = Rc::new(move |host: &mut Host, ssh: &mut SshTarget| apply(host, ssh, value.clone()));
            self.settings.insert(key, (location, apply));
        }
    }

    /// Where a key's value stands, if it is set.
    pub(super) fn location(&self, key: &str) -> Option<Location> {
        self.settings.get(key).map(|(location, _)| location.clone())
    }

    /// These options over `under`: a key that is not set here is taken from there; labels are merged.
    pub(super) fn over(&self, under: &Self) -> Self {
        let mut merged = under.clone();
        merged.kind = self.kind.clone().or(merged.kind);
        merged.labels.extend(self.labels.clone());
        merged.settings.extend(self.settings.clone());
        merged
    }

    /// The host of this name with these options.
    pub(super) fn host(&self, name: String, address: String) -> Host {
        let (mut host, mut ssh) = (Host::new(name), SshTarget::new(address));
        self.settings.values().for_each(|(_, apply)| apply(&mut host, &mut ssh));
        host.labels.clone_from(&self.labels);
        host.target = match &self.kind {
            Some(Kind::Local) => Target::Local,
            Some(Kind::Scripted(scene)) => Target::Scripted { scene: scene.clone() },
            Some(Kind::Ssh) | None => Target::Ssh(ssh),
        };
        host
    }
}
