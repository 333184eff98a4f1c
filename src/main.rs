//! The `fleetwatt` program: everything is in the library.

fn main() -> std::process::ExitCode {
    fleetwatt::cli::run()
}
