//! Plays a case: a JSON file with the answers of one nvidia-smi, for what a scene cannot say.
//!
//! | key | meaning |
//! |---|---|
//! | `raw` | `stdout` and `exit` of every call, whatever its arguments |
//! | `names`, `names_unit` | the fields that it knows, and their units; another one is refused |
//! | `rows` | the cells of each GPU, in the order of `names` |
//! | `lost_handle` | places of GPUs without a handle: no row at all where one of them is asked for |
//! | `sleep` | how many seconds a call took there; it is not waited for here |

use serde_json::Value;

/// A case that was read.
#[derive(Debug, Clone)]
pub(crate) struct Case(Value);

/// What a call prints, and its exit code.
pub(crate) type Said = (String, i32);

impl Case {
    pub(crate) fn read(path: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self(serde_json::from_slice(&std::fs::read(path)?)?))
    }

    pub(crate) fn answer(&self, args: &[String]) -> Said {
        if let Some(raw) = self.0.get("raw") {
            let exit = raw["exit"].as_i64().and_then(|exit| exit.try_into().ok()).unwrap_or(0);
            return (raw["stdout"].as_str().unwrap_or_default().to_owned(), exit);
        }
        let fields = args.iter().find_map(|arg| arg.strip_prefix("--query-gpu=")).unwrap_or_default();
        let mut columns = Vec::new();
        for field in fields.split(',') {
            match self.column(field) {
                Some(column) => columns.push(column),
                None => return (format!("Field \"{field}\" is not a valid field to query.\n\n"), 2),
            }
        }
        let chosen = args.iter().position(|arg| arg == "-i").and_then(|at| args.get(at + 1));
        let rows = self.rows();
        let is_chosen = |(place, row): &(usize, &Vec<String>)| {
            let is_it = |id: &str| id == place.to_string() || row.iter().take(3).any(|cell| cell == id);
            chosen.is_none_or(|chosen| chosen.split(',').any(is_it))
        };
        let asked: Vec<_> = rows.iter().enumerate().filter(is_chosen).collect();
        if asked.is_empty() {
            return ("No devices were found\n".to_owned(), 6);
        }
        let lost = self.list("lost_handle");
        if let Some((_, row)) = asked.iter().find(|(place, _)| lost.contains(&Value::from(*place))) {
            let bus_id = self
                .column("pci.bus_id")
                .and_then(|at| row.get(at))
                .and_then(|id| id.get(4..))
                .unwrap_or_default();
            let words = "GPU is lost.  Reboot the system to recover this GPU";
            return (format!("Unable to determine the device handle for GPU{bus_id}: {words}\n\n"), 15);
        }
        let line = |(_, row): &(usize, &Vec<String>)| {
            let cells: Vec<&str> =
                columns.iter().filter_map(|at| row.get(*at)).map(|c| without_unit(c)).collect();
            cells.join(", ") + "\n"
        };
        (asked.iter().map(line).collect(), 0)
    }

    /// What stands under a key; nothing where it is not there.
    fn list(&self, key: &str) -> &[Value] {
        self.0.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let texts = |row: &Value| {
            row.as_array()
                .into_iter()
                .flatten()
                .map(|cell| cell.as_str().unwrap_or_default().to_owned())
                .collect()
        };
        self.list("rows").iter().map(texts).collect()
    }

    /// Where the column of a field is, under either of its two names.
    fn column(&self, field: &str) -> Option<usize> {
        let names = self.list("names");
        let at = |name: &str| names.iter().position(|known| known == name);
        let is_old = field == "clocks_throttle_reasons.active";
        at(field).or_else(|| is_old.then(|| at("clocks_event_reasons.active"))?)
    }
}

fn without_unit(cell: &str) -> &str {
    let units = [" W", " MiB", " %"];
    let bare = units.iter().find_map(|unit| cell.strip_suffix(unit));
    bare.filter(|number| number.parse::<f64>().is_ok()).unwrap_or(cell)
}
