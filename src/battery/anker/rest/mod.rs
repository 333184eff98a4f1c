//! The REST interface: one call, its result, its pace.
//!
//! [`Cloud`] is the entry. It logs in by itself when it has to and may, keeps the login for the next process,
//! and does what each result code asks for: `action` says what that is, `call` and `account` do it.

mod account;
mod action;
mod cache;
mod call;
mod cloud;
mod credentials;
mod device;
mod endpoint;
mod error;
mod http;
mod json;
mod pace;
mod panel;
mod reading;
mod region;
mod site;

pub use cloud::{Cloud, LoggedIn};
pub use credentials::MqttCredentials;
pub use device::BoundDevice;
pub use error::{CloudError, Pause};
pub use pace::Pace;
pub use panel::PanelAverage;
pub use reading::{NoReading, Received, SiteReading, site_readings};
pub(crate) use reading::{is_panel_offline, rest_line};
pub use site::{Role, Scene, SceneDevice, Site};
