//! Mosquitto's log, read.

use super::types::{Connection, Subscription};

/// The connections that had a certificate of this name, oldest first.
pub fn connections(log: &str, name: &str) -> Vec<Connection> {
    log.lines().filter_map(connection).filter(|connection| connection.name == name).collect()
}

/// `New client connected from 127.0.0.1:40000 as ID (p2, c1, k60, u'NAME').`
fn connection(line: &str) -> Option<Connection> {
    let (_, line) = line.strip_prefix("New client connected from ")?.split_once(" as ")?;
    let (client_id, line) = line.split_once(" (p")?;
    let (protocol, line) = line.split_once(", c")?;
    let (clean, line) = line.split_once(", k")?;
    let (keep_alive, line) = line.split_once(", u'")?;
    Some(Connection {
        client_id: client_id.to_owned(),
        name: line.split_once("')")?.0.to_owned(),
        is_3_1_1: protocol == "2",
        is_clean: clean == "1",
        keep_alive: keep_alive.parse().ok()?,
    })
}

/// What clients of this name subscribed, oldest first.
///
/// ```text
/// Received SUBSCRIBE from ID
///     TOPIC (QoS 0)
/// ID 0 TOPIC                  if it was granted
/// Sending SUBACK to ID
/// ```
pub fn subscriptions(log: &str, name: &str) -> Vec<Subscription> {
    let ids: Vec<String> = connections(log, name).into_iter().map(|known| known.client_id).collect();
    let mut all: Vec<Subscription> = Vec::new();
    let mut from = None;
    for line in log.lines() {
        if let Some(id) = line.strip_prefix("Received SUBSCRIBE from ") {
            from = ids.iter().find(|known| *known == id);
        } else if line.starts_with("Sending SUBACK to ") {
            from = None;
        } else if let Some(id) = from {
            if let Some((topic, qos)) = line.strip_prefix('\t').and_then(|line| line.split_once(" (QoS ")) {
                let qos = qos.trim_end_matches(')').parse().unwrap_or_default();
                all.push(Subscription { topic: topic.to_owned(), qos, is_granted: false });
            } else if line.starts_with(id.as_str())
                && let Some(last) = all.last_mut()
            {
                last.is_granted = true;
            }
        }
    }
    all
}

/// How many messages the account was not allowed to publish.
pub fn denied_publishes(log: &str, name: &str) -> usize {
    let ids: Vec<String> = connections(log, name).into_iter().map(|known| known.client_id).collect();
    let denied = log.lines().filter_map(|line| line.strip_prefix("Denied PUBLISH from "));
    denied.filter(|line| ids.iter().any(|id| line.starts_with(id.as_str()))).count()
}
