//! The products that are known: what each is called, what kind it is, and what its battery holds.

use crate::reading::Energy;

/// A product, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The product code, as it stands in topics: `A1790P`.
    pub code: &'static str,
    /// What the vendor calls it.
    pub name: &'static str,
    /// What kind of device it is.
    pub kind: ModelKind,
    /// What one battery holds when full, without expansion packs; `None` if it has none.
    pub capacity: Option<Energy>,
}

/// What kind of device a product is.
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

static MODELS: [Model; 0] = [];
