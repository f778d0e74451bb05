use super::*;
use crate::check::{bank, register};

fn load<T: Body>(text: &str) -> Result<Loaded<T>, ReadError> {
    read(text.as_bytes(), |_, _| {})
}

type Lists = Vec<Step>;

#[test]
fn invocations_and_completions_belong_together_by_process() {
    let text = "
        {:index 0, :type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r \"y\" nil]], :time 10}
        {:index 1, :type :info, :process :nemesis, :f :start-partition, :value {:n1 #{\"n2\"}}, :time 11}
        {:index 2, :type :invoke, :process 1, :f :txn, :value [[:r :x nil]], :time 12, :extra (1 2)}
        {:index 3, :type :ok, :process 0, :f :txn, :value [[:append :x 1] [:r \"y\" []]], :time 20}
        {:index 4, :type :fail, :process 1, :f :txn, :value [[:r :x nil]], :time 21, :error [:aborted \"40001\"]}
        {:index 5, :type :invoke, :process 2, :f :txn, :value [[:append :x 2]], :time 22}
        {:index 6, :type :info, :process 2, :f :txn, :value [[:append :x 2]], :time 23, :error :timeout}
        {:index 7, :type :invoke, :process 3, :f :txn, :value [[:append -5 3]], :time 24}";
    let loaded = load::<Lists>(text).unwrap();
    let outcomes: Vec<(u32, u64, u64, Outcome)> =
        loaded.history.operations.iter().map(|op| (op.process, op.begin, op.end, op.outcome)).collect();
    let expected = [
        (0, 10, 20, Outcome::Committed),
        (1, 12, 21, Outcome::Aborted),
        (2, 22, u64::MAX, Outcome::Unknown),
        (3, 24, u64::MAX, Outcome::Unknown),
    ];
    assert_eq!(outcomes, expected);
    let mut shown = String::new();
    loaded.history.operations[0].body.encode(true, &loaded.history.names, &mut shown);
    assert_eq!(shown, "[[:append :x 1] [:r \"y\" []]]");
    assert_eq!(loaded.nemesis.len(), 1);
    assert_eq!(loaded.nemesis[0].text, "start-partition {:n1 #{\"n2\"}}");
}

#[test]
fn errors_name_the_line() {
    let twice = "{:type :invoke, :process 0, :f :txn, :value []}\n{:type :invoke, :process 0, :f :txn, :value []}";
    let strange = "{:type :invoke, :process 0, :f :txn,\n :value\n [[:frobnicate 1 2]]}";
    let kind = "\n\n{:type :maybe, :process 0}";
    for (text, line) in [(twice, 2), (strange, 3), (kind, 3)] {
        match load::<Lists>(text) {
            Err(ReadError::Text { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(load::<Lists>("; nothing"), Err(ReadError::Empty)));
}

#[test]
fn a_history_is_written_as_it_is_read() {
    let mut history: History<Lists> = History::default();
    let steps = vec![Step::Append { key: 1, value: 2 }, Step::Read { key: 3, seen: None }];
    let first = history.begin(7, 10, steps.clone());
    let lost = history.begin(9, 11, steps.clone());
    let answered = vec![
        Step::Append { key: 1, value: 2 },
        Step::Read { key: 3, seen: Some(vec![4, 5]) },
        Step::Scan { from: 0, to: 9, seen: Some(vec![(3, vec![4])]) },
    ];
    history.end(first, 20, Outcome::Committed, answered);
    history.end(lost, 25, Outcome::Unknown, steps.clone());
    // The same client goes on, at the very time.
    let next = history.begin(9, 25, steps.clone());
    history.end(next, 30, Outcome::Aborted, steps);
    let text = history.to_edn();
    let again = load::<Lists>(&text).unwrap().history;
    let facts = |history: &History<Lists>| -> Vec<_> {
        history.operations.iter().map(|op| (op.begin, op.end, op.outcome, op.body.clone())).collect()
    };
    assert_eq!(facts(&again), facts(&history), "{text}");
    assert_ne!(again.operations[1].process, again.operations[2].process, "a crashed client gets a new number");
}

#[test]
fn a_failed_compare_and_set_is_an_answer() {
    let text = "
        {:type :invoke, :process 0, :f :cas, :value [1 [2 3]]}
        {:type :fail, :process 0, :f :cas, :value [1 [2 3]], :error :mismatch}
        {:type :invoke, :process 0, :f :cas, :value [1 [2 3]]}
        {:type :fail, :process 0, :f :cas, :value [1 [2 3]], :error :unavailable}";
    let history = load::<register::Step>(text).unwrap().history;
    assert_eq!(history.operations[0].outcome, Outcome::Committed);
    assert_eq!(history.operations[1].outcome, Outcome::Aborted);
    let action = register::Action::CompareAndSet { expected: 2, new: 3, applied: false };
    assert_eq!(history.operations[0].body, register::Step { key: 1, action });
    assert_eq!(load::<register::Step>(&history.to_edn()).unwrap().history.operations[0], history.operations[0].clone());
}

#[test]
fn other_workloads_and_missing_parts_are_tolerated() {
    let text = "[{:type :ok, :f :read, :value {0 10, 1 -3}} {:type :invoke, :process 4, :f :drain}]";
    let loaded = load::<bank::Step>(text).unwrap();
    assert_eq!(loaded.without_invocation, 1);
    assert_eq!(loaded.ignored.get("drain"), Some(&1));
    let body = &loaded.history.operations[0].body;
    assert_eq!(*body, bank::Step::ReadAll { balances: Some(vec![(0, 10), (1, -3)]) });
}
