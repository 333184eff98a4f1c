//! The hosts as the inventory means them: `check --list`.

use std::sync::Arc;

use super::render::columns;
use crate::inventory::{Host, Inventory, Origin, Target};
use crate::reading::SafeText;
use crate::support::shape;

/// The version of the JSON document; a number is never given to two shapes.
const SCHEMA: &str = "fleetwatt.hosts/1";

/// One line a host.
pub(super) fn text(inventory: &Inventory, hosts: &[Arc<Host>]) -> String {
    let mut rows = vec![["name", "address", "way", "labels", "from"].map(str::to_owned)];
    rows.extend(hosts.iter().map(|host| {
        let label =
            |(key, value): (&String, &String)| format!("{}={}", SafeText::new(key), SafeText::new(value));
        let labels: Vec<String> = host.labels.iter().map(label).collect();
        let from: Vec<String> = origins(inventory, host).iter().map(place).collect();
        let address = host.address().to_owned();
        [host.name.clone(), address, way(host), labels.join(","), from.join(", changed by ")]
    }));
    columns(&rows, false)
}

/// The way to a host, as text.
fn way(host: &Host) -> String {
    let mut message = vec![kind(host).to_owned()];
    if let Some(ssh) = host.ssh_target() {
        message.extend(ssh.user.as_ref().map(|user| format!("as {user}")));
        message.extend(ssh.port.map(|port| format!("port {port}")));
        message.extend(ssh.jump.as_ref().map(|jump| format!("via {jump}")));
    }
    if host.maintenance {
        message.push("(in maintenance)".to_owned());
    }
    message.join(" ")
}

const fn kind(host: &Host) -> &'static str {
    match host.target {
        Target::Local => "local",
        Target::Ssh(_) => "ssh",
        Target::Scripted { .. } => "scripted",
    }
}

fn origins<'i>(inventory: &'i Inventory, host: &Host) -> &'i [Origin] {
    inventory.origins.get(&host.name).map(Vec::as_slice).unwrap_or_default()
}

fn place(origin: &Origin) -> String {
    format!("{}:{}", SafeText::new(&origin.file.display().to_string()), origin.line)
}

shape! { Document((inventory, hosts) = (&'a Inventory, &'a [Arc<Host>])) {
    schema: SCHEMA,
    hosts: hosts.iter().map(|host| HostShape((inventory, host))).collect::<Vec<_>>(),
} }

shape! { HostShape((inventory, host) = (&'a Inventory, &'a Host)) {
    name: host.name,
    address: host.address(),
    way: kind(host),
    user: host.ssh_target().map(|ssh| &ssh.user),
    port: host.ssh_target().map(|ssh| ssh.port),
    jump: host.ssh_target().map(|ssh| &ssh.jump),
    labels: host.labels,
    maintenance: host.maintenance,
    // The entry that gives the host, then those that change it.
    origin: origins(inventory, host).iter().map(OriginShape).collect::<Vec<_>>(),
} }

shape! { OriginShape(origin = &'a Origin) {
    file: origin.file.display().to_string(),
    line: origin.line,
} }

/// One JSON document.
///
/// # Errors
/// None that could happen: every part is text or a number.
pub(super) fn json(inventory: &Inventory, hosts: &[Arc<Host>]) -> std::io::Result<String> {
    Ok(serde_json::to_string(&Document((inventory, hosts)))? + "\n")
}
