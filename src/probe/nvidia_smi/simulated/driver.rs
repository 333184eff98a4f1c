//! The fields and messages of each driver version, from the tables under `fixtures/nvidia-smi`. The tables
//! are searched as text, not parsed: a call asks for some twenty fields of three hundred.

/// Which query name each driver lists.
const FIELD_MATRIX: &str = include_str!("../../../../fixtures/nvidia-smi/field-matrix.tsv");
/// The header that a queried name comes back under, measured on drivers 340 to 550.
const HEADER_MAP: &str = include_str!("../../../../fixtures/nvidia-smi/header-map.tsv");
/// The exit code for each way that NVML can fail to start.
const INIT_EXITS: &str = include_str!("../../../../fixtures/nvidia-smi/nvml-init-exit-codes.tsv");

/// Aliases younger than the header map: they come back under the name on the right, too.
const YOUNG_ALIASES: &[(&str, &str)] = &[
    ("gpu.power.draw.average", "power.draw.average"),
    ("gpu.power.draw.instant", "power.draw.instant"),
    ("gpu.power.requested_limit", "power.limit"),
    ("gpu.power.current_limit", "enforced.power.limit"),
    ("gpu.power.default_limit", "power.default_limit"),
    ("gpu.power.min_limit", "power.min_limit"),
    ("gpu.power.max_limit", "power.max_limit"),
    ("module.power.requested_limit", "module.power.limit"),
    ("module.power.current_limit", "module.enforced.power.limit"),
    ("remapped_rows.dbe", "remapped_rows.uncorrectable"),
    ("remapped_rows.sbe", "remapped_rows.correctable"),
];

/// Numbers of a version, the first three.
type Version = [u32; 3];

/// One driver version.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    pub(super) text: String,
    version: Version,
    /// Its column of the field matrix.
    matrix_column: usize,
    /// The measured driver nearest to it, and its column of the exit codes.
    measured: &'static str,
    exit_column: usize,
}

impl Driver {
    /// A driver by its version, `535.274.02` or `465.27`.
    pub(super) fn new(text: &str) -> Option<Self> {
        let version = parse_version(text)?;
        let (matrix_column, _) = nearest(FIELD_MATRIX, version)?;
        let (exit_column, measured) = nearest(INIT_EXITS, version)?;
        Some(Self { text: text.to_owned(), version, matrix_column, measured, exit_column })
    }

    /// Whether it is of this branch or a younger one.
    pub(super) fn is_at_least(&self, branch: u32) -> bool {
        self.version >= [branch, 0, 0]
    }

    /// Whether this driver accepts `field`.
    pub(super) fn knows(&self, field: &str) -> bool {
        row(FIELD_MATRIX, field).and_then(|line| line.split('\t').nth(self.matrix_column)) == Some("x")
    }

    /// The name without unit that this driver answers `field` under, aliases resolved.
    pub(super) fn canonical<'a>(&self, field: &'a str) -> &'a str {
        match self.mapped_header(field) {
            Some(header) => header.split(" [").next().unwrap_or(header),
            None => YOUNG_ALIASES.iter().find(|(alias, _)| *alias == field).map_or(field, |(_, name)| name),
        }
    }

    /// The name that a cell set as `name` is answered under: a scenario may use the name of another age.
    pub(super) fn simulated_name(&self, name: &str) -> String {
        let known = if self.knows(name) { None } else { renamed(name) };
        self.canonical(known.as_deref().unwrap_or(name)).to_owned()
    }

    /// The header with unit that this driver answers `field` under, if it was measured.
    pub(super) fn mapped_header(&self, field: &str) -> Option<&'static str> {
        let mut cells = row(HEADER_MAP, field)?.split('\t').skip(1);
        let header = cells.next()?;
        // The last cell holds the drivers that differ, as `version: header` with `; ` between.
        let exception = cells.next().into_iter().flat_map(|cell| cell.split("; ")).find_map(|exception| {
            exception.split_once(": ").filter(|(version, _)| *version == self.measured)
        });
        Some(exception.map_or(header, |(_, header)| header))
    }

    /// The cell of something that the board does not have.
    pub(super) fn not_supported(&self) -> &'static str {
        if self.is_at_least(418) { "[N/A]" } else { "[Not Supported]" }
    }

    /// The exit code when NVML cannot start with this error.
    pub(super) fn init_exit(&self, error: &str) -> i32 {
        let line = INIT_EXITS.lines().find(|line| line.split('\t').nth(1) == Some(error));
        line.and_then(|line| line.split('\t').nth(self.exit_column))
            .and_then(|exit| exit.parse().ok())
            .unwrap_or(super::EXIT_OTHER)
    }
}

