//! From the first file through all that it includes to hosts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use super::alerts::read_alerts;
use super::check;
use super::diagnostic::{DiagnosticSink, Diagnostics, Location, Text, ValueError};
use super::host_options::HostOptions;
use super::hostlist::Hostlist;
use super::keys::names_host;
use super::model::{AlertSettings, Inventory, Origin, SolixSettings, StoreSettings};
use super::place;
use super::resolve::resolve;
use super::section::{
    ALERTS, CYCLE, DEFAULTS, HOST, Input, SOLIX, STORE, Section, Spanned, TOP, find_secrets,
};
use super::select::Selector;
use super::settings::{Cycle, default_store, read_cycle, read_store};
use super::solix::read_solix;
use super::station_alerts::{Stations, default_station_rules};
use crate::reading::SafeText;

/// How the room reads: the caller gives the files.
pub trait Files {
    /// The text of one file.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The files that match a pattern with `*`, `?` and `[…]`, sorted; none is no error.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Reads the inventory at `path` and all files that it includes.
///
/// # Errors
///
/// Everything that is wrong, in all of the files at once.
pub fn load(path: &Path, files: &dyn Files) -> Result<Inventory, Diagnostics> {
    let mut reader = Reader::new(files);
    let mut pending = vec![Pending { path: path.to_owned(), included_at: None, defaults: Rc::default() }];
    while let Some(next) = pending.pop() {
        let mut included = reader.read_file(next);
        // The last one is read next, and hosts are in the order of the files.
        included.reverse();
        pending.append(&mut included);
    }
    reader.finish()
}

/// A file yet to be read.
struct Pending {
    path: PathBuf,
    included_at: Option<Location>,
    /// The defaults of the files above it.
    defaults: Rc<HostOptions>,
}

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

struct Reader<'f> {
    files: &'f dyn Files,
    texts: Vec<Text>,
    sink: DiagnosticSink,
    /// Files that were named, and where.
    seen: BTreeMap<PathBuf, Option<Location>>,
    hosts: Vec<RawHost>,
    /// Names of the whole fleet that are left out.
    exclude: Vec<Spanned<Selector>>,
    /// Whether a `[[host]]` was seen, or may stand in what could not be read.
    may_have_hosts: bool,
    cycle: Cycle,
    store: StoreSettings,
    alerts: AlertSettings,
    solix: Option<SolixSettings>,
}

impl<'f> Reader<'f> {
    fn new(files: &'f dyn Files) -> Self {
        Self {
            files,
            texts: Vec::new(),
            sink: DiagnosticSink::default(),
            seen: BTreeMap::new(),
            hosts: Vec::new(),
            exclude: Vec::new(),
            may_have_hosts: false,
            cycle: Cycle::default(),
            store: default_store(),
            alerts: AlertSettings::default(),
            solix: None,
        }
    }

    /// Reads one file; gives the files that it includes.
    fn read_file(&mut self, pending: Pending) -> Vec<Pending> {
        let Pending { path, included_at, defaults } = pending;
        let key = normalised(&path);
        if let (Some(earlier), Some(location)) = (self.seen.get(&key), &included_at) {
            self.sink.push_clash(
                location.clone(),
                ValueError::new(
                    format!("`{}` is included twice, or includes itself", shown(&path)),
                    "names it again",
                    "name each file once; a pattern must not match the file that it stands in",
                ),
                "named before at",
                earlier.clone().unwrap_or(Location::whole_file(0)),
            );
            return Vec::new();
        }
        self.seen.insert(key, included_at.clone());
        let text = match self.files.read(&path) {
            Ok(text) => text,
            Err(error) => {
                self.unreadable(path, included_at, &error);
                return Vec::new();
            }
        };
        let file = self.texts.len();
        self.texts.push(Text::new(path.clone(), text.clone()));
        self.read_text(Input { file, text: &text }, &path, included_at.is_none(), &defaults)
    }

    fn unreadable(&mut self, path: PathBuf, included_at: Option<Location>, error: &io::Error) {
        self.may_have_hosts = true;
        let error = ValueError::new(
            format!("cannot read `{}`: {}", shown(&path), SafeText::new(&error.to_string())),
            "names a file that cannot be read",
            "check that the file exists, is UTF-8 text and that this user may read it",
        );
        let location = included_at.unwrap_or_else(|| {
            self.texts.push(Text::new(path, String::new()));
            Location::whole_file(0)
        });
        self.sink.push(location, error);
    }

