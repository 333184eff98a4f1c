//! What a cloud is told, and what it tells: plain values.

use std::time::{Duration, SystemTime};

/// What a cloud shall be. Start from [`Options::default`], one F3800 Plus.
#[derive(Debug, Clone)]
pub struct Options {
    /// The account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Its country.
    pub country: String,
    /// What the account owns.
    pub devices: Vec<Device>,
    /// Where the devices live; the other region lets one in and shows empty lists.
    pub home: Region,
    /// From one telemetry frame of a triggered station to the next.
    pub pace: Duration,
    /// How long a token holds.
    pub token_for: Duration,
    /// Whether a login takes the token of the one before away, as until 2025.
    pub single_session: bool,
    /// How many calls a minute each endpoint answers; more are 429.
    pub calls_per_minute: usize,
    /// How many logins an hour are looked at; more are 100053.
    pub logins_per_hour: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            email: "someone@example.com".to_owned(),
            password: "Sunshine & Zürich 2024".to_owned(),
            country: "US".to_owned(),
            devices: vec![Device::f3800_plus()],
            home: Region::Com,
            pace: Duration::from_millis(100),
            token_for: Duration::from_hours(7 * 24),
            single_session: false,
            calls_per_minute: 10,
            logins_per_hour: 10,
        }
    }
}

impl Options {
    /// A house with a Home Power Panel and two stations behind it.
    pub fn with_panel() -> Self {
        let panel = Device::panel();
        let stations = ["9DNBH3TEST000001", "9DNBH3TEST000002"]
            .map(|serial| Device::new(Model::F3800Plus, serial).behind(&panel.serial));
        Self { devices: [panel].into_iter().chain(stations).collect(), ..Self::default() }
    }
}

/// One device of the account.
#[derive(Debug, Clone)]
pub struct Device {
    /// What it is.
    pub model: Model,
    /// Its serial number: 17 characters for a C1000 Gen 2, else 16.
    pub serial: String,
    /// What its owner calls it.
    pub alias: String,
    /// Whether it answers status requests. Some stations only know triggers.
    pub answers_status: bool,
    /// How long after a trigger the first frame comes, if not a pace after it.
    pub first_frame_after: Option<Duration>,
    /// The serial of the Home Power Panel that speaks for it: then it is not on the broker itself.
    pub behind_panel: Option<String>,
}

impl Device {
    /// A device on the broker, with the name of its model.
    pub fn new(model: Model, serial: &str) -> Self {
        Self {
            model,
            serial: serial.to_owned(),
            alias: model.name().to_owned(),
            answers_status: true,
            first_frame_after: None,
            behind_panel: None,
        }
    }

    /// An F3800 Plus, `9DNC2C0TEST00001`.
    pub fn f3800_plus() -> Self {
        Self::new(Model::F3800Plus, "9DNC2C0TEST00001")
    }

    /// A Home Power Panel, `UUBABYTEST000001`.
    pub fn panel() -> Self {
        Self::new(Model::Panel, "UUBABYTEST000001")
    }

    /// A Solarbank, `CUTUTTTEST000001`.
    pub fn solarbank() -> Self {
        Self::new(Model::Solarbank, "CUTUTTTEST000001")
    }

    /// A Solarbank 2, `ATBC2C1TEST00001`.
    pub fn solarbank_2() -> Self {
        Self::new(Model::Solarbank2, "ATBC2C1TEST00001")
    }

    /// A C1000 Gen 2, `6WPYSCSTEST000001`.
    pub fn c1000_gen_2() -> Self {
        Self::new(Model::C1000Gen2, "6WPYSCSTEST000001")
    }

    /// An inverter, `DQTGB6TEST01`.
    pub fn inverter() -> Self {
        Self::new(Model::Inverter, "DQTGB6TEST01")
    }

    /// A smart meter, `IY61SJTEST000001`.
    pub fn meter() -> Self {
        Self::new(Model::Meter, "IY61SJTEST000001")
    }

    /// A smart plug, `PLUG8XTEST000001`.
    pub fn plug() -> Self {
        Self::new(Model::Plug, "PLUG8XTEST000001")
    }

    /// The same device wired to a panel.
    #[must_use]
    pub fn behind(self, panel: &str) -> Self {
        Self { behind_panel: Some(panel.to_owned()), ..self }
    }
}

