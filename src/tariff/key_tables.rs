//! The keys of each table of a file, with their meaning for a manual page.

/// The keys that a table may have.
#[derive(Debug, Clone, Copy)]
pub struct KeyTable {
    /// Where the table is, such as `in [[tariff]]`.
    pub title: &'static str,
    /// The name and the meaning of each key.
    pub keys: &'static [(&'static str, &'static str)],
}

impl KeyTable {
    /// The names of its keys.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|(name, _)| *name).collect()
    }
}

/// The tables that this room reads.
pub const TABLES: [&str; 3] = ["site", "tariff", "carbon"];

/// All tables, in the order of a manual page.
pub const KEY_TABLES: [KeyTable; 7] = [SITE, TARIFF, BAND, EXPORT, DEMAND, PRICES, CARBON];

pub(super) const SITE: KeyTable = KeyTable {
    title: "in [site]",
    keys: &[
        ("timezone", "The IANA name of its time zone, whose days, months and hours count; UTC without it."),
        ("pue", "The energy of the whole site for that of its GPUs, such as 1.35; 1 without it."),
        (
            "battery",
            "The price of energy from a battery: \"charged\" (the default; what its charge cost, the sun as the grid \
             then), \"opportunity\" (the sun as its export then) or \"zero\" (the sun for nothing).",
        ),
    ],
};

pub(super) const TARIFF: KeyTable = KeyTable {
    title: "in [[tariff]]",
    keys: &[
        ("name", "Its name, of which there is no other."),
        ("currency", "The three letters of its currency, such as \"EUR\"."),
        ("from", "The first local day on which it holds; since ever without it."),
        ("until", "The first local day on which it holds no longer."),
        (
            "applies_to",
            "The labels of the hosts that it holds for, as { site = \"home\" }; all hosts without it. Of several \
             tariffs that fit, that with the most labels holds, of those the one that began last.",
        ),
        ("per_kwh", "The price of a kilowatt-hour where no band fits. Not beside [tariff.prices]."),
        ("fixed_per_month", "The charge for each month."),
        ("band", "A price for some hours; the first that fits goes before per_kwh."),
        ("export", "The price that is paid for energy that goes out."),
        ("demand", "A charge for the highest quarter-hour of each month."),
        ("prices", "Prices by time, from files."),
    ],
};

pub(super) const BAND: KeyTable = KeyTable {
    title: "in [[tariff.band]]",
    keys: &[
        ("name", "Its name; bands of one name are shown as one."),
        (
            "days",
            "The days on which it holds, as \"Mon-Fri\"; every day without it. They are the days of the hours \
                  themselves: after midnight it is the next day.",
        ),
        ("hours", "The hours, as \"16:00-21:00\" or \"22:00-06:00\"; the whole day without it."),
        ("months", "The months, as \"Jun-Sep\"; the whole year without it."),
        ("per_kwh", "The price of a kilowatt-hour then."),
    ],
};

pub(super) const EXPORT: KeyTable = KeyTable {
    title: "in [tariff.export]",
    keys: &[("per_kwh", "The price of a kilowatt-hour that goes out, the same at all times.")],
};

pub(super) const DEMAND: KeyTable = KeyTable {
    title: "in [tariff.demand]",
    keys: &[
        ("name", "Its name; charges of one name are one, for the hours of all of them."),
        ("per_kw", "The price of each kilowatt of the month's highest quarter-hour."),
        ("days", "The days that count, as \"Mon-Fri\"; every day without it."),
        ("hours", "The hours that count, as \"12:00-20:00\"; the whole day without it."),
        ("months", "The months that are charged, as \"Jun-Sep\"; each without it."),
    ],
};

pub(super) const PRICES: KeyTable = KeyTable {
    title: "in [tariff.prices]",
    keys: &[
        (
            "file",
            "The price files, a shell pattern relative to this file, as \"prices/*.csv\". Their columns are \
                  start,end,price.",
        ),
        ("add", "What is added to each price, before the factor."),
        ("factor", "What multiplies each price with its addition, such as 1.19."),
    ],
};

pub(super) const CARBON: KeyTable = KeyTable {
    title: "in [carbon]",
    keys: &[
        ("g_per_kwh", "Grams of carbon dioxide for a kilowatt-hour, the same at all times."),
        ("file", "The same by time, as a pattern of files whose columns are start,end,g_per_kwh."),
    ],
};
