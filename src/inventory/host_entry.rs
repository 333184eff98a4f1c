//! `[defaults]` and `[[host]]` as written.

use super::diagnostic::ValueError;
use super::host_options::{HostOptions, Kind};
use super::hostlist::Hostlist;
use super::location::{Location, Spanned};
use super::place;
use super::section::Section;
use super::select::Selector;
use super::unknown_keys::names_host;

/// A `[[host]]` as written.
pub(super) struct RawHost {
    pub(super) name: Spanned<Hostlist>,
    pub(super) address: Option<Spanned<Hostlist>>,
    /// With the defaults of its file under it, unless it changes hosts of another entry: those have theirs.
    pub(super) options: HostOptions,
    /// Names of its own that are left out.
    pub(super) exclude: Vec<Spanned<Selector>>,
    /// Whether it changes hosts that another entry gives.
    pub(super) is_override: bool,
}

/// Reads a `[defaults]`; SSH keys in it are there for the hosts that use them.
pub(super) fn read_defaults(section: &mut Section<'_, '_>) -> HostOptions {
    let mut options = HostOptions::default();
    options.kind = read_kind(section, &[]);
    section.read_host_options(&mut options);
    options
}

/// Reads a `[[host]]` at `location`; `None` if it has no name, which is reported.
pub(super) fn read_host(
    section: &mut Section<'_, '_>,
    location: Location,
    defaults: &HostOptions,
) -> Option<RawHost> {
    let ssh_keys: Vec<&str> = section.table.keys().filter(|key| key.is_for_ssh).map(|key| key.name).collect();
    let mut own = HostOptions::default();
    own.kind = read_kind(section, &ssh_keys);
    section.read_host_options(&mut own);
    let is_override = section.flag("override").is_some_and(|flag| flag.value);
    let options = if is_override { own } else { own.over(defaults) };
    let address = section.parsed("address", place::address);
    let name = section.parsed("name", place::name);
    let exclude = section.parsed_some("exclude", selector);
    // A name under another key is reported already.
    let is_nameless = !section.raw.keys().any(|key| key.get_ref() == "name" || names_host(key.get_ref()));
    if is_nameless {
        let hint = "write `name = \"node1\"`; an address may be given besides";
        section.report(location, ValueError::new("a host without a name", "no `name` in here", hint));
    }
    Some(RawHost { name: name?, address, options, exclude, is_override })
}

/// Reads how a host is reached, and reports a table that says it in two ways.
fn read_kind(section: &mut Section<'_, '_>, ssh_keys: &[&'static str]) -> Option<Kind> {
    let local = section.flag("local");
    let scripted = section.path("scripted");
    let is_local = local.as_ref().is_some_and(|local| local.value);
    if !is_local && section.key_location("scripted").is_none() {
        let is_ssh = local.is_some() || ssh_keys.iter().any(|key| section.key_location(key).is_some());
        return is_ssh.then_some(Kind::Ssh);
    }
    let (stated, reason) = if is_local {
        ("`local = true`", "this machine is asked without SSH")
    } else {
        ("`scripted`", "a scripted host is answered from a file, without SSH")
    };
    let others = ssh_keys.iter().copied().chain(is_local.then_some("scripted"));
    let clashes = others.filter_map(|key| Some((section.key_location(key)?, key)));
    if let Some((location, key)) = clashes.min() {
        let message = format!("`{key}` contradicts {stated} of the same host");
        let hint = format!("take one of them out: {reason}");
        section.report(location, ValueError::new(message, "cannot both hold", hint));
    }
    if is_local { Some(Kind::Local) } else { scripted.map(|scene| Kind::Scripted(scene.value)) }
}

/// Parses names or patterns of hosts that are left out.
pub(super) fn selector(text: &str) -> Result<Selector, ValueError> {
    let hint = "write names, ranges or patterns as `node[3-5],login1` or `rack1-*`, or a list of them";
    Selector::parse(text).map_err(|reason| ValueError::new(reason, "not names of hosts", hint))
}