/// The column and the name of the youngest Linux driver of a table that is not younger than `version`,
/// or else of the oldest.
fn nearest(table: &'static str, version: Version) -> Option<(usize, &'static str)> {
    let head = table.lines().nth(1).unwrap_or_default();
    let drivers = || {
        let names = head.split('\t').enumerate();
        names.filter_map(|(column, name)| Some((parse_version(name)?, column, name)))
    };
    let not_younger = drivers().filter(|(known, _, _)| *known <= version).max();
    not_younger.or_else(|| drivers().min()).map(|(_, column, name)| (column, name))
}

/// Whether any driver knows this field, the Windows builds included.
pub(super) fn any_knows(field: &str) -> bool {
    row(FIELD_MATRIX, field).is_some()
}

/// The line of `name`: by one search through the whole text, which is what makes a call cheap.
fn row(table: &'static str, name: &str) -> Option<&'static str> {
    let at = table.find(&format!("\n{name}\t"))?;
    table.get(at + 1..)?.lines().next()
}

/// The first three numbers of a version. Names of Windows builds end in `w` and are none, and neither
/// are the names of other columns.
fn parse_version(text: &str) -> Option<Version> {
    let mut version = [0; 3];
    let mut parts = text.trim().split('.');
    for (slot, part) in version.iter_mut().zip(&mut parts) {
        *slot = part.parse().ok()?;
    }
    (version != [0; 3] && parts.next().is_none()).then_some(version)
}

/// The other name of a clock reason column: a capture of one age answers for a driver of the other.
pub(super) fn renamed(name: &str) -> Option<String> {
    let (old, new) = ("clocks_throttle_reasons.", "clocks_event_reasons.");
    let to_new = name.strip_prefix(old).map(|reason| format!("{new}{reason}"));
    to_new.or_else(|| name.strip_prefix(new).map(|reason| format!("{old}{reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(version: &str) -> Driver {
        Driver::new(version).unwrap()
    }

    #[test]
    fn a_version_between_two_measured_ones_knows_what_the_older_one_knows() {
        assert!(!driver("525.60.13").knows("power.draw.instant"));
        assert!(driver("535.274.02").knows("power.draw.instant"));
        assert!(driver("580.95.05").knows("power.draw.instant"));
        assert!(!driver("580.95.05").knows("module.power.draw.instant"));
        assert!(driver("700.1").knows("module.power.draw.instant"));
        assert!(driver("304.1").knows("power.draw"));
    }

    #[test]
    fn windows_columns_are_not_counted() {
        // 466.63w stands between 460.106.00 and 535 and would be nearest to 466.70.
        let (_, name) = nearest(FIELD_MATRIX, [466, 70, 0]).unwrap();
        assert_eq!(name, "460.106.00");
    }

    #[test]
    fn an_old_name_comes_back_under_the_new_one_from_535_on() {
        let field = "clocks_throttle_reasons.active";
        assert_eq!(driver("470.256.02").mapped_header(field), Some("clocks_throttle_reasons.active"));
        assert_eq!(driver("535.274.02").mapped_header(field), Some("clocks_event_reasons.active"));
        assert_eq!(driver("610.57.04").mapped_header(field), Some("clocks_event_reasons.active"));
    }

    #[test]
    fn aliases_never_echo() {
        let driver = driver("595.71.05");
        assert_eq!(driver.canonical("gpu_name"), "name");
        assert_eq!(driver.canonical("clocks.sm"), "clocks.current.sm");
        assert_eq!(driver.canonical("gpu.power.current_limit"), "enforced.power.limit");
        assert_eq!(driver.canonical("module.power.limit"), "module.power.limit");
    }

    #[test]
    fn the_exit_code_of_a_mismatch_depends_on_the_driver() {
        let exit = |version| driver(version).init_exit("LIB_RM_VERSION_MISMATCH");
        assert_eq!((exit("390.157"), exit("470.256.02"), exit("595.71.05")), (231, 255, 18));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "nvidia", "466.63w", "1.2.3.4", "N/A"] {
            assert!(Driver::new(text).is_none(), "{text}");
        }
    }
}
