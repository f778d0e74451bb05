//! `locus login` and `locus key`: what people keep instead of a password. `locus cert`: what processes show to each other.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use auth::keys::Pin;
use clap::{Args, Subcommand};

use crate::{
    config,
    secrets::{self, Holder},
};

#[derive(Args)]
pub struct LoginArgs {
    /// Where to sign in, and as whom; psql asks for the password
    #[arg(long, env = "LOCUS_URL", default_value = config::DEFAULT_URL)]
    url: String,
    /// One-time code, where the role has one
    #[arg(long, value_name = "CODE")]
    otp: Option<String>,
}

/// Signs in and prints a ticket that pools and graphical tools can keep.
pub fn login(arguments: &LoginArgs) -> Result<()> {
    let mut command = Command::new("psql");
    command.args([&arguments.url, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator= "]);
    command.args(["--command", "CREATE TICKET"]);
    if let Some(otp) = &arguments.otp {
        // Not on the command line, where others could see it.
        command.env("PGOPTIONS", format!("-c locus.otp={otp}"));
    }
    command.env("PGAPPNAME", "locus login").stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let output = command.output().context("cannot run psql (Debian: apt-get install postgresql-client)")?;
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

#[derive(Args)]
pub struct CertArgs {
    /// Whose: node-N or gateway
    holder: Holder,
    /// Directory with the authority's key
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    secrets: PathBuf,
    /// Directory to put it into, together with the authority's certificate: to be brought to the other machine
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn cert(arguments: &CertArgs) -> Result<()> {
    secrets::hand_out(&arguments.secrets, &arguments.out, arguments.holder)?;
    println!("{}", arguments.out.display());
    Ok(())
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
