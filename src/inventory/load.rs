//! From the first file through all that it includes to hosts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::alerts::read_alerts;
use super::check;
use super::fault::{Drafts, Faults, Flaw, Site, Text};
use super::hostlist::Hostlist;
use super::keys::names_host;
use super::layer::Layer;
use super::model::{AlertSettings, Inventory, Origin, SolixSettings, StoreSettings};
use super::place;
use super::resolve::resolve;
use super::section::{ALERTS, At, CYCLE, DEFAULTS, HOST, Input, SOLIX, STORE, Section, TOP, find_secrets};
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
pub fn load(path: &Path, files: &dyn Files) -> Result<Inventory, Faults> {
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
    included_at: Option<Site>,
    /// The defaults of the files above it.
    defaults: Rc<Layer>,
}

/// A `[[host]]` as written.
pub(super) struct WrittenHost {
    pub(super) name: At<Hostlist>,
    pub(super) address: Option<At<Hostlist>>,
    /// With the defaults of its file under it, unless it changes hosts of another entry: those have theirs.
    pub(super) layer: Layer,
    /// Names of its own that are left out.
    pub(super) exclude: Vec<At<Selector>>,
    /// Whether it changes hosts that another entry gives.
    pub(super) is_override: bool,
}

struct Reader<'f> {
    files: &'f dyn Files,
    texts: Vec<Text>,
    drafts: Drafts,
    /// Files that were named, and where.
    seen: BTreeMap<PathBuf, Option<Site>>,
    hosts: Vec<WrittenHost>,
    /// Names of the whole fleet that are left out.
    exclude: Vec<At<Selector>>,
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
            drafts: Drafts::default(),
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
        if let (Some(earlier), Some(site)) = (self.seen.get(&key), &included_at) {
            self.drafts.push_clash(
                site.clone(),
                Flaw::new(
                    format!("`{}` is included twice, or includes itself", shown(&path)),
                    "names it again",
                    "name each file once; a pattern must not match the file that it stands in",
                ),
                "named before at",
                earlier.clone().unwrap_or(Site::whole_file(0)),
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

    fn unreadable(&mut self, path: PathBuf, included_at: Option<Site>, error: &io::Error) {
        self.may_have_hosts = true;
        let flaw = Flaw::new(
            format!("cannot read `{}`: {}", shown(&path), SafeText::new(&error.to_string())),
            "names a file that cannot be read",
            "check that the file exists, is UTF-8 text and that this user may read it",
        );
        let site = included_at.unwrap_or_else(|| {
            self.texts.push(Text::new(path, String::new()));
            Site::whole_file(0)
        });
        self.drafts.push(site, flaw);
    }

    fn read_text(
        &mut self,
        input: Input<'_>,
        path: &Path,
        is_first: bool,
        above: &Rc<Layer>,
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
            self.drafts.push(syntax_site(input, error), syntax_flaw(error));
            let mut scratch = Drafts::default();
            return includes(self.files, input, table, base, above, &mut scratch);
        }
        find_secrets(input, table, &mut self.drafts);
        Section::open(input, table, &TOP, &mut self.drafts);
        // The most likely slip gets its own fault, and not a second one for the hosts that are missed.
        self.may_have_hosts |= table.contains_key("hosts");
        let defaults = match self.sub_table(input, table, "defaults") {
            Some(written) => {
                let mut section = Section::open(input, written, &DEFAULTS, &mut self.drafts);
                Rc::new(Layer::read_defaults(&mut section, base).over(above))
            }
            None => Rc::clone(above),
        };
        self.read_settings(input, table, base, is_first);
        self.read_hosts(input, table, base, &defaults);
        let n_before = self.drafts.len();
        let included = includes(self.files, input, table, base, &defaults, &mut self.drafts);
        self.may_have_hosts |= self.drafts.len() > n_before;
        included
    }

    fn read_settings(&mut self, input: Input<'_>, table: &DeTable<'_>, base: &Path, is_first: bool) {
        if !is_first {
            for name in ["cycle", "store", "alerts", "solix", "exclude"] {
                if let Some((key, _)) = table.get_key_value(name) {
                    let shown = if name == "exclude" { "`exclude`" } else { &format!("[{name}]") };
                    let hint = format!("move {shown} to the file that includes the others");
                    let flaw = Flaw::new(
                        format!("{shown} in an included file"),
                        "holds for the whole fleet",
                        if name == "exclude" { hint + ", or into a [[host]]" } else { hint },
                    );
                    self.drafts.push(Site::new(input.file, &key.span()), flaw);
                }
            }
            return;
        }
        self.exclude = Section::reopen(input, table, &mut self.drafts).parsed_some("exclude", selector);
        if let Some(written) = self.sub_table(input, table, "cycle") {
            self.cycle = read_cycle(&mut Section::open(input, written, &CYCLE, &mut self.drafts));
        }
        if let Some(written) = self.sub_table(input, table, "store") {
            self.store = read_store(&mut Section::open(input, written, &STORE, &mut self.drafts), base);
        }
        if let Some(written) = self.sub_table(input, table, "solix") {
            self.solix = read_solix(&mut Section::open(input, written, &SOLIX, &mut self.drafts), base);
        }
        let stations = match &self.solix {
            Some(_) => Stations::Watched,
            None if table.contains_key("solix") => Stations::SwitchedOff,
            None => Stations::Missing,
        };
        self.alerts.rules = default_station_rules(stations);
        if let Some(written) = self.sub_table(input, table, "alerts") {
            let mut section = Section::open(input, written, &ALERTS, &mut self.drafts);
            self.alerts = read_alerts(&mut section, base, stations);
        }
    }

    fn read_hosts(&mut self, input: Input<'_>, table: &DeTable<'_>, base: &Path, defaults: &Layer) {
        let Some((key, value)) = table.get_key_value("host") else { return };
        self.may_have_hosts = true;
        let flaw = || {
            Flaw::new(
                "`host` must be a list of tables",
                "not a list of tables",
                "write [[host]], in double brackets, for each host",
            )
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.drafts.push(Site::new(input.file, &key.span()), flaw());
            return;
        };
        for item in items {
            let Some(written) = item.get_ref().as_table() else {
                self.drafts.push(Site::new(input.file, &item.span()), flaw());
                continue;
            };
            self.read_host(input, written, item, base, defaults);
        }
    }

    fn read_host(
        &mut self,
        input: Input<'_>,
        table: &DeTable<'_>,
        item: &Spanned<DeValue<'_>>,
        base: &Path,
        defaults: &Layer,
    ) {
        let mut section = Section::open(input, table, &HOST, &mut self.drafts);
        let own = Layer::read_host(&mut section, base);
        let is_override = section.flag("override").is_some_and(|flag| flag.value);
        let layer = if is_override { own } else { own.over(defaults) };
        let address = section.parsed("address", place::address);
        let name = section.parsed("name", place::name);
        let exclude = section.parsed_some("exclude", selector);
        // A name under another key is a fault already.
        let is_nameless = !table.keys().any(|key| key.get_ref() == "name" || names_host(key.get_ref()));
        if is_nameless {
            section.fault(
                Site::new(input.file, &item.span()),
                Flaw::new(
                    "a host without a name",
                    "no `name` in here",
                    "write `name = \"node1\"`; an address may be given besides",
                ),
            );
        }
        if let Some(name) = name {
            self.hosts.push(WrittenHost { name, address, layer, exclude, is_override });
        }
    }

    fn sub_table<'t, 'i>(
        &mut self,
        input: Input<'_>,
        table: &'t DeTable<'i>,
        name: &str,
    ) -> Option<&'t DeTable<'i>> {
        let value = table.get(name)?;
        let written = value.get_ref().as_table();
        if written.is_none() {
            let flaw = Flaw::new(
                format!("`{name}` must be a table"),
                "not a table",
                format!("write [{name}], in single brackets"),
            );
            self.drafts.push(Site::new(input.file, &value.span()), flaw);
        }
        written
    }

    fn finish(mut self) -> Result<Inventory, Faults> {
        // Stations alone are worth asking too.
        if !self.may_have_hosts && self.solix.is_none() {
            self.drafts.push(
                Site::whole_file(0),
                Flaw::new(
                    "an inventory without a host",
                    "",
                    "add a [[host]] with a `name`; `local = true` in it is this machine",
                ),
            );
        }
        let resolved = resolve(&self.hosts, &self.exclude, &self.cycle, &mut self.drafts);
        let remarks = self.drafts.into_result(&mut self.texts)?;
        let origin = |site: &Site| {
            let text = self.texts.get(site.file)?;
            let (line, _) = site.span.map_or((1, 1), |(start, _)| text.position(start));
            Some(Origin { file: text.path().to_owned(), line })
        };
        let (mut hosts, mut origins) = (Vec::new(), BTreeMap::new());
        for (host, sites) in resolved {
            origins.insert(host.name.clone(), sites.iter().filter_map(origin).collect());
            hosts.push(host);
        }
        Ok(Inventory {
            hosts,
            origins,
            remarks,
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
    defaults: &Rc<Layer>,
    drafts: &mut Drafts,
) -> Vec<Pending> {
    let patterns = Section::reopen(input, table, drafts).parsed_list("include", check::path);
    let mut found = Vec::new();
    for pattern in patterns.map(|patterns| patterns.value).unwrap_or_default() {
        match files.glob(&base.join(&pattern.value)) {
            Ok(paths) if paths.is_empty() => drafts.push(
                pattern.site,
                Flaw::new(
                    "an include that matches no file",
                    "matches nothing",
                    "correct the path, which is relative to this file, or take it out",
                ),
            ),
            Ok(paths) => found.extend(paths.into_iter().map(|path| Pending {
                path,
                included_at: Some(pattern.site.clone()),
                defaults: Rc::clone(defaults),
            })),
            Err(error) => drafts.push(
                pattern.site,
                Flaw::new(
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
fn selector(text: &str) -> Result<Selector, Flaw> {
    let hint = "write names, ranges or patterns as `node[3-5],login1` or `rack1-*`, or a list of them";
    Selector::parse(text).map_err(|reason| Flaw::new(reason, "not names of hosts", hint))
}

fn syntax_site(input: Input<'_>, error: &toml::de::Error) -> Site {
    error.span().map_or(Site::whole_file(input.file), |span| Site::new(input.file, &span))
}

fn syntax_flaw(error: &toml::de::Error) -> Flaw {
    Flaw::new(
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