    fn read_text(
        &mut self,
        input: Input<'_>,
        path: &Path,
        is_first: bool,
        above: &Rc<HostOptions>,
    ) -> Vec<Pending> {
        let base = path.parent().unwrap_or(Path::new(""));
        let (document, errors) = DeTable::parse_recoverable(input.text);
        let table = document.get_ref();
        if let Some(error) = errors.first() {
            // What the parser made of the rest cannot be trusted, so only the includes are followed.
            self.may_have_hosts = true;
            if is_first {
                self.cycle.interval = None;
            }
            self.sink.push(syntax_location(input, error), syntax_error(error));
            let mut scratch = DiagnosticSink::default();
            return includes(self.files, input, table, base, above, &mut scratch);
        }
        find_secrets(input, table, &mut self.sink);
        Section::open(input, table, &TOP, &mut self.sink);
        // The most likely slip gets its own error, and not a second one for the hosts that are missed.
        self.may_have_hosts |= table.contains_key("hosts");
        let defaults = match self.sub_table(input, table, "defaults") {
            Some(raw) => {
                let mut section = Section::open(input, raw, &DEFAULTS, &mut self.sink);
                Rc::new(HostOptions::read_defaults(&mut section, base).over(above))
            }
            None => Rc::clone(above),
        };
        self.read_settings(input, table, base, is_first);
        self.read_hosts(input, table, base, &defaults);
        let n_before = self.sink.len();
        let included = includes(self.files, input, table, base, &defaults, &mut self.sink);
        self.may_have_hosts |= self.sink.len() > n_before;
        included
    }

    fn read_settings(&mut self, input: Input<'_>, table: &DeTable<'_>, base: &Path, is_first: bool) {
        if !is_first {
            for name in ["cycle", "store", "alerts", "solix", "exclude"] {
                if let Some((key, _)) = table.get_key_value(name) {
                    let shown = if name == "exclude" { "`exclude`" } else { &format!("[{name}]") };
                    let hint = format!("move {shown} to the file that includes the others");
                    let error = ValueError::new(
                        format!("{shown} in an included file"),
                        "holds for the whole fleet",
                        if name == "exclude" { hint + ", or into a [[host]]" } else { hint },
                    );
                    self.sink.push(Location::new(input.file, &key.span()), error);
                }
            }
            return;
        }
        self.exclude = Section::reopen(input, table, &mut self.sink).parsed_some("exclude", selector);
        if let Some(raw) = self.sub_table(input, table, "cycle") {
            self.cycle = read_cycle(&mut Section::open(input, raw, &CYCLE, &mut self.sink));
        }
        if let Some(raw) = self.sub_table(input, table, "store") {
            self.store = read_store(&mut Section::open(input, raw, &STORE, &mut self.sink), base);
        }
        if let Some(raw) = self.sub_table(input, table, "solix") {
            self.solix = read_solix(&mut Section::open(input, raw, &SOLIX, &mut self.sink), base);
        }
        let stations = match &self.solix {
            Some(_) => Stations::Watched,
            None if table.contains_key("solix") => Stations::SwitchedOff,
            None => Stations::Missing,
        };
        self.alerts.rules = default_station_rules(stations);
        if let Some(raw) = self.sub_table(input, table, "alerts") {
            let mut section = Section::open(input, raw, &ALERTS, &mut self.sink);
            self.alerts = read_alerts(&mut section, base, stations);
        }
    }

    fn read_hosts(&mut self, input: Input<'_>, table: &DeTable<'_>, base: &Path, defaults: &HostOptions) {
        let Some((key, value)) = table.get_key_value("host") else { return };
        self.may_have_hosts = true;
        let error = || {
            ValueError::new(
                "`host` must be a list of tables",
                "not a list of tables",
                "write [[host]], in double brackets, for each host",
            )
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.sink.push(Location::new(input.file, &key.span()), error());
            return;
        };
        for item in items {
            let Some(raw) = item.get_ref().as_table() else {
                self.sink.push(Location::new(input.file, &item.span()), error());
                continue;
            };
            self.read_host(input, raw, item, base, defaults);
        }
    }

    fn read_host(
        &mut self,
        input: Input<'_>,
        table: &DeTable<'_>,
        item: &TomlSpanned<DeValue<'_>>,
        base: &Path,
        defaults: &HostOptions,
    ) {
        let mut section = Section::open(input, table, &HOST, &mut self.sink);
        let own = HostOptions::read_host(&mut section, base);
        let is_override = section.flag("override").is_some_and(|flag| flag.value);
        let options = if is_override { own } else { own.over(defaults) };
        let address = section.parsed("address", place::address);
        let name = section.parsed("name", place::name);
        let exclude = section.parsed_some("exclude", selector);
        // A name under another key is an error already.
        let is_nameless = !table.keys().any(|key| key.get_ref() == "name" || names_host(key.get_ref()));
        if is_nameless {
            section.report(
                Location::new(input.file, &item.span()),
                ValueError::new(
                    "a host without a name",
                    "no `name` in here",
                    "write `name = \"node1\"`; an address may be given besides",
                ),
            );
        }
        if let Some(name) = name {
            self.hosts.push(RawHost { name, address, options, exclude, is_override });
        }
    }