/// The models that are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// A1790P, SOLIX F3800 Plus.
    F3800Plus,
    /// A1790, SOLIX F3800.
    F3800,
    /// A17B1, Home Power Panel.
    Panel,
    /// A17C0, Solarbank E1600.
    Solarbank,
    /// A17C1, Solarbank 2 E1600 Pro.
    Solarbank2,
    /// A1763, SOLIX C1000 Gen 2.
    C1000Gen2,
    /// A5143, MI80 inverter: on the list, and nothing else.
    Inverter,
    /// A17X7, Smart Meter: says what flows through the house's connection.
    Meter,
    /// A17X8, Smart Plug.
    Plug,
}

impl Model {
    /// The product code.
    pub fn code(self) -> &'static str {
        match self {
            Self::F3800Plus => "A1790P",
            Self::F3800 => "A1790",
            Self::Panel => "A17B1",
            Self::Solarbank => "A17C0",
            Self::Solarbank2 => "A17C1",
            Self::C1000Gen2 => "A1763",
            Self::Inverter => "A5143",
            Self::Meter => "A17X7",
            Self::Plug => "A17X8",
        }
    }

    /// Whether it is a battery of a balcony power plant, which belongs to a site.
    pub fn is_solarbank(self) -> bool {
        matches!(self, Self::Solarbank | Self::Solarbank2)
    }

    /// The vendor's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F3800Plus => "SOLIX F3800 Plus",
            Self::F3800 => "SOLIX F3800",
            Self::Panel => "SOLIX Home Power Panel",
            Self::Solarbank => "Solarbank E1600",
            Self::Solarbank2 => "Solarbank 2 E1600 Pro",
            Self::C1000Gen2 => "SOLIX C1000 Gen 2",
            Self::Inverter => "MI80 Microinverter(BLE)",
            Self::Meter => "Smart Meter",
            Self::Plug => "Smart Plug",
        }
    }
}

/// The two hosts of the vendor, here two ports of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// `ankerpower-api.anker.com`.
    Com,
    /// `ankerpower-api-eu.anker.com`.
    Eu,
}

/// What an endpoint does instead of answering.
#[derive(Debug, Clone)]
pub enum Failure {
    /// HTTP 200 with this code in the body.
    Code(i64),
    /// The same with a message.
    CodeWithMessage(i64, String),
    /// This HTTP status, with a body as the vendor's gateway gives it.
    Http(u16),
    /// HTTP 200 with this body.
    Body(String),
    /// The right answer, so much later.
    Slow(Duration),
    /// Never an answer.
    Hang,
}

/// One call of the REST interface.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came.
    pub at: SystemTime,
    /// At which of the two hosts.
    pub region: Region,
    /// The path without the first slash.
    pub endpoint: String,
    /// The HTTP status of the answer; 0 if there was none.
    pub status: u16,
    /// The code in the body of the answer, if there was one.
    pub code: Option<i64>,
    /// Why it was refused, for who reads the log; empty when it was not.
    pub why: String,
}

/// One message that a station received.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came.
    pub at: SystemTime,
    /// To which station.
    pub serial: String,
    /// What it asked for, or what was wrong with it.
    pub asked: Result<Asked, String>,
}

/// What a station can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// 0057: telemetry for so long.
    Trigger(Duration),
    /// 0057: no telemetry any more.
    TriggerOff,
    /// 0040, 0100: the status, once.
    Status,
    /// 0030: the versions, once.
    Versions,
}

/// Which subscriptions the broker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Those to topics of others only.
    Foreign,
    /// Those with a `#` or `+` too.
    Wildcards,
    /// All.
    All,
}

/// What can be wrong with a message.
#[derive(Debug, Clone)]
pub enum Broken {
    /// The frame's last byte.
    Checksum,
    /// The frame's end is missing.
    Truncated,
    /// Bytes that are no envelope.
    Garbage,
    /// An envelope that says it is another model's; the topic and the frame are right.
    WrongModel,
    /// An envelope of so many bytes, most of them in a text of its head. All else is right.
    TooLong(usize),
    /// This frame in an envelope as it must be.
    Frame(Vec<u8>),
    /// These bytes instead of a message.
    Raw(Vec<u8>),
}

/// Who connected to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its client id.
    pub client_id: String,
    /// The common name of its certificate.
    pub name: String,
    /// Whether it speaks MQTT 3.1.1.
    pub is_3_1_1: bool,
    /// Whether it asked for a clean session.
    pub is_clean: bool,
    /// Its keep alive, in seconds.
    pub keep_alive: u16,
}

/// A topic that somebody subscribed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// As it was asked for.
    pub topic: String,
    /// Quality of service.
    pub qos: u8,
    /// Whether the broker allowed it; else it answered 128.
    pub is_granted: bool,
}
