//! What a REST poll found, as a line in the log.

use crate::battery::anker::rest::NoReading;
use crate::reading::{Absent, Power, Station, StationReading};

/// What the REST interface says of a station, in the words that people look for in their journals. What it does not
/// say is a question mark.
pub(super) fn rest_line(station: &Station, reading: &Result<StationReading, NoReading>) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "?".to_owned(), |number| format!("{number:.0}"));
    let watts = |power: Result<&Power, &Absent>| number(power.ok().map(|power| power.watts()));
    let name = station.called();
    match reading {
        Ok(reading) => {
            let soc = number(reading.device.soc().ok().map(|soc| soc.percent()));
            let (input, output) = (watts(reading.device.power_input()), watts(reading.device.power_output()));
            format!("REST API: {name} SOC={soc}% In={input}W Out={output}W")
        }
        Err(why) => format!("REST API: {name} SOC=?% In=?W Out=?W ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::reading::{
        DataSource, Device, DeviceKind, GridState, PollingMode, Quantity, SafeText, Share, Timestamp,
    };

    #[test]
    fn a_rest_poll_is_told_in_the_words_that_people_look_for() {
        let name = SafeText::new("F3800 Plus");
        let station = Station { serial: SafeText::new("SN"), model: SafeText::new("A1790P"), name };
        let reading = StationReading {
            station: station.clone(),
            at: Timestamp::from_micros(0),
            source: DataSource::RestApi,
            mode: PollingMode::Normal,
            device: Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
                .with(Quantity::StateOfCharge, Share::from_millipercent(87_000))
                .with(Quantity::PowerInput, Power::from_milliwatts(411_600)),
            grid: GridState::Unknown,
            fields: BTreeMap::new(),
            raw_keys: Vec::new(),
        };
        assert_eq!(rest_line(&station, &Ok(reading)), "REST API: F3800 Plus SOC=87% In=412W Out=?W");
        assert_eq!(
            rest_line(&station, &Err(NoReading::Offline)),
            "REST API: F3800 Plus SOC=?% In=?W Out=?W (it is offline)"
        );
    }
}
