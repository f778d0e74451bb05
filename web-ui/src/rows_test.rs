use super::*;

fn rows() -> Rows {
    let row = |values: [&str; 3]| values.iter().map(|v| (*v != "-").then(|| (*v).to_owned())).collect();
    Rows {
        columns: ["id", "live", "replicas"].map(String::from).to_vec(),
        rows: vec![row(["1", "t", "{1,2,3}"]), row(["2.5", "-", "{}"])],
        truncated: false,
    }
}

#[test]
fn values_by_name() {
    let rows = rows();
    let first = rows.first().unwrap();
    assert_eq!((first.number("id"), first.flag("live")), (Some(1.0), Some(true)));
    assert_eq!(first.list("replicas"), ["1", "2", "3"]);
    let second = rows.iter().nth(1).unwrap();
    assert_eq!((second.flag("live"), second.text("live"), second.get("nothing")), (None, String::new(), None));
    assert!(second.list("replicas").is_empty());
}

#[test]
fn columns_of_numbers() {
    let rows = rows();
    assert_eq!(rows.first_column().collect::<Vec<_>>(), ["1", "2.5"]);
    assert_eq!([0, 1, 2].map(|column| rows.is_numeric(column)), [true, false, false]);
    assert!(!Rows { columns: vec!["a".into()], ..Rows::default() }.is_numeric(0), "no value, no number");
}

#[test]
fn refusals_and_things_missing() {
    let with = |sqlstate: &str| Failure { sqlstate: sqlstate.into(), ..Failure::default() };
    assert!(with("42P01").is_missing() && !with("40001").is_missing());
    assert!(with("28P01").is_refusal() && !Failure::local("gone").is_refusal());
    assert!(with("28P01").of_ticket().message.contains("ticket") && with("28P01").of_ticket().is_refusal());
    assert_eq!(with("53300").of_ticket(), with("53300"));
}
