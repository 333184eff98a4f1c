//! The REST interface: one call, its result, its pace.
//!
//! [`Cloud`] is the entry. It logs in by itself when it has to and may, keeps the login for the next process,
//! and does what each result code asks for.

mod cloud;
mod credentials;
mod device;
mod error;
mod panel;
mod reading;
mod site;

pub use cloud::{Cloud, LoggedIn};
pub use credentials::MqttCredentials;
pub use device::{BoundDevice, DeviceAttributes};
pub use error::{Pause, SolixError};
pub use panel::PanelAverage;
pub use reading::readings;
pub use site::{PanelRunning, Role, Scene, SceneDevice, Site};
