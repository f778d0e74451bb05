//! Where log lines go; panics are log lines too.

use std::{backtrace::Backtrace, fs::OpenOptions, io::IsTerminal, panic, path::Path, sync::Mutex};

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
        tracing::error!(backtrace = %Backtrace::force_capture(), "{panic}");
    }));
    Ok(())
}
