//! Whatever a tariff, a price file or an imported text says, it is read or refused, and what was imported can be read.

#![no_main]

use fleetwatt::tariff::import::{ImportFormat, ImportOptions, import};
use fleetwatt::tariff::{PriceFile, SeriesColumn, TariffBook};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    drop((TariffBook::parse(text), PriceFile::parse("a", text, SeriesColumn::Price)));
    let options = ImportOptions { name: None, price_file: "a.csv", currency: None };
    for format in ImportFormat::ALL {
        if let Ok(imported) = import(format, text, &options) {
            assert!(TariffBook::parse(&imported.toml).is_ok());
            let prices = imported.prices.map(|csv| PriceFile::parse("a", &csv, SeriesColumn::Price));
            assert!(prices.is_none_or(|prices| prices.is_ok()));
        }
    }
});
