//! `tariff`: the prices of a day, and tariffs of other formats.

mod overview;
mod show;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

pub(super) use overview::text as overview;

use super::args::Cli;
use super::exit::Exit;
use super::select::label;
use super::{Failure, colour_stderr, print, render, say, settings};
use crate::app::{self, Day, TariffDayRequest};
use crate::tariff::Currency;
use crate::tariff::import::{ImportFormat, ImportOptions};

#[derive(Debug, Subcommand)]
pub(super) enum TariffCommand {
    /// Show the prices of a day, quarter-hour by quarter-hour
    ///
    /// The day is that of the site's time zone, so that it may have 23 or 25 hours. The text has neighbours of one
    /// price as one span; JSON and CSV have every quarter-hour. A quarter-hour without a price says why.
    ///
    /// Exit code: 0 every quarter-hour has a price; 2 the call, the inventory, a tariff or a price file is wrong, or
    /// there is no tariff; 3 some have none.
    Show {
        /// The day: `2026-03-29`, `today` or `tomorrow`
        #[arg(long, value_name = "DATE", default_value = "today", value_parser = day)]
        day: Day,
        /// Only a site with these labels; may be given several times
        #[arg(long = "site", value_name = "KEY=VALUE", value_parser = label, value_delimiter = ',')]
        labels: Vec<(String, String)>,
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: TableFormat,
        /// A file with [site], [[tariff]] and [carbon] in place of the inventory's tariffs
        #[arg(long, value_name = "FILE")]
        tariff: Option<PathBuf>,
    },
    /// Turn a tariff of another format into tables of the inventory
    ///
    /// Reads a file that was downloaded, and asks nobody. Of prices by time, standard output is a price file, and
    /// standard error has the table that names such files; otherwise standard output is the table. Comments say what the
    /// tables cannot, and what is to be added by hand.
    ///
    /// Exit code: 0 imported; 2 the call or the file is wrong.
    Import {
        /// The format
        source: ImportSource,
        /// The file; `-` is standard input
        file: PathBuf,
        /// The tariff's name [default: that of the rate or of the format]
        #[arg(long)]
        name: Option<String>,
        /// The currency, where the file does not say it
        #[arg(long, value_name = "CODE", value_parser = currency)]
        currency: Option<Currency>,
        /// The pattern of price files, as it is to stand in the table
        #[arg(long, value_name = "PATTERN", default_value = "prices/*.csv")]
        prices: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableFormat {
    /// A table for people
    Text,
    /// One JSON document
    Json,
    /// One row a quarter-hour
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportSource {
    /// A rate of OpenEI's Utility Rate Database (JSON)
    Urdb,
    /// Half-hourly unit rates of Octopus Energy (JSON)
    Octopus,
    /// Prices of Tibber's API (JSON)
    Tibber,
    /// Day-ahead prices of ENTSO-E's transparency platform (XML)
    Entsoe,
}

impl From<ImportSource> for ImportFormat {
    fn from(source: ImportSource) -> Self {
        match source {
            ImportSource::Urdb => Self::Urdb,
            ImportSource::Octopus => Self::Octopus,
            ImportSource::Tibber => Self::Tibber,
            ImportSource::Entsoe => Self::Entsoe,
        }
    }
}

fn day(text: &str) -> Result<Day, &'static str> {
    match text {
        "today" => Ok(Day::Today),
        "tomorrow" => Ok(Day::Tomorrow),
        _ => text.parse().map(Day::Date).map_err(|_| "write a day as 2026-03-29, or today or tomorrow"),
    }
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::parse(text).map_err(|error| error.hint)
}

pub(super) fn run(cli: &Cli, command: &TariffCommand) -> Result<Exit, Failure> {
    match command {
        TariffCommand::Show { day, labels, format, tariff } => {
            let site = labels.iter().cloned().collect();
            let request = TariffDayRequest { day: *day, site: &site, tariff_file: tariff.as_deref() };
            let settings = match settings(cli) {
                // A file of tariffs can be looked at before there is any fleet.
                Err(app::Error::NoInventory(_)) if tariff.is_some() => None,
                settings => Some(settings?),
            };
            let shown = app::tariff_day(settings.as_ref(), &request).map_err(app::Error::from)?;
            print(&match format {
                TableFormat::Text => show::text(&shown),
                TableFormat::Json => show::json(&shown)?,
                TableFormat::Csv => show::csv(&shown),
            })?;
            render::price_warnings(&shown.warnings, colour_stderr(cli.colour));
            render::price_warnings(&show::without_price(&shown), colour_stderr(cli.colour));
            Ok(if shown.is_priced() { Exit::Ok } else { Exit::Partial })
        }
        TariffCommand::Import { source, file, name, currency, prices } => {
            let options = ImportOptions { name: name.as_deref(), price_file: prices, currency: *currency };
            let imported = app::import_tariff((*source).into(), file, &options).map_err(app::Error::from)?;
            let Some(prices) = imported.prices else { return say(imported.toml) };
            print(&prices)?;
            render::eprint_line(imported.toml.trim_end());
            Ok(Exit::Ok)
        }
    }
}
