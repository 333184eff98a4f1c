//! From the first file through all that it includes to hosts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::alerts::{check_station_rules, default_rules};
use super::check;
use super::diagnostic::{DiagnosticSink, Diagnostics, Subject, Text, ValueError, shown_path};
use super::energy::{push_faults, read_calibrations, read_tariff_book};
use super::host_entry::{RawHost, read_defaults, read_host, selector};
use super::host_options::HostOptions;
use super::ledger::check_max_gap;
use super::location::{Location, Spanned};
use super::model::{Inventory, Origin};
use super::mqtt::check_mqtt;
use super::prometheus::check_openness;
use super::resolve::resolve;
use super::secret_keys::find_secrets;
use super::section::{Input, Section, Table};
use super::sections::{Sections, Stations};
use super::select::Selector;
use super::tables::{ACCOUNT, ALERTS, CYCLE, DEFAULTS, HOST, LEDGER, MQTT, PROMETHEUS, STORE, TOP};
use super::unknown_keys::open;
use super::vendor;
use crate::reading::SafeText;
use crate::tariff::TariffBook;

/// Keys that only the first file may have.
const OF_THE_WHOLE_FLEET: [&str; 12] = [
    "cycle",
    "store",
    "alerts",
    vendor::KEY,
    "exclude",
    "prometheus",
    "mqtt",
    "ledger",
    "calibration",
    "site",
    "tariff",
    "carbon",
];

/// Access to files, which the caller implements.
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
    let mut reader = Reader::default();
    let mut pending = vec![Pending { path: path.to_owned(), included_at: None, defaults: Rc::default() }];
    while let Some(next) = pending.pop() {
        let mut included = reader.read_file(files, next);
        // The last one is read next, and hosts are in the order of the files.
        included.reverse();
        pending.append(&mut included);
    }
    reader.finish()
}

/// Reads a file that has nothing but `[site]`, `[[tariff]]` and `[carbon]`.
///
/// # Errors
///
/// It cannot be read; everything that is wrong in it.
pub fn load_tariffs(path: &Path, files: &dyn Files) -> Result<TariffBook, Diagnostics> {
    let mut sink = DiagnosticSink::default();
    let text = files.read(path).unwrap_or_else(|error| {
        sink.push(Location::whole_file(0), unreadable(path, &error));
        String::new()
    });
    let book = TariffBook::parse(&text).unwrap_or_else(|faults| {
        push_faults(0, faults, &mut sink);
        TariffBook::default()
    });
    let mut texts = [Text::new(path.to_owned(), text)];
    sink.into_result(&mut texts, Subject::Tariffs).map(|_| book)
}

/// A file yet to be read.
struct Pending {
    path: PathBuf,
    included_at: Option<Location>,
    /// The defaults of the files above it.
    defaults: Rc<HostOptions>,
}

#[derive(Default)]
struct Reader {
    texts: Vec<Text>,
    sink: DiagnosticSink,
    /// Files that were named, and where.
    seen: BTreeMap<PathBuf, Option<Location>>,
    hosts: Vec<RawHost>,
    /// Names of the whole fleet that are left out.
    exclude: Vec<Spanned<Selector>>,
    /// Whether a `[[host]]` was seen, or may stand in what could not be read.
    may_have_hosts: bool,
    sections: Sections,
}

impl Reader {
    /// Reads one file; gives the files that it includes.
    fn read_file(&mut self, files: &dyn Files, pending: Pending) -> Vec<Pending> {
        let Pending { path, included_at, defaults } = pending;
        let key = normalised(&path);
        if let (Some(earlier), Some(location)) = (self.seen.get(&key), &included_at) {
            let message = format!("`{}` is included twice, or includes itself", shown_path(&path));
            let hint = "name each file once; a pattern must not match the file that it stands in";
            let earlier = earlier.clone().unwrap_or(Location::whole_file(0));
            let error = ValueError::new(message, "names it again", hint).clashing("named before at", earlier);
            self.sink.push(location.clone(), error);
            return Vec::new();
        }
        self.seen.insert(key, included_at.clone());
        let text = match files.read(&path) {
            Ok(text) => text,
            Err(error) => {
                self.unreadable(path, included_at, &error);
                return Vec::new();
            }
        };
        let file = self.texts.len();
        self.texts.push(Text::new(path.clone(), text.clone()));
        let base = path.parent().unwrap_or(Path::new(""));
        self.read_text(files, Input { file, text: &text, base }, included_at.is_none(), &defaults)
    }

    fn unreadable(&mut self, path: PathBuf, included_at: Option<Location>, error: &io::Error) {
        self.may_have_hosts = true;
        let error = unreadable(&path, error);
        let location = included_at.unwrap_or_else(|| {
            self.texts.push(Text::new(path, String::new()));
            Location::whole_file(0)
        });
        self.sink.push(location, error);
    }

