//! Subcommands, exit codes, words for people. The only room that prints.

/// Runs the program.
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
