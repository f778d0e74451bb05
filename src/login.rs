//! `locus login` and `locus key`: what people keep instead of a password.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use auth::keys::Pin;
use clap::{Args, Subcommand};

use crate::{config, secrets};

#[derive(Args)]
pub struct LoginArgs {
    /// Where to sign in, and as whom; psql asks for the password
    #[arg(long, env = "LOCUS_URL", default_value = config::DEFAULT_URL)]
    url: String,
    /// One-time code, where the role has one
    #[arg(long, value_name = "CODE")]
    otp: Option<String>,
}

pub const NO_PSQL: &str = "cannot run psql (Debian: apt-get install postgresql-client)";

/// psql on a database; as the owner of the secrets, where they are given.
pub fn psql(url: &str, secrets: Option<&Path>) -> Result<Command> {
    let mut command = Command::new("psql");
    if let Some(directory) = secrets {
        command.env("PGPASSWORD", secrets::Secrets::existing(directory)?.owner_pass());
    }
    command.arg(url);
    Ok(command)
}

/// The same for us to read: rows and nothing else.
pub fn bare_psql(url: &str, secrets: Option<&Path>) -> Result<Command> {
    let mut command = psql(url, secrets)?;
    command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
    Ok(command)
}

/// Signs in and prints a ticket that pools and graphical tools can keep.
pub fn login(arguments: &LoginArgs) -> Result<()> {
    let mut command = bare_psql(&arguments.url, None)?;
    command.arg("--field-separator= ");
    command.args(["--command", "CREATE TICKET"]);
    if let Some(otp) = &arguments.otp {
        // Not on the command line, where others could see it.
        command.env("PGOPTIONS", format!("-c locus.otp={otp}"));
    }
    command.env("PGAPPNAME", "locus login").stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let output = command.output().context(NO_PSQL)?;
    if !output.status.success() {
        bail!("no ticket");
    }
    let text = String::from_utf8(output.stdout).context("psql's answer")?;
    let mut words = text.split_whitespace();
    let (Some(user), Some(secret)) = (words.next(), words.next()) else { bail!("psql printed no ticket") };
    println!("user      {user}");
    println!("password  {secret}");
    println!("until     {} at the latest, or an hour after its last use", words.collect::<Vec<_>>().join(" "));
    Ok(())
}

#[derive(Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Subcommand)]
enum KeyAction {
    /// Make a key and a certificate for a role
    Gen {
        /// The role that the key is for
        role: String,
        /// Directory in which to put ROLE.key and ROLE.crt
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

pub fn key(arguments: &KeyArgs) -> Result<()> {
    let KeyAction::Gen { role, out } = &arguments.action;
    if role.is_empty() || role.contains(['/', '\0']) {
        bail!("\"{role}\" cannot be a file's name");
    }
    let (certificate, key) = secrets::user_key(role)?;
    let (crt, pem) = (out.join(format!("{role}.crt")), out.join(format!("{role}.key")));
    // Never over an existing key.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for (path, text) in [(&pem, &key), (&crt, &certificate)] {
        let mut file = options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let pin = Pin::parse(&certificate).context("a certificate without a key")?;
    println!("ALTER ROLE \"{}\" ADD KEY '{pin}';", role.replace('"', "\"\""));
    println!("psql \"user={role} sslmode=require sslcert={} sslkey={}\"", crt.display(), pem.display());
    Ok(())
}
