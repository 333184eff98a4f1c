//! `login` and `devices`: the account.

use std::io::{IsTerminal, Write};
use std::iter;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::DEVICES_SCHEMA;
use super::vendor::rest::{BoundDevice, Cloud, CloudError, LoggedIn};
use super::vendor::wire;
use crate::app::Settings;
use crate::battery::{Account, VENDOR};
use crate::cli::args::Cli;
use crate::cli::exit::Exit;
use crate::cli::{Failure, block_on, colour_stderr, print, render, settings, settings_to_read};
use crate::reading::SafeText;
use crate::support::secret::Secret;

const HEADER: [&str; 6] = ["name", "serial", "model", "online", "whose", "firmware"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ListFormat {
    /// A table for people
    Text,
    /// One JSON object with a versioned schema
    Json,
}

/// Logs in, unless there is a login that holds; again, if it is asked for.
pub(super) fn login(cli: &Cli, force: bool) -> Result<Exit, Failure> {
    let settings = settings(cli)?;
    let Some(config) = &settings.account else { return Ok(no_section(&settings)) };
    settings.may_write_state()?;
    let job = async { Ok(log_in(config, force).await) };
    match block_on(job)? {
        Ok(message) => {
            print(&format!("{message}\nthe login is kept in {}\n", settings.state_dir.display()))?;
            Ok(Exit::Ok)
        }
        Err(error) => Ok(failed(cli, &error)),
    }
}

async fn log_in(config: &Account, force: bool) -> Result<String, CloudError> {
    let mut cloud = Cloud::open(config)?;
    if let Some(login) = cloud.login().filter(|_| !force) {
        return Ok(format!("already logged in{}", until(login, config)));
    }
    let email = asked(config.email.as_ref(), ask_email)?;
    let password = asked(config.password.as_ref(), || rpassword::prompt_password("password: "))?;
    let login = cloud.log_in(email.expose(), &password).await?;
    Ok(format!("logged in{}", until(login, config)))
}

/// Until when it holds, and what comes then.
fn until(login: LoggedIn, config: &Account) -> String {
    let until = login.until.map(|until| format!(" until {until}")).unwrap_or_default();
    if config.email.is_some() && config.password.is_some() {
        return format!("{until}, then renewed automatically");
    }
    format!("{until}; then `fleetwatt {} login` is needed again, as no password is set", VENDOR.source)
}

/// Asks a person for what the settings do not have.
fn asked(
    known: Option<&Secret>,
    ask: impl FnOnce() -> std::io::Result<String>,
) -> Result<Secret, CloudError> {
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let answer = if std::io::stdin().is_terminal() { ask().ok() } else { None };
    answer.filter(|answer| !answer.is_empty()).map(Secret::new).ok_or(CloudError::NoCredentials)
}

fn ask_email() -> std::io::Result<String> {
    let mut stderr = std::io::stderr();
    write!(stderr, "e-mail address of the {} account: ", VENDOR.label)?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Lists what the account has.
pub(super) fn devices(cli: &Cli, format: ListFormat) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    let Some(config) = &settings.account else { return Ok(no_section(&settings)) };
    let job = async { Ok(list(config).await) };
    let devices = match block_on(job)? {
        Ok(devices) => devices,
        Err(error) => return Ok(failed(cli, &error)),
    };
    match format {
        ListFormat::Json => print(&format!("{:#}\n", as_json(&devices)))?,
        ListFormat::Text if devices.is_empty() => render::eprint_line("the account has no devices"),
        ListFormat::Text => print(&format!("{}{}", table(&devices), not_read(&devices)))?,
    }
    Ok(if devices.is_empty() { Exit::Nothing } else { Exit::Ok })
}

async fn list(config: &Account) -> Result<Vec<BoundDevice>, CloudError> {
    Cloud::open(config)?.devices().await
}

fn table(devices: &[BoundDevice]) -> String {
    let rows = devices.iter().map(|device| {
        let online = device.wifi_online.map_or("?", |is_online| if is_online { "yes" } else { "no" });
        let firmware = device.software.as_ref().map_or("?", SafeText::as_str);
        let whose = if device.is_own { "own" } else { "shared" };
        [device.name.as_str(), device.serial.as_str(), device.model.as_str(), online, whose, firmware]
    });
    render::columns(&iter::once(HEADER).chain(rows).collect::<Vec<_>>(), false)
}

/// Names those that are no battery, so that nobody waits for their rows.
fn not_read(devices: &[BoundDevice]) -> String {
    let others = devices.iter().filter(|device| !wire::is_read(device.model.as_str()));
    let names: Vec<String> = others.map(|device| format!("{} ({})", device.name, device.model)).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "not read, as they are no power station, solarbank or panel that is known: {}\n",
        names.join(", ")
    )
}

fn as_json(devices: &[BoundDevice]) -> Value {
    let device = |device: &BoundDevice| {
        json!({
            "name": device.name.as_str(),
            "serial": device.serial.as_str(),
            "model": device.model.as_str(),
            "online": device.wifi_online,
            "own": device.is_own,
            "firmware": device.software.as_ref().map(SafeText::as_str),
            "rssi_dbm": device.rssi_dbm,
            "time_zone": device.time_zone.as_ref().map(SafeText::as_str),
            "read": wire::is_read(device.model.as_str()),
        })
    };
    json!({"schema": DEVICES_SCHEMA, "devices": devices.iter().map(device).collect::<Vec<_>>()})
}

/// The inventory has no account.
pub(super) fn no_section(settings: &Settings) -> Exit {
    render::eprint_plain_error(&format!(
        "the inventory {} has no [{}]: write that section, with the `country` of the account",
        settings.inventory_path.display(),
        VENDOR.source
    ));
    Exit::Usage
}

fn failed(cli: &Cli, error: &CloudError) -> Exit {
    render::eprint_error("", error, colour_stderr(cli.colour));
    if matches!(error.kind(), "settings" | "no_credentials") { Exit::Usage } else { Exit::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, wifi_online: Option<bool>, is_own: bool) -> BoundDevice {
        BoundDevice {
            serial: SafeText::new("9DNC2C0TEST00001"),
            model: SafeText::new("A1790P"),
            name: SafeText::new(name),
            wifi_online,
            is_own,
            owner_user_id: Some(Secret::new("canary")),
            software: wifi_online.map(|_| SafeText::new("2.6.5")),
            rssi_dbm: Some(-54),
            time_zone: None,
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_device_and_its_columns_are_straight() {
        let devices = [device("Küche 電池", Some(true), true), device("Shed", None, false)];
        let expected = "name        serial            model   online  whose   firmware\n\
                        Küche 電池  9DNC2C0TEST00001  A1790P  yes     own     2.6.5\n\
                        Shed        9DNC2C0TEST00001  A1790P  ?       shared  ?\n";
        assert_eq!(table(&devices), expected);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let inverter = BoundDevice { model: SafeText::new("A5143"), ..device("Microlino", None, true) };
        let devices = [device("Shed", None, true), inverter];
        assert!(not_read(&devices).ends_with("known: Microlino (A5143)\n"), "{}", not_read(&devices));
        assert_eq!(not_read(&devices[..1]), "");
        let json = as_json(&devices);
        assert_eq!((&json["devices"][0]["read"], &json["devices"][1]["read"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn json_has_what_is_known_and_no_account() {
        let json = as_json(&[device("Shed", None, true)]);
        assert_eq!(json["devices"][0]["online"], Value::Null);
        assert_eq!(json["devices"][0]["rssi_dbm"], -54);
        assert!(!json.to_string().contains("canary"));
    }
}
