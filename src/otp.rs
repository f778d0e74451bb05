//! `locus otp`: one-time passwords from the terminal. psql signs in and asks for the password; this draws the QR code and passes
//! the statements on.

use std::{
    io::{self, BufRead, BufReader, IsTerminal, Lines, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use qrcodegen::{QrCode, QrCodeEcc};

use crate::{config, login};

#[derive(Args)]
pub struct OtpArgs {
    #[command(subcommand)]
    action: OtpAction,
}

#[derive(Subcommand)]
enum OtpAction {
    /// Give a role one-time passwords: shows the QR code, asks for a first code, prints the recovery codes
    Enrol {
        /// The role
        role: String,
        /// Where to sign in, and as whom; psql asks for the password
        #[arg(long, env = "LOCUS_URL", default_value = config::DEFAULT_URL)]
        url: String,
        /// Directory of the cluster's secrets: sign in as their owner, without a password (this is audited)
        #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
        secrets: Option<PathBuf>,
    },
}

/// Codes that are asked for before this gives up.
const ATTEMPTS: usize = 3;
/// Said by psql after each statement, whatever became of it.
const DONE: &str = "--done--";

pub fn run(arguments: &OtpArgs) -> Result<()> {
    let OtpAction::Enrol { role, url, secrets } = &arguments.action;
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    let mut session = Session::start(url, secrets.as_deref())?;
    let enabled = session.run(&format!("ALTER ROLE {quoted} ENABLE OTP"))?;
    let [uri] = &enabled[..] else { bail!("{role} gets no one-time passwords") };
    print(uri)?;
    let mut typed = io::stdin().lines();
    for _ in 0..ATTEMPTS {
        eprint!("The code that the app shows now: ");
        let code = typed.next().context("no code: nothing has changed for the role")??;
        // Digits only: what goes on is part of a statement.
        let code: String = code.chars().filter(char::is_ascii_digit).collect();
        let recovery = session.run(&format!("ALTER ROLE {quoted} CONFIRM OTP '{code}'"))?;
        if !recovery.is_empty() {
            println!(
                "One-time passwords count for {role} from now on. Recovery codes, each good once; they are not shown again:"
            );
            recovery.iter().for_each(|code| println!("  {code}"));
            return session.end();
        }
    }
    bail!("no code was right: nothing has changed for the role")
}

/// The QR code, dark on light whatever the terminal's colours are, and what it says.
fn print(uri: &str) -> Result<()> {
    let code = QrCode::encode_text(uri, QrCodeEcc::Low).context("no QR code holds this")?;
    let mut out = io::stdout().lock();
    let (on, off) = if out.is_terminal() { ("\x1b[30;107m", "\x1b[0m") } else { ("", "") };
    for line in drawing(&code) {
        writeln!(out, "{on}{line}{off}")?;
    }
    writeln!(out, "{uri}")?;
    Ok(())
}

/// Two modules a character, one above the other, with the quiet zone of four that the standard asks for.
fn drawing(code: &QrCode) -> Vec<String> {
    const QUIET: i32 = 4;
    let span = -QUIET..code.size() + QUIET;
    let character = |x: i32, y: i32| match (code.get_module(x, y), code.get_module(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    span.clone().step_by(2).map(|y| span.clone().map(|x| character(x, y)).collect()).collect()
}

/// A psql that is told one statement after the other.
struct Session {
    psql: Child,
    statements: ChildStdin,
    rows: Lines<BufReader<ChildStdout>>,
}

impl Session {
    fn start(url: &str, secrets: Option<&std::path::Path>) -> Result<Session> {
        let mut command = login::bare_psql(url, secrets)?;
        command.env("PGAPPNAME", "locus otp");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut psql = spawned.context(login::NO_PSQL)?;
        let (Some(statements), Some(rows)) = (psql.stdin.take(), psql.stdout.take()) else {
            bail!("psql has no pipes")
        };
        Ok(Session { psql, statements, rows: BufReader::new(rows).lines() })
    }

    /// The rows of a statement; none when it failed, of which psql has told.
    fn run(&mut self, statement: &str) -> Result<Vec<String>> {
        let written = writeln!(self.statements, "{statement};\n\\echo {DONE}").and_then(|()| self.statements.flush());
        let mut rows = Vec::new();
        for row in &mut self.rows {
            let row = row?;
            if row == DONE {
                return Ok(rows);
            }
            rows.push(row);
        }
        written.and_then(|()| self.psql.wait()).context("psql")?;
        bail!("no session")
    }

    fn end(mut self) -> Result<()> {
        drop(self.statements);
        self.psql.wait().context("psql")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_drawn() {
        let code =
            QrCode::encode_text("otpauth://totp/Locus:clerk?secret=JBSWY3DPEHPK3PXP&issuer=Locus", QrCodeEcc::Low)
                .unwrap();
        let lines = drawing(&code);
        let side = code.size() + 8;
        assert_eq!(lines.len() as i32, (side + 1) / 2);
        for (row, line) in lines.iter().enumerate() {
            assert_eq!(line.chars().count() as i32, side);
            for (column, character) in line.chars().enumerate() {
                let (x, y) = (column as i32 - 4, row as i32 * 2 - 4);
                assert_eq!(matches!(character, '█' | '▀'), code.get_module(x, y), "{x} {y}");
                assert_eq!(matches!(character, '█' | '▄'), code.get_module(x, y + 1), "{x} {y} below");
            }
        }
    }
}