    fn sub_table<'t, 'i>(
        &mut self,
        input: Input<'_>,
        table: &'t DeTable<'i>,
        name: &str,
    ) -> Option<&'t DeTable<'i>> {
        let value = table.get(name)?;
        let raw = value.get_ref().as_table();
        if raw.is_none() {
            let error = ValueError::new(
                format!("`{name}` must be a table"),
                "not a table",
                format!("write [{name}], in single brackets"),
            );
            self.sink.push(Location::new(input.file, &value.span()), error);
        }
        raw
    }

    fn finish(mut self) -> Result<Inventory, Diagnostics> {
        // Stations alone are worth asking too.
        if !self.may_have_hosts && self.solix.is_none() {
            self.sink.push(
                Location::whole_file(0),
                ValueError::new(
                    "an inventory without a host",
                    "",
                    "add a [[host]] with a `name`; `local = true` in it is this machine",
                ),
            );
        }
        let resolved = resolve(&self.hosts, &self.exclude, &self.cycle, &mut self.sink);
        let warnings = self.sink.into_result(&mut self.texts)?;
        let origin = |location: &Location| {
            let text = self.texts.get(location.file)?;
            let (line, _) = location.span.map_or((1, 1), |(start, _)| text.position(start));
            Some(Origin { file: text.path().to_owned(), line })
        };
        let (mut hosts, mut origins) = (Vec::new(), BTreeMap::new());
        for (host, locations) in resolved {
            origins.insert(host.name.clone(), locations.iter().filter_map(origin).collect());
            hosts.push(host);
        }
        Ok(Inventory {
            hosts,
            origins,
            warnings,
            cycle: self.cycle.settings,
            store: self.store,
            alerts: self.alerts,
            solix: self.solix,
        })
    }
}

/// The files that a file includes.
fn includes(
    files: &dyn Files,
    input: Input<'_>,
    table: &DeTable<'_>,
    base: &Path,
    defaults: &Rc<HostOptions>,
    sink: &mut DiagnosticSink,
) -> Vec<Pending> {
    let patterns = Section::reopen(input, table, sink).parsed_list("include", check::path);
    let mut found = Vec::new();
    for pattern in patterns.map(|patterns| patterns.value).unwrap_or_default() {
        match files.glob(&base.join(&pattern.value)) {
            Ok(paths) if paths.is_empty() => sink.push(
                pattern.location,
                ValueError::new(
                    "an include that matches no file",
                    "matches nothing",
                    "correct the path, which is relative to this file, or take it out",
                ),
            ),
            Ok(paths) => found.extend(paths.into_iter().map(|path| Pending {
                path,
                included_at: Some(pattern.location.clone()),
                defaults: Rc::clone(defaults),
            })),
            Err(error) => sink.push(
                pattern.location,
                ValueError::new(
                    format!("an include that cannot be looked up: {}", SafeText::new(&error.to_string())),
                    "cannot be looked up",
                    "correct the pattern",
                ),
            ),
        }
    }
    found
}

/// Names or patterns of hosts that are left out.
fn selector(text: &str) -> Result<Selector, ValueError> {
    let hint = "write names, ranges or patterns as `node[3-5],login1` or `rack1-*`, or a list of them";
    Selector::parse(text).map_err(|reason| ValueError::new(reason, "not names of hosts", hint))
}

fn syntax_location(input: Input<'_>, error: &toml::de::Error) -> Location {
    error.span().map_or(Location::whole_file(input.file), |span| Location::new(input.file, &span))
}

fn syntax_error(error: &toml::de::Error) -> ValueError {
    ValueError::new(
        format!("not valid TOML: {}", SafeText::new(error.message())),
        "here",
        "correct this first; the rest of this file was not checked",
    )
}

/// The path without `.` and `..`, to recognise a file that is named in two ways. By its text alone: the
/// room does not look at the file system.
fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            Component::ParentDir | Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                out.push(component);
            }
        }
    }
    out
}

fn shown(path: &Path) -> SafeText {
    SafeText::new(&path.display().to_string())
}
