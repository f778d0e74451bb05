//! `locus jepsen`: is it true what a database promises? Workloads under faults, on a cluster of processes of its own or on any
//! PostgreSQL-compatible one; histories, judged and made.

mod check;
mod generate;
mod progress;
mod run;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use tokio::task::spawn_blocking;

use crate::{planted::PlantedFault, process::StopSignal};

#[derive(Args)]
pub struct JepsenArgs {
    #[command(subcommand)]
    command: JepsenCommand,
}

#[derive(Subcommand)]
enum JepsenCommand {
    /// Run one workload under faults
    ///
    /// Exit code 0: nothing is wrong. 1: something is. 2: nobody can tell.
    Run(run::RunArgs),
    /// Run workloads × nemeses; ends as `run` does
    Matrix(run::MatrixArgs),
    /// List the workloads and nemeses
    List,
    /// Judge a history from a file of Jepsen's format (EDN)
    ///
    /// Exit code 0: valid. 1: violated. 2: the file cannot be read. 3: nothing was found, but a search was given up.
    Check(check::CheckArgs),
    /// Write a valid list-append history, to measure the checker with
    Generate(generate::GenerateArgs),
}

pub async fn run(arguments: JepsenArgs, planted: Option<PlantedFault>, mut stop: StopSignal) -> Result<ExitCode> {
    let work = async {
        match arguments.command {
            JepsenCommand::Run(arguments) => run::run_one(arguments, planted).await,
            JepsenCommand::Matrix(arguments) => run::run_matrix(arguments, planted).await,
            JepsenCommand::List => run::list(),
            JepsenCommand::Check(arguments) => Ok(spawn_blocking(move || check::run(&arguments)).await?),
            JepsenCommand::Generate(arguments) => spawn_blocking(move || generate::run(&arguments)).await?,
        }
    };
    // Dropping the work takes down what it has set up.
    tokio::select! {
        outcome = work => outcome,
        () = stop.raised() => bail!("interrupted"),
    }
}
