use super::*;

/// What the server writes, as its own tests have it.
const GOLDEN: &str = include_str!("../../sql/tests/scripts/session/explain");

#[test]
fn a_plan_that_was_run() {
    let text = "Project (actual time=0.300..2.000 rows=2 loops=1)
  Output: #1
  ->  Apply (scalar) (actual time=0.200..1.800 rows=2 loops=1)
      ->  Range Scan on t using t_pkey (actual time=0.100..0.500 rows=2 loops=1)
          On Range 2: requests=1 scanned=9 rows=2 time=0.400
          On Range 3: requests=2 scanned=0 rows=0 time=0.050
          Range: a < 3
      ->  SubPlan Aggregate (actual time=0.300..0.400 rows=1 loops=2)
          ->  Scan on u (never executed)
Execution Time: 3.1 ms";
    let plan = parse(text.lines());
    let shape: Vec<(usize, &str)> = plan.nodes.iter().map(|node| (node.depth, node.title.as_str())).collect();
    let expected = [
        (0, "Project"),
        (1, "Apply (scalar)"),
        (2, "Range Scan on t using t_pkey"),
        (2, "SubPlan Aggregate"),
        (3, "Scan on u"),
    ];
    assert_eq!(shape, expected);
    assert_eq!(plan.nodes[3].took, Some(Took { rows: 1.0, loops: 2.0, millis: Some(0.4) }));
    assert_eq!(plan.nodes[3].took.unwrap().total_millis(), Some(0.8));
    let own: Vec<Option<f64>> = (0..6).map(|position| plan.own_millis(position)).collect();
    let near = |own: Option<f64>, expected: f64| own.is_some_and(|own| (own - expected).abs() < 1e-9);
    assert!(near(own[0], 0.2) && near(own[1], 0.5) && near(own[2], 0.5) && near(own[3], 0.8), "{own:?}");
    assert_eq!(own[4..], [None, None]);
    assert!(plan.nodes[4].is_never_executed);
    let scan = &plan.nodes[2];
    let works =
        [("2", 1.0, 9.0, 2.0, 0.4), ("3", 2.0, 0.0, 0.0, 0.05)].map(|(range, requests, scanned, rows, millis)| {
            RangeWork { range: range.to_owned(), requests, scanned, rows, millis: Some(millis) }
        });
    assert_eq!(scan.ranges, works);
    assert_eq!(
        (&scan.notes[..], &plan.nodes[0].notes[..]),
        (&["Range: a < 3".to_owned()][..], &["Output: #1".to_owned()][..])
    );
    assert_eq!(plan.summary, [("Execution Time".to_owned(), "3.1 ms".to_owned())]);
}

#[test]
fn plans_that_were_not_run() {
    let plan = parse("Limit (1)\n  ->  Values (2 rows)".lines());
    assert_eq!((plan.nodes[0].title.as_str(), plan.nodes[1].title.as_str()), ("Limit (1)", "Values (2 rows)"));
    assert_eq!((plan.nodes[1].depth, plan.nodes[1].took, plan.nodes[1].is_never_executed), (1, None, false));
    assert_eq!(plan.own_millis(0), None);
}

/// The server's own examples are understood to the last figure.
#[test]
fn what_the_server_writes() {
    let output = GOLDEN.split_once("---\n").expect("a script and its output").1;
    let of_others = |line: &&str| line.starts_with("CREATE") || line.starts_with("INSERT");
    let lines: Vec<&str> = output.lines().filter(|line| !of_others(line)).collect();
    let plans: Vec<Plan> = lines.split(|line| *line == "EXPLAIN").map(|plan| parse(plan.iter().copied())).collect();
    assert_eq!(plans.len(), 6, "five plans and what follows");
    for plan in &plans[..5] {
        assert!(plan.nodes.iter().all(|node| node.took.is_some() != node.is_never_executed), "{plan:?}");
        assert!(plan.nodes.iter().flat_map(|node| &node.notes).all(|note| !note.starts_with("On Range")), "{plan:?}");
        let scanned: f64 = plan.nodes.iter().flat_map(|node| &node.ranges).map(|work| work.scanned).sum();
        let told = plan.summary.iter().find(|(name, _)| name == "Rows Scanned").expect("a total");
        assert_eq!(told.1.parse(), Ok(scanned), "{plan:?}");
    }
}
