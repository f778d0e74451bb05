//! `locus jepsen generate`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use jepsen::generate::{Shape, list_append};

#[derive(Args)]
pub struct GenerateArgs {
    /// How many transactions
    #[arg(long, env = "LOCUS_JEPSEN_OPERATIONS", default_value_t = 1_000_000)]
    operations: usize,
    /// How many clients at a time
    #[arg(long, env = "LOCUS_JEPSEN_CLIENTS", default_value_t = 20)]
    clients: u32,
    /// How many lists are in use at a time
    #[arg(long, env = "LOCUS_JEPSEN_KEYS", default_value_t = 10)]
    keys: u64,
    /// After how many appends a list is left alone and a new one begun
    #[arg(long, env = "LOCUS_JEPSEN_APPENDS", default_value_t = 32)]
    appends_per_key: u64,
    /// Of a thousand transactions, how many end with an unknown outcome
    #[arg(long, env = "LOCUS_JEPSEN_UNKNOWN", default_value_t = 5)]
    unknown_per_mille: u64,
    #[arg(long, env = "LOCUS_JEPSEN_SEED", default_value_t = 1)]
    seed: u64,
    /// Where to write it
    #[arg(long, env = "LOCUS_JEPSEN_OUT", value_name = "FILE")]
    out: PathBuf,
}

pub fn run(arguments: &GenerateArgs) -> Result<ExitCode> {
    let shape = Shape {
        operations: arguments.operations,
        clients: arguments.clients.max(1),
        keys: arguments.keys.max(1),
        appends_per_key: arguments.appends_per_key.max(1),
        unknown_per_mille: arguments.unknown_per_mille,
    };
    let history = list_append(&shape, arguments.seed);
    let failed = || format!("cannot write {}", arguments.out.display());
    let mut out = BufWriter::new(File::create(&arguments.out).with_context(failed)?);
    history.write_edn(&mut out).and_then(|()| out.flush()).with_context(failed)?;
    println!("{} operations in {}", history.operations.len(), arguments.out.display());
    Ok(ExitCode::SUCCESS)
}
