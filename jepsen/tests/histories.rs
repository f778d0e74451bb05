//! Hand-made histories of every anomaly, with what they must be found to be beside them.
//!
//! `la-g0.edn` is a history, `la-g0.expected` says which workload it is of, every kind of anomaly that must be found (and no
//! other may), the weakest levels that are violated and the strongest that hold.

use std::{collections::BTreeMap, fs, path::Path};

use jepsen::{
    check::{Decision, Level, Verdict},
    check_file::{self, Options, Progress},
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories");

#[test]
fn every_history_is_classified_as_written_beside_it() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(DIRECTORY).expect("the directory of histories") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "edn") {
            count += 1;
            let expected = fs::read_to_string(path.with_extension("expected")).expect("a file of what is expected");
            let found = judge(&path, &expected);
            if found != expected {
                wrong.push(format!("{}:\n--- expected\n{expected}--- found\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 70, "only {count} histories were found");
}

/// The text that the file beside the history must hold.
fn judge(path: &Path, expected: &str) -> String {
    let fields: BTreeMap<&str, &str> = expected.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut options = Options::new(fields["workload"], Level::StrictSerializable);
    let written = fields.get("options").copied().unwrap_or_default();
    for option in written.split_whitespace() {
        match option.split_once('=') {
            Some(("total", sum)) => options.total = sum.parse().ok(),
            None if option == "drained" => options.drained = true,
            None if option == "linearizable-keys" => options.linearizable_keys = true,
            _ => panic!("{}: no option is called {option}", path.display()),
        }
    }
    let file = fs::File::open(path).expect("the history");
    let checked = check_file::check(std::io::BufReader::new(file), &options, |_: Progress| {});
    let verdict = checked.unwrap_or_else(|error| panic!("{}: {error}", path.display())).verdict;
    let options = if written.is_empty() { String::new() } else { format!("options: {written}\n") };
    format!("workload: {}\n{options}{}", fields["workload"], summary(&verdict))
}

fn summary(verdict: &Verdict) -> String {
    let join = |names: Vec<String>, none: &str| if names.is_empty() { none.to_owned() } else { names.join(" ") };
    let kinds = verdict.counts_by_kind().into_keys().map(|kind| kind.name()).collect();
    let levels = |levels: &[Level]| join(levels.iter().map(|level| level.name().to_owned()).collect(), "none");
    assert_eq!(verdict.anomalies.is_empty(), verdict.decision == Decision::Valid, "{verdict}");
    format!(
        "found: {}\nweakest violated: {}\nstrongest holding: {}\n",
        join(kinds, "nothing"),
        levels(&verdict.weakest_violated),
        levels(&verdict.strongest_holding)
    )
}
