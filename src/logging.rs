//! Where log lines go; panics are log lines too.

use std::{
    backtrace::Backtrace,
    fs::OpenOptions,
    io::IsTerminal,
    panic::{self, PanicHookInfo},
    path::Path,
    sync::Mutex,
};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

pub fn start(filter: &str, file: Option<&Path>) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("\"{filter}\" is not a log filter"))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(true);
    match file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot write the log {}", path.display()))?;
            subscriber.with_ansi(false).with_writer(Mutex::new(file)).init();
        }
        None => subscriber.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init(),
    }
    panic::set_hook(Box::new(|panic| {
        end_if_nobody_reads(panic);
        tracing::error!(backtrace = %Backtrace::force_capture(), "{panic}");
    }));
    Ok(())
}

/// Whoever reads our output may stop doing so (`locus demo | head`). That ends the program without a word, with the status of
/// programs that a broken pipe has killed; `println!` knows no other way than to panic.
fn end_if_nobody_reads(panic: &PanicHookInfo<'_>) {
    const KILLED_BY_SIGPIPE: i32 = 128 + 13;
    let said = panic.payload_as_str().unwrap_or_default();
    if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
        std::process::exit(KILLED_BY_SIGPIPE);
    }
}
