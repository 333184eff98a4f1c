//! The state of one device: the newest value of each name, and when it came.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reading::Timestamp;

/// The name of the number of expansion packs.
pub const PACKS: &str = "expansion_packs";

/// The most expansion packs that any model takes is six; a greater number is a misreading.
pub(super) const MOST_PACKS: u8 = 10;

/// The merged values of one serial number. Newer values replace older ones by name; a frame that lacks a
/// name deletes nothing. So a stale value looks like a fresh one, and each has its time of receipt.
///
/// The exceptions are those of the reference: lifetime energies never fall and are never 0, and values of an
/// expansion pack count only if the pack is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceState {
    /// Each value, and when it came; of what another witness says, nothing.
    values: BTreeMap<String, (Value, Option<Timestamp>)>,
    /// Whether it is heard only through a hub, such as a station that is wired to a panel. What comes in from the grid
    /// is then the panel's to say.
    pub(crate) is_behind_hub: bool,
}

impl DeviceState {
    /// Takes in what a frame said that was received at `at`, by the collector's clock. What comes out of
    /// order does not replace what is newer, and the same twice is the same once.
    pub fn merge(&mut self, values: &BTreeMap<String, Value>, at: Timestamp) {
        for (name, value) in values {
            let is_newer = self.received_at(name).is_none_or(|known| known <= at);
            if is_newer && self.accepts(name, value, values) {
                self.values.insert(name.clone(), (value.clone(), Some(at)));
            }
        }
    }

    /// The number of its expansion packs, if it is known: as said, else as many as have a charge.
    pub fn n_packs(&self) -> Option<u8> {
        let said = self.value(PACKS).and_then(Value::as_u64).and_then(|said| u8::try_from(said).ok());
        let seen = || (1..=MOST_PACKS).filter(|pack| self.values.contains_key(&format!("exp_{pack}_soc")));
        said.filter(|said| *said <= MOST_PACKS)
            .or_else(|| u8::try_from(seen().count()).ok().filter(|n| *n > 0))
    }

    /// Notes the number of expansion packs by another witness than the device, whose own word goes before.
    /// It is not given as said now.
    pub fn set_packs(&mut self, n_packs: u8) {
        if self.received_at(PACKS).is_none() {
            self.values.insert(PACKS.to_owned(), (Value::from(n_packs), None));
        }
    }

    /// A value, however old.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).map(|(value, _)| value)
    }

    /// The values that came at `since` or later, each with its time.
    pub fn values_since(&self, since: Timestamp) -> impl Iterator<Item = (&str, &Value, Timestamp)> {
        let values =
            self.values.iter().filter_map(|(name, (value, at))| Some((name.as_str(), value, (*at)?)));
        values.filter(move |(.., at)| since <= *at)
    }

    fn received_at(&self, name: &str) -> Option<Timestamp> {
        self.values.get(name)?.1
    }

    fn accepts(&self, name: &str, value: &Value, others: &BTreeMap<String, Value>) -> bool {
        if is_lifetime_energy(name) {
            let (new, known) = (value.as_f64(), self.value(name).and_then(Value::as_f64));
            return new.is_some_and(|new| new > 0.0 && known.is_none_or(|known| known <= new));
        }
        let Some(pack) = pack_of(name) else { return true };
        let number = |name: &str| others.get(name).or_else(|| self.value(name)).and_then(Value::as_f64);
        let soc = number(&format!("exp_{pack}_soc"));
        let counted = number("expansion_packs").map(|n_packs| f64::from(pack) <= n_packs);
        match (counted, soc) {
            (Some(true), _) | (None, None) => true,
            (_, soc) => soc.is_some_and(|soc| soc > 0.0),
        }
    }
}

/// Energies that only grow, in kWh. Those of a day begin again each day, and their names say so.
fn is_lifetime_energy(name: &str) -> bool {
    name == "pv_yield" || name.ends_with("_energy")
}

/// The number of the expansion pack that a value belongs to: 1 of `exp_1_soc`.
fn pack_of(name: &str) -> Option<u8> {
    name.strip_prefix("exp_")?.split('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn values(values: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(values).unwrap()
    }

    fn all(state: &DeviceState) -> BTreeMap<String, Value> {
        let all = state.values_since(Timestamp::from_micros(0));
        all.map(|(name, value, _)| (name.to_owned(), value.clone())).collect()
    }

    fn merged(frames: &[Value]) -> DeviceState {
        let mut state = DeviceState::default();
        for (second, frame) in (0..).zip(frames) {
            state.merge(&values(frame.clone()), at(second));
        }
        state
    }

    #[test]
    fn a_name_that_a_frame_lacks_keeps_its_value_and_its_age() {
        let state = merged(&[json!({"battery_soc": 80, "temperature": 20}), json!({"battery_soc": 79})]);
        assert_eq!(all(&state), values(json!({"battery_soc": 79, "temperature": 20})));
        let fresh: Vec<&str> = state.values_since(at(1)).map(|(name, ..)| name).collect();
        assert_eq!(fresh, ["battery_soc"]);
    }

    #[test]
    fn what_comes_late_does_not_replace_what_is_newer() {
        let mut state = merged(&[json!({}), json!({"battery_soc": 79})]);
        state.merge(&values(json!({"battery_soc": 80})), at(0));
        let kept: Vec<_> = state.values_since(at(1)).collect();
        assert_eq!(kept, [("battery_soc", &json!(79), at(1))]);
    }

    #[test]
    fn a_lifetime_energy_never_falls_and_is_never_zero() {
        let state = merged(&[json!({"pv_yield": 0}), json!({"pv_yield": 5.5}), json!({"pv_yield": 5.4})]);
        assert_eq!(all(&state), values(json!({"pv_yield": 5.5})));
    }

    #[test]
    fn a_pack_that_is_not_there_has_no_values() {
        let frame = json!({"expansion_packs": 1, "exp_1_soc": 0, "exp_2_soc": 0, "exp_3_soc": 7});
        let state = merged(&[frame]);
        assert_eq!(all(&state), values(json!({"expansion_packs": 1, "exp_1_soc": 0, "exp_3_soc": 7})));
    }

    proptest! {
        #[test]
        fn the_same_frames_twice_are_the_same_once(
            frames in prop::collection::vec(
                (0_i64..5, prop::collection::btree_map(
                    prop_oneof!["[a-c]_energy", "exp_[12]_soc", Just("expansion_packs".to_owned()), "[a-d]"],
                    (0..4).prop_map(Value::from),
                    0..6,
                )),
                0..8,
            )
        ) {
            let mut once = DeviceState::default();
            for (second, frame) in &frames {
                once.merge(frame, at(*second));
                let mut twice = once.clone();
                twice.merge(frame, at(*second));
                prop_assert_eq!(&twice, &once);
            }
        }
    }
}
