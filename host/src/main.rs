//! The binary `tocsin`; see [`tocsin_host::cli`].

fn main() -> std::process::ExitCode {
    tocsin_host::cli::main()
}