    fn read_text(
        &mut self,
        files: &dyn Files,
        input: Input<'_>,
        is_first: bool,
        above: &Rc<HostOptions>,
    ) -> Vec<Pending> {
        let (document, errors) = DeTable::parse_recoverable(input.text);
        let table = document.get_ref();
        if let Some(error) = errors.first() {
            // What the parser made of the rest cannot be trusted, so only the includes are followed.
            self.may_have_hosts = true;
            if is_first {
                self.sections.cycle.interval = None;
            }
            let whole_file = Location::whole_file(input.file);
            let location = error.span().map_or(whole_file, |span| Location::new(input.file, &span));
            let message = format!("not valid TOML: {}", SafeText::new(error.message()));
            let hint = "correct this first; the rest of this file was not checked";
            self.sink.push(location, ValueError::new(message, "here", hint));
            let mut scratch = DiagnosticSink::default();
            return includes(files, input, table, above, &mut scratch);
        }
        find_secrets(input.file, table, &mut self.sink);
        open(input, table, &TOP, &mut self.sink);
        // The most likely slip gets its own error, and not a second one for the hosts that are missed.
        self.may_have_hosts |= table.contains_key("hosts");
        let own_defaults = self.section(input, table, "defaults", &DEFAULTS);
        let own_defaults = own_defaults.map(|mut section| read_defaults(&mut section));
        let defaults = own_defaults.map_or_else(|| Rc::clone(above), |own| Rc::new(own.over(above)));
        if is_first {
            self.read_settings(input, table);
        } else {
            self.refuse_settings(input, table);
        }
        self.read_hosts(input, table, &defaults);
        let n_before = self.sink.len();
        let included = includes(files, input, table, &defaults, &mut self.sink);
        self.may_have_hosts |= self.sink.len() > n_before;
        included
    }

    /// Reads the sections of the first file, which hold for the whole fleet.
    fn read_settings(&mut self, input: Input<'_>, table: &DeTable<'_>) {
        let mut top = Section { input, raw: table, table: &TOP, sink: &mut self.sink };
        self.exclude = top.parsed_some("exclude", selector);
        let mut sections = std::mem::take(&mut self.sections);
        if let Some(mut section) = self.section(input, table, "cycle", &CYCLE) {
            section.read_settings(&mut sections);
        }
        if let Some(mut section) = self.section(input, table, "store", &STORE) {
            section.read_settings(&mut sections);
            check_keep(&mut section, &sections);
        }
        if let Some(mut section) = self.section(input, table, vendor::KEY, &ACCOUNT) {
            section.read_settings(&mut sections);
            let is_enabled = section.flag("enabled").is_none_or(|enabled| enabled.value);
            sections.stations = if is_enabled { Stations::Watched } else { Stations::SwitchedOff };
        } else if table.contains_key(vendor::KEY) {
            sections.stations = Stations::SwitchedOff;
        }
        sections.alerts.rules = default_rules(sections.stations);
        if let Some(mut section) = self.section(input, table, "alerts", &ALERTS) {
            section.read_settings(&mut sections);
            check_station_rules(&mut section, &mut sections.alerts.rules, sections.stations);
        }
        if let Some(mut section) = self.section(input, table, "ledger", &LEDGER) {
            section.read_settings(&mut sections);
            check_max_gap(&mut section, &sections);
        }
        if let Some(mut section) = self.section(input, table, "prometheus", &PROMETHEUS) {
            section.read_settings(&mut sections);
            check_openness(&mut section, &sections);
        }
        if let Some(mut section) = self.section(input, table, "mqtt", &MQTT) {
            section.read_settings(&mut sections);
            let location = table.get_key_value("mqtt").map(|(key, _)| Location::new(input.file, &key.span()));
            check_mqtt(&mut section, location, &sections);
        }
        sections.energy.calibrations = read_calibrations(input, table, &mut self.sink);
        sections.energy.tariff_book = read_tariff_book(input, table, &mut self.sink);
        self.sections = sections;
    }

    /// Reports the sections of an included file that hold for the whole fleet.
    fn refuse_settings(&mut self, input: Input<'_>, table: &DeTable<'_>) {
        for name in OF_THE_WHOLE_FLEET {
            if let Some((key, _)) = table.get_key_value(name) {
                let shown = match name {
                    "exclude" => "`exclude`",
                    "tariff" | "calibration" => &format!("[[{name}]]"),
                    _ => &format!("[{name}]"),
                };
                let hint = format!("move {shown} to the file that includes the others");
                let error = ValueError::new(
                    format!("{shown} in an included file"),
                    "holds for the whole fleet",
                    if name == "exclude" { hint + ", or into a [[host]]" } else { hint },
                );
                self.sink.push(Location::new(input.file, &key.span()), error);
            }
        }
    }

