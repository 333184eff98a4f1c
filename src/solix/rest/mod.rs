//! The REST interface: one call, its result, its pace.
use crate::reading::{Clean, SolixTrouble, StationReading, Timestamp};
use crate::solix::{Config, Hidden};
#[derive(Debug)]
pub struct Cloud {}
#[derive(Debug)]
pub struct SolixError {}
impl std::fmt::Display for SolixError { fn fmt(&self, f:&mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
impl std::error::Error for SolixError {}
impl SolixError { pub fn trouble(&self) -> SolixTrouble { todo!() } }
#[derive(Debug, Clone)]
pub struct BoundDevice { pub serial: Clean, pub model: Clean, pub name: Clean, pub wifi_online: Option<bool>, pub is_own: bool, pub owner_user_id: Option<Hidden> }
#[derive(Debug, Clone)]
pub struct MqttCredentials { pub user_id: Hidden, pub app_name: String, pub thing_name: Hidden, pub certificate_id: Hidden, pub certificate_pem: Hidden, pub private_key: Hidden, pub ca_pem: Hidden, pub endpoint: String, pub not_after: Option<Timestamp> }
impl Cloud {
    pub fn open(_c: &Config) -> Result<Self, SolixError> { todo!() }
    pub async fn devices(&mut self) -> Result<Vec<BoundDevice>, SolixError> { todo!() }
    pub async fn mqtt_credentials(&mut self) -> Result<MqttCredentials, SolixError> { todo!() }
    pub async fn mqtt_credentials_anew(&mut self) -> Result<MqttCredentials, SolixError> { todo!() }
    pub async fn panel_readings(&mut self) -> Result<Vec<StationReading>, SolixError> { todo!() }
}
