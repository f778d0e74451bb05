//! `locus cert ls` and `locus.certificates`: which certificates there are.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sql::security::Certificate;

use crate::{
    secrets::{
        Issued, Ledger, RENEW_BEFORE, State, certificates, fingerprint_of, now, purposes, read, revoked,
        signing_certificate, trusted, validity,
    },
    table,
};

pub fn run(directory: &Path, json: bool) -> Result<()> {
    let rows = rows(directory)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&rows.iter().map(as_json).collect::<Vec<_>>())?);
        return Ok(());
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table::print(&["holder", "file", "from", "until", "state", "sha256"], &cells);
    Ok(())
}

/// The authorities, the certificates in the directory, and those elsewhere that are in use.
pub fn rows(directory: &Path) -> Result<Vec<Certificate>> {
    let mut rows = authorities(directory)?;
    let revoked = revoked(directory)?;
    for purpose in purposes(directory)? {
        let file = format!("{}.crt", purpose.file());
        let mut row = in_file(purpose.holder(), &file, &read(&directory.join(&file))?)?;
        if revoked.contains(&row.fingerprint) {
            row.state = "revoked";
        }
        rows.push(row);
    }
    for issued in Ledger::read(directory)?.issued {
        let is_listed = rows.iter().any(|row| row.fingerprint == issued.fingerprint);
        if !is_listed && issued.state != State::Replaced {
            rows.push(elsewhere(issued));
        }
    }
    Ok(rows)
}

fn authorities(directory: &Path) -> Result<Vec<Certificate>> {
    let trusted = read(&trusted(directory))?;
    let signs = signing_certificate(directory)?;
    let row = |pem: &&str| {
        let holder = if signs.as_deref() == Some(*pem) { "authority, signs" } else { "authority" };
        in_file(holder.to_owned(), "ca.crt", pem)
    };
    certificates(&trusted).iter().map(row).collect()
}

fn in_file(holder: String, file: &str, pem: &str) -> Result<Certificate> {
    let (from, until) = validity(pem).with_context(|| format!("{file} is no certificate"))?;
    let fingerprint = fingerprint_of(pem).with_context(|| format!("{file} is no certificate"))?;
    let state = match until - now().as_secs() as i64 {
        ..=0 => "ended",
        left if left < RENEW_BEFORE.as_secs() as i64 => "ends soon",
        _ => "valid",
    };
    Ok(Certificate { holder, file: Some(file.to_owned()), from, until, fingerprint, state })
}

fn elsewhere(issued: Issued) -> Certificate {
    let state = match issued.state {
        State::Current => "valid",
        State::Outdated => "to be replaced",
        State::Replaced => "replaced",
        State::Revoked => "revoked",
    };
    let (from, until) = (issued.at as i64, issued.ends as i64);
    Certificate { holder: issued.holder, file: None, from, until, fingerprint: issued.fingerprint, state }
}

fn cells(row: &Certificate) -> Vec<String> {
    let file = row.file.clone().unwrap_or_else(|| "elsewhere".to_owned());
    let short = row.fingerprint.chars().take(16).collect();
    vec![row.holder.clone(), file, moment(row.from), moment(row.until), row.state.to_owned(), short]
}

fn as_json(row: &Certificate) -> Value {
    json!({
        "holder": row.holder, "file": row.file, "from": moment(row.from), "until": moment(row.until),
        "state": row.state, "sha256": row.fingerprint,
    })
}

fn moment(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds);
    moment.map_or_else(|_| "?".to_owned(), |moment| moment.strftime("%Y-%m-%d %H:%MZ").to_string())
}
