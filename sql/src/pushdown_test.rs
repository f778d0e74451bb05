use base::{IndexId, TableId};
use txn::Pushdown as _;

use super::*;
use crate::{
    catalog::descriptor::{Column, ColumnId, Index, IndexColumn, IndexKind, Table},
    expr::{aggregate, function},
    types::DataType,
};

/// (a int primary key, b int, c text)
fn layout() -> IndexLayout {
    let column = |id: u16, ty: DataType| Column {
        id: ColumnId(id),
        name: format!("c{id}"),
        ty,
        typmod: -1,
        not_null: false,
        default: None,
        owned_sequence: None,
        missing: None,
        identity: None,
    };
    let index = Index {
        id: IndexId(1),
        oid: 1,
        name: "pk".into(),
        kind: IndexKind::Primary,
        unique: true,
        constraint: true,
        columns: vec![IndexColumn { column: ColumnId(1), descending: false, nulls_first: false }],
        include: Vec::new(),
        hidden_row_id: false,
    };
    let table = Table {
        columns: vec![column(1, DataType::INT4), column(2, DataType::INT4), column(3, DataType::TEXT)],
        next_column_id: 4,
        indexes: vec![index],
        next_index_id: 2,
        checks: Vec::new(),
        foreign_keys: Vec::new(),
    };
    IndexLayout::new(TableId(9), &table, table.primary()).unwrap()
}

fn entries() -> Vec<(Bytes, Bytes)> {
    (1..=6)
        .map(|a| layout().encode(&[Value::Int4(a), Value::Int4(a % 3), Value::text(format!("row {a}"))]).unwrap())
        .collect()
}

fn slot(slot: usize) -> Expr {
    Expr::Column { slot, ty: DataType::INT4 }
}

fn compare(name: &str, left: Expr, right: i32) -> Expr {
    function::operator(name, Some(left), Expr::constant(Value::Int4(right), DataType::INT4)).unwrap()
}

fn context() -> EvalContext {
    EvalContext::new(Arc::new(SessionView::default()))
}

fn run(program: Program) -> (Vec<Verdict>, Option<Bytes>) {
    assert!(program.is_pushable());
    let mut sink = Compiler.compile(&program.encode().unwrap()).unwrap();
    let verdicts = entries().iter().map(|(key, value)| sink.row(key, value).unwrap()).collect();
    (verdicts, sink.finish().unwrap())
}

#[test]
fn a_filter_keeps_the_rows_that_pass() {
    let filter = compare(">", slot(1), 0);
    let (verdicts, pushed) = run(Program::new(layout(), Some(filter), Output::Rows, &context()));
    let kept: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Verdict::Keep).collect();
    assert_eq!(kept, [true, true, false, true, true, false]);
    assert!(pushed.is_none());
}

#[test]
fn parameters_travel_by_value() {
    let parameter = Expr::Parameter { index: 0, ty: DataType::INT4 };
    let filter = function::operator("=", Some(slot(0)), parameter).unwrap();
    let context = EvalContext { parameters: Arc::from([Value::Int4(4)]), ..context() };
    let (verdicts, _) = run(Program::new(layout(), Some(filter), Output::Rows, &context));
    assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Keep), Some(3));
}

#[test]
fn a_projection_leaves_the_other_columns_out() {
    let (verdicts, _) = run(Program::new(layout(), None, Output::Columns(vec![1]), &context()));
    let (key, whole) = &entries()[1];
    let Verdict::Replace(value) = &verdicts[1] else { panic!("not replaced") };
    assert!(value.len() < whole.len());
    let mut row = layout().empty_row();
    layout().decode(key, value, &mut row, Some(&[true, true, false])).unwrap();
    assert_eq!(row, [Value::Int4(2), Value::Int4(2), Value::Null]);
}

#[test]
fn partial_aggregates_merge() {
    let aggregates = vec![
        aggregate::resolve("count", None, vec![]).unwrap(),
        aggregate::resolve("avg", None, vec![slot(0)]).unwrap(),
        aggregate::resolve("max", None, vec![slot(0)]).unwrap(),
    ];
    let output = Output::Aggregate { group_by: vec![slot(1)], aggregates };
    let program = Program::new(layout(), Some(compare("<", slot(0), 6)), output, &context());
    let mut merge = Merge::default();
    for _ in 0..2 {
        let (verdicts, pushed) = run(program.clone());
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Drop));
        merge.add(decode_pushed(&pushed.unwrap()).unwrap()).unwrap();
    }
    let shown: Vec<String> = merge
        .finish()
        .unwrap()
        .into_iter()
        .map(|(key, values)| {
            let text = |value: &Value| crate::types::to_text(value, DataType::UNKNOWN, &Default::default());
            format!("{} {}", text(&key[0]), values.iter().map(text).collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(shown, ["0 2 3.0000000000000000 3", "1 4 2.5000000000000000 4", "2 4 3.5000000000000000 5"]);
}

#[test]
fn an_error_of_an_expression_keeps_its_sqlstate() {
    let quotient = function::operator("/", Some(slot(0)), slot(1)).unwrap();
    let (verdicts, pushed) = run(Program::new(layout(), Some(compare(">", quotient, 0)), Output::Rows, &context()));
    // The third row divides by zero: from there on nothing comes out.
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Keep).count(), 2);
    let error = decode_pushed(&pushed.unwrap()).unwrap_err();
    assert_eq!((error.state(), error.fields().message.as_str()), (SqlState::DIVISION_BY_ZERO, "division by zero"));
}

#[test]
fn what_needs_the_gateway_is_not_pushable() {
    let volatile = function::operator(
        "<",
        Some(Expr::constant(Value::Float8(0.5), DataType::FLOAT8)),
        function::call("random", None, vec![]).unwrap(),
    );
    let program = Program::new(layout(), Some(volatile.unwrap()), Output::Rows, &context());
    assert!(!program.is_pushable());
}

#[test]
fn hostile_programs_are_refused() {
    let program = Program::new(layout(), Some(compare(">", slot(1), 0)), Output::Rows, &context()).encode().unwrap();
    for end in 0..program.len() {
        let _ = Compiler.compile(&program[..end]);
    }
    assert!(Compiler.compile(&[0xff; 40]).is_err());
}
