//! The command line itself.

use std::process::{Command, Stdio};

use crate::common::LOCUS;

#[test]
fn nobody_reads_and_nothing_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(LOCUS);
    command.args(["key", "gen", "clerk", "--out"]).arg(directory.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("locus runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141), "as if the broken pipe had killed it");
}
