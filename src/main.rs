//! Entry point of the `postrider` binary.

fn main() -> std::process::ExitCode {
    postrider::cli::run()
}
