//! Tariffs with the prices of their files: those of the inventory, or of a file of their own.

use std::path::{Path, PathBuf};

use super::Settings;
use super::files::{RealFiles, found};
use super::price_error::PriceError;
use crate::inventory;
use crate::reading::SafeText;
use crate::support::regular_file;
use crate::tariff::{
    Carbon, FileFault, MAX_FILE_BYTES, MAX_ROWS, PriceFile, QuarterSeries, SeriesColumn, SiteSettings,
    TariffBook,
};

/// The most files of a tariff: more than three years, a file a day.
const MAX_FILES: usize = 1_200;

/// After so many faults no more files are read.
const MAX_FAULTS: usize = 20;

/// The most overlaps of a tariff's files that are told one by one.
const MAX_TOLD: usize = 5;

/// Tariffs and carbon with all that their files say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadedTariffs {
    /// The tariffs, their series filled.
    pub book: TariffBook,
    /// Not wrong, but most likely not intended.
    pub warnings: Vec<PriceWarning>,
}

/// Something about tariffs or their files that is most likely not intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceWarning {
    /// The message.
    pub message: String,
    /// The hint.
    pub hint: &'static str,
}

impl PriceWarning {
    /// A warning with its hint.
    pub(super) const fn new(message: String, hint: &'static str) -> Self {
        Self { message, hint }
    }
}

/// Reads the tariffs of the inventory with their price files; with `tariff_file` those of that file in their place. Where
/// that file has no `[site]` or no `[carbon]`, the inventory's holds.
///
/// # Errors
/// Faults of the tariffs and of every price file, with their lines; files that cannot be read.
pub fn load_tariffs(
    settings: Option<&Settings>,
    tariff_file: Option<&Path>,
) -> Result<LoadedTariffs, PriceError> {
    let Some(path) = tariff_file else {
        let Some(settings) = settings else { return Ok(LoadedTariffs::default()) };
        let book = settings.inventory.energy.tariff_book.clone();
        return read_files(book, &folder_of(&settings.inventory_path));
    };
    let book = inventory::load_tariffs(path, &RealFiles::default());
    let book = book.map_err(|faults| PriceError::Tables(Box::new(faults)))?;
    let mut loaded = read_files(book, &folder_of(path))?;
    let TariffBook { site, carbon, .. } = &mut loaded.book;
    if let Some(settings) = settings {
        let fallback = &settings.inventory.energy.tariff_book;
        if *site == SiteSettings::default() {
            site.clone_from(&fallback.site);
        }
        // Only these files of the inventory's are read: faults of its prices are in nobody's way.
        if carbon.is_none() && fallback.carbon.is_some() {
            let only_carbon = TariffBook { carbon: fallback.carbon.clone(), ..TariffBook::default() };
            let LoadedTariffs { book, warnings } =
                read_files(only_carbon, &folder_of(&settings.inventory_path))?;
            *carbon = book.carbon;
            loaded.warnings.extend(warnings);
        }
    }
    Ok(loaded)
}

/// The folder that relative paths in a file start from.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_owned()
}

/// Reads all files that the tables name.
pub(super) fn read_files(mut book: TariffBook, base: &Path) -> Result<LoadedTariffs, PriceError> {
    let mut warnings = Vec::new();
    let mut faults = Vec::new();
    for tariff in book.tariffs.as_mut_slice() {
        if let Some(prices) = &mut tariff.prices {
            let of = format!("tariff \"{}\"", SafeText::new(&tariff.name));
            let mut reader = Reader { of: &of, base, warnings: &mut warnings, faults: &mut faults };
            prices.series = reader.series(&prices.file, SeriesColumn::Price)?;
        }
    }
    if let Some(Carbon::Files { file, series }) = &mut book.carbon {
        let mut reader = Reader { of: "carbon", base, warnings: &mut warnings, faults: &mut faults };
        *series = reader.series(file, SeriesColumn::GramsPerKwh)?;
    }
    if faults.is_empty() { Ok(LoadedTariffs { book, warnings }) } else { Err(PriceError::Rows(faults)) }
}

/// The files of one table.
struct Reader<'a> {
    /// The table, for a message.
    of: &'a str,
    base: &'a Path,
    warnings: &'a mut Vec<PriceWarning>,
    faults: &'a mut Vec<FileFault>,
}

