//! `cargo xtask …`: the one door for everything beyond cargo.

mod bench;
mod tidy;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Locus repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules that the compiler does not: directions between crates, sizes of files
    Tidy,
    /// What the build server runs
    Ci,
    /// Run simulation seeds (arguments go to `locus-sim`, see `cargo xtask sim --help`)
    #[command(disable_help_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compile the page for the browser (arguments go to `xtask-web`, see `cargo xtask web --help`)
    #[command(disable_help_flag = true)]
    Web {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compare with PostgreSQL by pgbench, in one run on this machine
    Bench(bench::Arguments),
    /// Run every built-in script of pgbench in every query mode on three nodes
    Pgbench(bench::builtins::Arguments),
    /// Kill nodes under pgbench, then check that nothing acknowledged is lost
    Failover(bench::failover::Arguments),
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Tidy => tidy::run(),
        Chore::Ci => run(Command::new("./test").current_dir(root()?)),
        Chore::Sim { arguments } => {
            run(cargo(&["run", "--quiet", "--package", "locus-jepsen", "--bin", "locus-sim", "--"])?.args(arguments))
        }
        // A program of its own: what it needs would make every other chore wait for its compilation.
        Chore::Web { arguments } => run(cargo(&["run", "--quiet", "--package", "xtask-web", "--"])?.args(arguments)),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Pgbench(arguments) => bench::builtins::run(&arguments),
        Chore::Failover(arguments) => bench::failover::run(&arguments),
    }
}

/// The checkout this xtask was started in (read at run time: a copied target directory must not name an old one).
pub fn root() -> Result<std::path::PathBuf> {
    let manifest = std::env::var("CARGO_MANIFEST_DIR").context("start it by `cargo xtask`")?;
    Ok(std::path::Path::new(&manifest).parent().context("xtask lies in the workspace")?.to_owned())
}

pub fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.current_dir(root()?).args(arguments);
    Ok(command)
}

pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
