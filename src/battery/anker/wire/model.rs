//! The products that are known: what each is called, what kind it is, and what its battery holds.

use crate::reading::Energy;

/// A product, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The product code, as it stands in topics: `A1790P`.
    pub code: &'static str,
    /// The vendor's name for it.
    pub name: &'static str,
    /// Its kind of device.
    pub kind: ModelKind,
    /// The capacity of one battery, without expansion packs; `None` if it has none.
    pub capacity: Option<Energy>,
}

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelKind {
    /// A portable power station.
    Station,
    /// A home power panel, to which stations are wired.
    Panel,
    /// A battery of a balcony power plant.
    Solarbank,
    /// A home energy system or a hub of several batteries.
    HomeSystem,
    /// A meter of the house connection.
    Meter,
    /// A switched and measured socket.
    Plug,
    /// A charger for devices, a vehicle, or out of a vehicle.
    Charger,
    /// A cooler.
    Cooler,
    /// An engine that makes electricity.
    Generator,
}

/// The product with this code. `A1765` is known as `A1763`, and `A1785` as `A1783`: the device says so itself.
pub fn model(code: &str) -> Option<&'static Model> {
    let code = resolved(code);
    MODELS.iter().find(|model| model.code == code)
}

/// Whether a product is read: it has a battery, or speaks for some, and its frames are understood. Inverters, meters,
/// plugs, chargers, coolers and what is not known are not.
pub fn is_read(code: &str) -> bool {
    model(code).is_some_and(|model| {
        matches!(
            model.kind,
            ModelKind::Station | ModelKind::Panel | ModelKind::Solarbank | ModelKind::HomeSystem
        )
    })
}

/// Every product that is known, each once.
pub fn models() -> impl Iterator<Item = &'static Model> {
    MODELS.iter()
}

/// The code under which a product's facts stand.
pub(super) fn resolved(code: &str) -> &str {
    match code {
        "A1765" => "A1763",
        "A1785" => "A1783",
        other => other,
    }
}

/// A product whose battery holds `watt_hours`, or which has none if that is 0.
const fn known(code: &'static str, name: &'static str, kind: ModelKind, watt_hours: i64) -> Model {
    let capacity =
        if watt_hours == 0 { None } else { Some(Energy::from_millijoules(watt_hours * 3_600_000)) };
    Model { code, name, kind, capacity }
}

/// In the order of the published maps, which is that of kinds and sizes.
#[rustfmt::skip]
static MODELS: [Model; 45] = [
    known("A1722", "SOLIX C300", ModelKind::Station, 288),
    known("A1723", "SOLIX C300X", ModelKind::Station, 288),
    known("A1725", "SOLIX C200(X)", ModelKind::Station, 230),
    known("A1726", "SOLIX C300 DC", ModelKind::Station, 288),
    known("A1727", "SOLIX C200 DC", ModelKind::Station, 192),
    known("A1728", "SOLIX C300X DC", ModelKind::Station, 288),
    known("A1729", "SOLIX C200X DC", ModelKind::Station, 230),
    known("A1753", "SOLIX C800", ModelKind::Station, 768),
    known("A1754", "SOLIX C800 Plus", ModelKind::Station, 768),
    known("A1755", "SOLIX C800X", ModelKind::Station, 768),
    known("A1761", "SOLIX C1000(X)", ModelKind::Station, 1056),
    known("A1763", "SOLIX C1000 Gen 2", ModelKind::Station, 1024),
    known("A1783", "SOLIX C2000 Gen 2", ModelKind::Station, 2048),
    known("AS220", "SOLIX S2000", ModelKind::Station, 2010),
    known("A1780", "767 PowerHouse (SOLIX F2000)", ModelKind::Station, 2048),
    known("A1780P", "767 Power House (SOLIX F2000) with WLAN", ModelKind::Station, 2048),
    known("A1781", "SOLIX F2600", ModelKind::Station, 2560),
    known("A1790", "SOLIX F3800", ModelKind::Station, 3840),
    known("A1790P", "SOLIX F3800 Plus", ModelKind::Station, 3840),
    known("A1782", "SOLIX F3000", ModelKind::Station, 3072),
    known("A17C0", "Solarbank E1600", ModelKind::Solarbank, 1600),
    known("A17C1", "Solarbank 2 E1600 Pro", ModelKind::Solarbank, 1600),
    known("A17C2", "Solarbank 2 E1600 AC", ModelKind::Solarbank, 1600),
    known("A17C3", "Solarbank 2 E1600 Plus", ModelKind::Solarbank, 1600),
    known("A17C5", "Solarbank 3 E2700 Pro", ModelKind::Solarbank, 2688),
    known("AE103", "Solarbank 4 E5000 Pro", ModelKind::Solarbank, 5024),
    known("A17E1", "Anker SOLIX E10", ModelKind::HomeSystem, 6144),
    known("AX170", "Power Dock", ModelKind::HomeSystem, 0),
    known("A17X7", "Smart Meter", ModelKind::Meter, 0),
    known("A17X7US", "Smart Meter US", ModelKind::Meter, 0),
    known("AE1R0", "Anker SOLIX P1 Meter", ModelKind::Meter, 0),
    known("SHEMP3", "Shelly Pro 3EM", ModelKind::Meter, 0),
    known("A17X8", "Smart Plug", ModelKind::Plug, 0),
    known("AE100", "SOLIX Power Dock", ModelKind::HomeSystem, 0),
    known("A17A4", "SOLIX Everfrost 2 40L", ModelKind::Cooler, 0),
    known("A17A5", "SOLIX Everfrost 2 58L", ModelKind::Cooler, 0),
    known("A2345", "250W Prime Charger", ModelKind::Charger, 0),
    known("A91B2", "240W Charging Station", ModelKind::Charger, 0),
    known("AS200", "Alternator Charger", ModelKind::Charger, 0),
    known("A17B1", "SOLIX Home Power Panel", ModelKind::Panel, 0),
    known("A5101", "X1-P6K-US/S", ModelKind::HomeSystem, 0),
    known("A5102", "X1-H(3.68~6)K-S", ModelKind::HomeSystem, 0),
    known("A5103", "X1-H (5~12)K-T", ModelKind::HomeSystem, 0),
    known("A5191", "V1 Smart EV Charger", ModelKind::Charger, 0),
    known("A7320", "SOLIX Smart Generator 5500", ModelKind::Generator, 0),
];
