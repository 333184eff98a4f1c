//! The arguments of `poll`.

use clap::{Args, ValueEnum};

use super::select::Select;
use crate::app;
use crate::batch::{GroupBy, GroupOrder};
use crate::inventory::Inventory;
use crate::output::GroupView;
use crate::reading::SafeText;
use crate::report::By;

/// The arguments of `poll`.
#[derive(Debug, Args)]
pub(super) struct PollArgs {
    /// Print the readings and leave no trace: no row, no file, no connection
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) groups: GroupArgs,
    #[command(flatten)]
    pub(super) select: Select,
    /// Print no readings, only what changed since the last quiet poll, and a summary once an hour: for
    /// the timer
    #[arg(short, long, conflicts_with_all = ["format", "dry_run"])]
    pub(super) quiet: bool,
    /// Judge the alerts also by hand: with PostgreSQL that is left to the service, which knows what is
    /// raised
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) alerts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table for people
    Text,
    /// One JSON object with a versioned schema
    Json,
    /// One row a GPU, for a spreadsheet; battery stations are only in the others
    Csv,
}

/// The groups of the table, in place of GPUs.
#[derive(Debug, Args)]
pub(super) struct GroupArgs {
    /// One row a group, and a total, in place of a row a GPU: node, model or label:KEY; in the text alone
    #[arg(long, value_name = "GROUP", value_parser = group, conflicts_with = "quiet")]
    by: Option<GroupBy>,
    /// The order of the groups [default: that of the inventory]
    #[arg(long, value_name = "ORDER", requires = "by")]
    sort: Option<Sort>,
    /// With --by: no bars
    #[arg(long, requires = "by")]
    no_bars: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest power first
    Power,
    /// The hottest first
    Temp,
    /// The busiest first
    Util,
    /// By name
    Node,
}

fn group(text: &str) -> Result<GroupBy, &'static str> {
    match text.parse() {
        Ok(By::Node) => Ok(GroupBy::Node),
        Ok(By::Model) => Ok(GroupBy::Model),
        Ok(By::Label(key)) => Ok(GroupBy::Label(key)),
        _ => Err("group by node, model or label:KEY"),
    }
}

impl GroupArgs {
    /// The groups, if any are asked for.
    pub(super) fn view(&self) -> Option<GroupView> {
        let order = self.sort.map(|sort| match sort {
            Sort::Power => GroupOrder::Power,
            Sort::Temp => GroupOrder::Temperature,
            Sort::Util => GroupOrder::Utilization,
            Sort::Node => GroupOrder::Name,
        });
        self.by.clone().map(|by| GroupView { by, order, has_bars: !self.no_bars })
    }

    /// The fault of a form that has no groups.
    pub(super) fn fault(&self, format: Format) -> Option<&'static str> {
        (self.by.is_some() && format != Format::Text).then_some(
            "--by is for the text alone: JSON and CSV have each GPU with its node, model and labels, to be grouped from there",
        )
    }

    /// That some host has the label that is grouped by.
    ///
    /// # Errors
    /// None has it.
    pub(super) fn check_label(&self, inventory: &Inventory) -> Result<(), app::Error> {
        match &self.by {
            Some(GroupBy::Label(key))
                if !inventory.hosts.iter().any(|host| host.labels.contains_key(key)) =>
            {
                Err(app::Error::NoSuchLabel(SafeText::new(key).to_string()))
            }
            _ => Ok(()),
        }
    }
}
