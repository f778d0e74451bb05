//! `locus jepsen` as everybody can run it: the matrix on real processes, planted faults, and PostgreSQL as a known quantity.
//! At most two at a time (`.config/nextest.toml`).

mod matrix;
mod planted;
mod postgres;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

const LOCUS: &str = env!("CARGO_BIN_EXE_locus");

/// How long a pair takes; the promise is made with 60.
fn seconds() -> u64 {
    std::env::var("LOCUS_MATRIX_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Where a run's history, report and logs stay for whoever has to look into it.
fn out(name: &str) -> PathBuf {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("jepsen").join(name);
    // Of an earlier run, if there was one.
    let _ = std::fs::remove_dir_all(&out);
    out
}

/// What `locus jepsen run` came to, and its exit code. `None`: this machine lacks what the nemesis takes (it says what).
fn run(name: &str, arguments: &[&str]) -> Option<(Value, i32)> {
    let out = out(name);
    let mut command = Command::new(LOCUS);
    command.args(["jepsen", "run", "--json", "--out"]).arg(&out).args(arguments);
    // Ends with this test, however that ends.
    command.args(["--stop-with-stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env_remove("LOCUS_LOG").spawn().expect("locus starts");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("locus ends");
    drop(stdin);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if text.starts_with("skipped") {
        println!("{name}: {}", text.trim());
        return None;
    }
    let outcome = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"));
    Some((outcome, output.status.code().expect("an exit code")))
}

fn list(outcome: &Value, field: &str) -> Vec<String> {
    let texts = outcome[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
