//! The manual pages, made from the command line's help: one for each command, and one of the inventory's
//! keys.

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::Cli;
use crate::inventory;

/// The page of the inventory, as a command would be named.
const INVENTORY: &str = "inventory";

/// The footer of every page.
const SOURCE: &str = concat!("fleetwatt ", env!("CARGO_PKG_VERSION"));

/// Exit codes, and what leads to each.
const EXIT_STATUS: [(&str, &str); 6] = [
    ("0", "All is well."),
    ("1", "No host gave a reading, or nothing could be kept."),
    ("2", "The call, the inventory or the settings are wrong."),
    ("3", "Kept, but some host or battery station failed, or the database refused some rows."),
    ("4", "Kept in the spool: the database does not take it now."),
    ("75", "Another fleetwatt holds the state directory."),
];

const ENVIRONMENT: [(&str, &str); 9] = [
    ("FLEETWATT_INVENTORY", "The inventory, where --inventory does not name it."),
    ("FLEETWATT_LOG", "A filter for the log, such as fleetwatt=debug; it goes before -v."),
    (
        "FLEETWATT_LOG_PRIORITY",
        "err, warning or info: the least priority of a line in the journal, for a unit with LogLevelMax=.",
    ),
    ("STATE_DIRECTORY", "The state directory, as systemd sets it."),
    ("RUNTIME_DIRECTORY", "The directory of the sockets of SSH connections, as systemd sets it."),
    ("XDG_STATE_HOME, XDG_RUNTIME_DIR", "What these two are in, where they are not set."),
    (
        "CHEROKEE_DB_HOST, CHEROKEE_DB_NAME, CHEROKEE_DB_USER, CHEROKEE_DB_PASS",
        "The database, where the inventory has no url.",
    ),
    ("DATABASE_URL", "The database, where neither the inventory nor CHEROKEE_DB_HOST names one."),
    ("NO_COLOR", "No colour, unless --color asks for it."),
];

const FILES: [(&str, &str); 7] = [
    (
        "./inventory/fleet.toml, /etc/fleetwatt/inventory.toml",
        "The inventory, where nothing else is named; the first that is there.",
    ),
    ("$STATE_DIRECTORY, $XDG_STATE_HOME/fleetwatt, ~/.local/state/fleetwatt", "The state directory."),
    ("fleetwatt.db", "In the state directory: the timeline, where no database is named (SQLite)."),
    ("spool.db", "In the state directory: what waits for the database."),
    ("hosts.json", "In the state directory: what was learnt of the hosts."),
    (
        "home-assistant.json",
        "In the state directory: the nodes and energy counters that Home Assistant was told.",
    ),
    (
        "$RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/fleetwatt, /tmp/fleetwatt-<uid>",
        "The sockets of SSH connections that are kept between polls.",
    ),
];

/// The page of a command, such as `["store", "init"]`; of all of them without a name.
///
/// # Errors
/// There is no command of that name.
pub(super) fn page(names: &[String]) -> Result<Vec<u8>, String> {
    if matches!(names, [name] if name == INVENTORY) {
        return Ok(inventory_page());
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut found = &command;
    for name in names {
        let Some(next) = found.find_subcommand(name) else {
            let known = found.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>().join(", ");
            let inventory = if names.len() == 1 { ", inventory" } else { "" };
            let name = names.join(" ");
            return Err(format!(
                "there is no command `{name}`; there is a page for each of: {known}{inventory}"
            ));
        };
        found = next;
    }
    let mut page = render(&Man::new(found.clone()).source(SOURCE));
    let mut roff = Roff::new();
    push_list(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    push_list(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    push_list(&mut roff, "FILES", &FILES);
    let main = if names.is_empty() { "" } else { "fleetwatt(1), " };
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(format!("{main}fleetwatt-inventory(5)"))]);
    page.extend(roff.render().into_bytes());
    Ok(page)
}

/// Rendering to memory cannot fail.
fn render(man: &Man) -> Vec<u8> {
    let mut page = Vec::new();
    man.render(&mut page).unwrap_or_default();
    page
}

fn push_list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
}

fn inventory_page() -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("TH", ["fleetwatt-inventory", "5", "", SOURCE]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("fleetwatt-inventory - the hosts that fleetwatt reads, and all its settings")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "A TOML file. Names and addresses may be ranges as pdsh and Slurm write them: node[001-128]. Durations are \
         written as 500ms, 15s or 5m. A secret never stands in it: a key that ends in _env, _file or _credential \
         names the environment variable, the file or the systemd credential that holds it.",
    )]);
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    for line in ["[[host]]", "name = \"redfin\"", "local = true", "", "[[host]]", "name = \"node[001-128]\""]
    {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    for (section, keys) in inventory::keys() {
        let title = section.to_uppercase().replace("IN ", "KEYS IN ").replace("AT ", "KEYS AT ");
        push_list(&mut roff, &title, &keys);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("fleetwatt(1)")]);
    roff.render().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        String::from_utf8(page(&names).unwrap()).unwrap()
    }

    /// The words of each command, the program's own as none.
    fn commands() -> Vec<Vec<String>> {
        fn below(command: &clap::Command, names: &[String], found: &mut Vec<Vec<String>>) {
            found.push(names.to_vec());
            for next in command.get_subcommands() {
                below(next, &[names, &[next.get_name().to_owned()]].concat(), found);
            }
        }
        let mut found = Vec::new();
        below(&Cli::command().disable_help_subcommand(true), &[], &mut found);
        found
    }

    #[test]
    fn every_command_has_a_page_with_its_codes_files_and_environment() {
        for names in commands() {
            let page = String::from_utf8(page(&names).unwrap()).unwrap();
            for section in ["NAME", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
                assert!(page.contains(section), "{names:?} has no {section}");
            }
            let title = [&["fleetwatt".to_owned()], names.as_slice()].concat().join("-");
            assert!(page.contains(&format!(".TH {title} 1 ")), "{title}: {page}");
        }
        assert!(commands().len() > 12);
    }

    #[test]
    fn every_page_that_a_page_refers_to_is_there() {
        let main = text(&[]);
        for name in Cli::command().disable_help_subcommand(true).get_subcommands() {
            assert!(main.contains(&format!("fleetwatt\\-{}(1)", name.get_name())), "{}", name.get_name());
            text(&[name.get_name()]);
        }
        assert!(text(&["inventory"]).contains(".TH fleetwatt-inventory 5"));
    }

    #[test]
    fn a_name_that_is_none_says_which_there_are() {
        let error = page(&["pol".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no command `pol`; there is a page for each of: poll, run, "),
            "{error}"
        );
        assert!(error.ends_with(", inventory"), "{error}");
    }

    #[test]
    fn each_key_of_the_inventory_has_its_meaning() {
        let keys = inventory::keys().into_iter().flat_map(|(_, keys)| keys);
        let without: Vec<&str> = keys.filter(|(_, help)| help.is_empty()).map(|(key, _)| key).collect();
        assert_eq!(without, [""; 0]);
    }
}
