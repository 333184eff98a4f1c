//! Starts a simulated Solix cloud by hand: `cargo run --example cloud`.

mod cloud;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use cloud::{Cloud, Device, Options};

/// A simulated Anker Solix cloud on loopback addresses: REST interface, broker, stations.
#[derive(Parser)]
struct Args {
    /// What the account owns.
    #[arg(long, value_enum, default_value_t = House::Station)]
    house: House,
    /// Seconds from one telemetry frame of a triggered station to the next.
    #[arg(long, default_value_t = 3)]
    pace: u64,
    /// Whether a login takes the token of the one before away, as until 2025.
    #[arg(long)]
    single_session: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum House {
    /// One F3800 Plus.
    Station,
    /// A Home Power Panel and two F3800 Plus behind it.
    Panel,
    /// One of each that is simulated, and no panel.
    Zoo,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "cloud: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the broker: whoever interrupts the start must not leave it behind.
    let (mut interrupts, mut terms) = runtime.block_on(async {
        io::Result::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    let cloud = Cloud::start_blocking(&options(args))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "# A simulated Solix cloud, in {}\n", cloud.dir().display())?;
    writeln!(stdout, "# For the inventory:\n{}", cloud.inventory_section())?;
    writeln!(stdout, "# For the shell that starts fleetwatt:")?;
    for (name, value) in cloud.environment() {
        writeln!(stdout, "export {name}='{value}'")?;
    }
    let url = cloud.control_url();
    writeln!(stdout, "\n# To change something, to see what can be changed, and what happened:")?;
    writeln!(stdout, "curl -X POST {url}/soc/15\ncurl {url}/\ncurl {url}/log")?;
    writeln!(stdout, "\n# Ctrl-C stops it all.")?;
    runtime.block_on(async {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terms.recv() => {}
        }
    });
    drop(cloud);
    Ok(())
}

fn options(args: &Args) -> Options {
    let options = match args.house {
        House::Station => Options::default(),
        House::Panel => Options::with_panel(),
        House::Zoo => Options {
            devices: vec![
                Device::f3800_plus(),
                Device::solarbank(),
                Device::solarbank_2(),
                Device::c1000_gen_2(),
                Device::inverter(),
                Device::meter(),
                Device::plug(),
            ],
            ..Options::default()
        },
    };
    Options { pace: Duration::from_secs(args.pace.max(1)), single_session: args.single_session, ..options }
}