impl Reader<'_> {
    /// The values of all files that a pattern finds.
    fn series(&mut self, pattern: &str, column: SeriesColumn) -> Result<QuarterSeries, PriceError> {
        let mut files = Vec::new();
        let (mut n_left, mut n_rows) = (MAX_FILE_BYTES, 0);
        for path in self.paths(pattern)? {
            let text = u64::try_from(n_left).map_err(std::io::Error::other);
            let text = text.and_then(|most| regular_file::read_text(&path, most));
            let text = text.map_err(|error| PriceError::File(path.clone(), error))?;
            n_left = n_left.saturating_sub(text.len());
            match PriceFile::parse(&path.display().to_string(), &text, column) {
                Ok(file) => {
                    n_rows += file.n_rows();
                    if file.n_rows() == 0 {
                        let message = format!("`{}` has no rows", SafeText::new(&path.display().to_string()));
                        self.warn(&message, "add the rows below its first line, or take the file out");
                    }
                    if n_rows > MAX_ROWS {
                        let error =
                            format!("the files of `{pattern}` have more than {MAX_ROWS} rows together");
                        return Err(PriceError::File(path, std::io::Error::other(error)));
                    }
                    files.push(file);
                }
                Err(faults) => self.faults.extend(faults),
            }
            if self.faults.len() >= MAX_FAULTS {
                break;
            }
        }
        let (series, overlaps) = QuarterSeries::new(&files);
        for overlap in overlaps.iter().take(MAX_TOLD) {
            let hint = match overlap.is_contradiction {
                true => "take out the one that is not of your contract",
                false => "take one of the two out",
            };
            self.warn(&overlap.to_string(), hint);
        }
        if let Some(n_more @ 1..) = overlaps.len().checked_sub(MAX_TOLD) {
            self.warn(&format!("{n_more} more overlaps of its files"), "keep one file for each time");
        }
        Ok(series)
    }

    /// The files of a pattern, in the order of their names.
    fn paths(&mut self, pattern: &str) -> Result<Vec<PathBuf>, PriceError> {
        // The folder's own name may have a bracket in it.
        let Some(base) = self.base.to_str().map(glob::Pattern::escape) else {
            let error = std::io::Error::other("the name of its folder is not UTF-8");
            return Err(PriceError::File(self.base.join(pattern), error));
        };
        let whole = Path::new(&base).join(pattern);
        let paths = found(&whole).map_err(|error| PriceError::File(whole, error))?;
        if paths.len() > MAX_FILES {
            let error = std::io::Error::other(format!("it finds more than {MAX_FILES} files"));
            return Err(PriceError::File(PathBuf::from(pattern), error));
        }
        if paths.is_empty() {
            let message = format!("no file is `{}`", SafeText::new(pattern));
            self.warn(
                &message,
                "correct `file`, which is relative to the file that it stands in, or add the files",
            );
        }
        Ok(paths)
    }

    fn warn(&mut self, message: &str, hint: &'static str) {
        self.warnings.push(PriceWarning::new(format!("{}: {message}", self.of), hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Quarter, Timestamp};
    use crate::tariff::SeriesValue;

    const TABLES: &str =
        "[[tariff]]\nname = \"m\"\ncurrency = \"EUR\"\n[tariff.prices]\nfile = \"prices/*.csv\"\n";
    const HEAD: &str = "start,end,price\n";

    /// A folder with tariffs, and price files beside them.
    fn folder(tables: &str, prices: &[(&str, &str)]) -> tempfile::TempDir {
        // The brackets are no pattern.
        let dir = tempfile::Builder::new().prefix("a[b]").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("prices")).unwrap();
        std::fs::write(dir.path().join("t.toml"), tables).unwrap();
        for (name, rows) in prices {
            std::fs::write(dir.path().join("prices").join(name), format!("{HEAD}{rows}")).unwrap();
        }
        dir
    }

    fn load(dir: &tempfile::TempDir) -> Result<LoadedTariffs, PriceError> {
        load_tariffs(None, Some(&dir.path().join("t.toml")))
    }

    fn told(dir: &tempfile::TempDir) -> Vec<String> {
        let here = format!("{}/", dir.path().display());
        let loaded = load(dir).unwrap();
        loaded.warnings.iter().map(|warning| warning.message.replace(&here, "")).collect()
    }

    #[test]
    fn files_beside_the_tariffs_are_one_series() {
        let dir = folder(
            TABLES,
            &[
                ("b.csv", "1970-01-01T01:00Z,1970-01-01T01:15Z,0.3\n"),
                ("a.csv", "1970-01-01T00:00Z,1970-01-01T01:00Z,0.2\n"),
            ],
        );
        let loaded = load(&dir).unwrap();
        let series = &loaded.book.tariffs.as_slice()[0].prices.as_ref().unwrap().series;
        let first = Quarter::at(Timestamp::from_micros(0));
        let values = [0, 3, 4, 5].map(|at| series.at(first.plus(at)));
        let [low, high] = [200_000, 300_000].map(SeriesValue::Value);
        assert_eq!(values, [low, low, high, SeriesValue::Missing]);
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn every_wrong_line_of_every_file_is_told_at_once() {
        let dir = folder(
            TABLES,
            &[("a.csv", "x\n"), ("b.csv", "1970-01-01T00:00Z,1970-01-01T01:00Z,0.2\ny,z,1\n")],
        );
        let Err(PriceError::Rows(faults)) = load(&dir) else { panic!("faults") };
        let here = format!("{}/prices/", dir.path().display());
        let places: Vec<String> =
            faults.iter().map(|fault| format!("{}:{}", fault.file.replace(&here, ""), fault.line)).collect();
        assert_eq!(places, ["a.csv:2", "b.csv:3"]);
    }

    #[test]
    fn a_pattern_without_files_and_two_prices_for_one_time_are_warned_of() {
        assert_eq!(told(&folder(TABLES, &[])), ["tariff \"m\": no file is `prices/*.csv`"]);
        let row = "1970-01-01T00:00Z,1970-01-01T01:00Z,";
        let dir = folder(TABLES, &[("a.csv", &format!("{row}1\n")), ("b.csv", &format!("{row}2\n"))]);
        let wanted = "tariff \"m\": prices/a.csv:2 and prices/b.csv:2 both have 1970-01-01T00:00:00Z to \
                      1970-01-01T01:00:00Z, with different values, so that neither is taken";
        assert_eq!(told(&dir), [wanted]);
    }

    #[test]
    fn many_overlaps_are_told_in_few_lines() {
        let rows: String =
            (0..20).map(|hour| format!("1970-01-01T{hour:02}:00Z,1970-01-01T{hour:02}:15Z,1\n")).collect();
        let dir = folder(TABLES, &[("a.csv", &rows), ("b.csv", &rows)]);
        let told = told(&dir);
        assert_eq!((told.len(), told[5].as_str()), (6, "tariff \"m\": 15 more overlaps of its files"));
    }

    #[test]
    fn a_file_that_has_only_its_first_line_is_told() {
        let dir = folder(TABLES, &[("a.csv", "")]);
        let warnings = load(&dir).unwrap().warnings;
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings.iter().all(|warning| warning.message.ends_with("a.csv` has no rows")),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let dir = folder(TABLES, &[]);
        let fifo = dir.path().join("prices/a.csv");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let Err(PriceError::File(path, error)) = load(&dir) else { panic!("an error") };
        assert_eq!((path, error.to_string()), (fifo, "it is a FIFO, not a regular file".to_owned()));
    }

    #[test]
    fn a_fault_of_the_tables_has_its_line_and_its_own_heading() {
        let dir = folder("[[tariff]]\nname = \"m\"\ncurrency = \"euro\"\nper_kwh = 1\n", &[]);
        let Err(PriceError::Tables(faults)) = load(&dir) else { panic!("faults") };
        let rendered = faults.render(false);
        assert!(
            rendered.contains("t.toml:3:12") && rendered.contains("the tariffs have 1 fault"),
            "{rendered}"
        );
    }

    #[test]
    fn a_file_that_has_more_than_tariffs_is_refused() {
        let dir = folder("password = \"canary\"\n", &[]);
        let Err(PriceError::Tables(faults)) = load(&dir) else { panic!("faults") };
        let rendered = faults.render(false);
        assert!(rendered.contains("unknown key") && !rendered.contains("canary"), "{rendered}");
    }
}