    fn read_hosts(&mut self, input: Input<'_>, table: &DeTable<'_>, defaults: &HostOptions) {
        let Some((key, value)) = table.get_key_value("host") else { return };
        self.may_have_hosts = true;
        let hint = "write [[host]], in double brackets, for each host";
        let error = ValueError::new("`host` must be a list of tables", "not a list of tables", hint);
        let DeValue::Array(items) = value.get_ref() else {
            return self.sink.push(Location::new(input.file, &key.span()), error);
        };
        for item in items {
            let location = Location::new(input.file, &item.span());
            match item.get_ref().as_table() {
                Some(raw) => {
                    let mut section = open(input, raw, &HOST, &mut self.sink);
                    self.hosts.extend(read_host(&mut section, location, defaults));
                }
                None => self.sink.push(location, error.clone()),
            }
        }
    }

    /// Opens a table of the file, if it is there; reports what is no table.
    fn section<'a, 'i>(
        &'a mut self,
        input: Input<'a>,
        table: &'a DeTable<'i>,
        name: &str,
        keys: &'static Table,
    ) -> Option<Section<'a, 'i>> {
        let value = table.get(name)?;
        if let Some(raw) = value.get_ref().as_table() {
            return Some(open(input, raw, keys, &mut self.sink));
        }
        let hint = format!("write [{name}], in single brackets");
        let error = ValueError::new(format!("`{name}` must be a table"), "not a table", hint);
        self.sink.push(Location::new(input.file, &value.span()), error);
        None
    }

    fn finish(mut self) -> Result<Inventory, Diagnostics> {
        // Stations alone are worth asking too.
        let has_stations = self.sections.stations == Stations::Watched;
        if !self.may_have_hosts && !has_stations {
            let hint = "add a [[host]] with a `name`; `local = true` in it is this machine";
            let error = ValueError::new("an inventory without a host", "", hint);
            self.sink.push(Location::whole_file(0), error);
        }
        let resolved = resolve(&self.hosts, &self.exclude, &self.sections.cycle, &mut self.sink);
        let warnings = self.sink.into_result(&mut self.texts, Subject::Inventory)?;
        let origin = |location: &Location| {
            let text = self.texts.get(location.file)?;
            Some(Origin { file: text.path.clone(), line: text.position(location).0 })
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
            cycle: self.sections.cycle.settings,
            store: self.sections.store,
            alerts: self.sections.alerts,
            account: has_stations.then_some(self.sections.account),
            energy: self.sections.energy,
            prometheus: self.sections.prometheus,
            mqtt: self.sections.mqtt,
        })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ValueError {
    ValueError::new(
        format!("cannot read `{}`: {}", shown_path(path), SafeText::new(&error.to_string())),
        "names a file that cannot be read",
        "check that the file exists, is UTF-8 text and that this user may read it",
    )
}

/// The files that a file includes.
fn includes(
    files: &dyn Files,
    input: Input<'_>,
    table: &DeTable<'_>,
    defaults: &Rc<HostOptions>,
    sink: &mut DiagnosticSink,
) -> Vec<Pending> {
    let mut top = Section { input, raw: table, table: &TOP, sink };
    let patterns = top.parsed_list("include", check::path);
    let mut found = Vec::new();
    for Spanned { value: pattern, location } in patterns.map(|patterns| patterns.value).unwrap_or_default() {
        let error = match files.glob(&input.base.join(&pattern)) {
            Ok(paths) if paths.is_empty() => {
                let hint = "correct the path, which is relative to this file, or take it out";
                ValueError::new("an include that matches no file", "matches nothing", hint)
            }
            Ok(paths) => {
                found.extend(paths.into_iter().map(|path| {
                    let (included_at, defaults) = (Some(location.clone()), Rc::clone(defaults));
                    Pending { path, included_at, defaults }
                }));
                continue;
            }
            Err(error) => {
                let reason = SafeText::new(&error.to_string());
                let message = format!("an include that cannot be looked up: {reason}");
                ValueError::new(message, "cannot be looked up", "correct the pattern")
            }
        };
        sink.push(location, error);
    }
    found
}

fn check_keep(section: &mut Section<'_, '_>, sections: &Sections) {
    let is_postgres = sections.store.url.as_ref().is_some_and(|url| url.starts_with("postgres"));
    if let Some(location) = section.value_location("keep").filter(|_| is_postgres)
        && sections.store.keep.is_some()
    {
        let hint = "take it out; the owner of a table in PostgreSQL removes old rows";
        let message = "`keep` is for a timeline in SQLite";
        section.report(location, ValueError::new(message, "nothing is removed from PostgreSQL", hint));
    }
}

/// The path without `.` and `..`, by its text alone, to recognise a file that is named in two ways.
fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir && out.file_name().is_some() {
            out.pop();
        } else if component != Component::CurDir {
            out.push(component);
        }
    }
    out
}
