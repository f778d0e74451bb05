//! `locus`: the command line. Wires the tiers together, in one process (`start`) or one tier each (`node`, `gateway`, `web`),
//! runs a cluster of processes on this machine (`demo`), looks at running ones (`status`, `sql`), and puts them to the test
//! (`jepsen`).
//!
//! Reading order: [`config`] says what can be set, [`node`] and [`gateway`] run a tier, [`start`] both, [`demo`] many.

mod cert;
mod config;
mod demo;
mod gateway;
mod jepsen;
mod logging;
mod login;
mod node;
mod otp;
mod planted;
mod process;
mod secrets;
mod start;
mod status;
mod table;
mod web;

use std::{os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

/// Locus: a distributed transactional SQL database that speaks PostgreSQL.
///
/// Every setting can be given as a flag, as an environment variable (LOCUS_…) or in the configuration file; the first of
/// these that has it counts.
#[derive(Parser)]
#[command(name = "locus", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Args)]
struct Global {
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "LOCUS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is logged: a level (error, warn, info, debug, trace) or a filter such as info,storage=debug
    #[arg(long, global = true, env = "LOCUS_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Append the log to this file instead of standard error
    #[arg(long, global = true, env = "LOCUS_LOG_FILE", value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Stop when standard input ends: whoever started this process holds the other end
    #[arg(long, global = true, hide = true)]
    stop_with_stdin: bool,
    /// Run with a bug that tests must find
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    planted_fault: Option<planted::PlantedFault>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Run a whole database in this process: one node and one gateway
    Start(start::StartArgs),
    /// Run a cluster of processes on this machine, with sample data
    Demo(demo::DemoArgs),
    /// Run one data node
    Node(node::NodeArgs),
    /// Run one SQL gateway
    Gateway(gateway::GatewayArgs),
    /// Run the web tier: the page, and the relay of its sessions to a gateway
    Web(web::WebArgs),
    /// Show the nodes and ranges of a running cluster
    Status(status::StatusArgs),
    /// Open psql on a running cluster
    Sql(SqlArgs),
    /// Check claims about consistency: on histories, on Locus, on other databases
    Jepsen(jepsen::JepsenArgs),
    /// Sign in and get a ticket for pools and graphical tools
    Login(login::LoginArgs),
    /// Keys of users
    Key(login::KeyArgs),
    /// One-time passwords of users
    Otp(otp::OtpArgs),
    /// The certificates of the cluster's processes: join, list, rotate, revoke
    Cert(cert::CertArgs),
}

#[derive(Args)]
struct SqlArgs {
    /// Where to connect to
    #[arg(long, env = "LOCUS_URL", default_value = config::DEFAULT_URL)]
    url: String,
    /// Directory of the cluster's secrets: sign in as their owner, without a password (this is audited)
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Further arguments of psql
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("locus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let mut file = config::File::load(cli.global.config.as_deref())?;
    file.plant(cli.global.planted_fault);
    let filter = cli.global.log.clone().or_else(|| file.log.clone());
    // Tools that print to the terminal log only what goes wrong.
    let quiet = match &cli.command {
        Subcommands::Status(_) | Subcommands::Sql(_) | Subcommands::Demo(_) | Subcommands::Jepsen(_) => true,
        Subcommands::Cert(arguments) => arguments.is_tool(),
        _ => false,
    };
    logging::start(filter.as_deref().unwrap_or(if quiet { "warn" } else { "info" }), cli.global.log_file.as_deref())?;
    match &cli.command {
        Subcommands::Sql(arguments) => return psql(arguments),
        Subcommands::Login(arguments) => return login::login(arguments).map(|()| ExitCode::SUCCESS),
        Subcommands::Key(arguments) => return login::key(arguments).map(|()| ExitCode::SUCCESS),
        Subcommands::Otp(arguments) => return otp::run(arguments).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(async {
        let stop = process::StopSignal::listen(cli.global.stop_with_stdin)?;
        match cli.command {
            Subcommands::Start(arguments) => start::run(arguments, &file, stop).await,
            Subcommands::Demo(arguments) => demo::run(arguments, stop).await,
            Subcommands::Node(arguments) => node::run(arguments, &file, stop).await,
            Subcommands::Gateway(arguments) => gateway::run(arguments, &file, stop).await,
            Subcommands::Web(arguments) => web::run(arguments, &file, stop).await,
            Subcommands::Status(arguments) => status::run(arguments).await,
            Subcommands::Jepsen(arguments) => return jepsen::run(arguments, cli.global.planted_fault, stop).await,
            Subcommands::Cert(arguments) => cert::run(arguments, stop).await,
            Subcommands::Sql(_) | Subcommands::Login(_) | Subcommands::Key(_) | Subcommands::Otp(_) => Ok(()),
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // What still runs in the background holds nobody up.
    runtime.shutdown_background();
    outcome
}

/// Becomes psql.
fn psql(arguments: &SqlArgs) -> Result<ExitCode> {
    let mut command = login::psql(&arguments.url, arguments.secrets.as_deref())?;
    let error = command.args(&arguments.arguments).exec();
    Err(error).context(login::NO_PSQL)
}
