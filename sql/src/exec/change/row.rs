//! Whether a row may be stored, in PostgreSQL's words where not.

use crate::{
    catalog::Relation,
    error::{Result, SqlError, SqlState},
    expr::EvalContext,
    plan::{Target, table_of},
    types::{DataType, Row, Value, text},
};

/// NOT NULL, then CHECK.
pub(super) fn validate(target: &Target, row: &Row, eval: &EvalContext) -> Result<()> {
    let relation = &*target.relation;
    for (column, value) in relation.columns().iter().zip(row) {
        if column.not_null && value.is_null() {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, relation.name
            );
            return Err(SqlError::new(SqlState::NOT_NULL_VIOLATION, message)
                .detail(failing_row(relation, row, eval))
                .table(&relation.schema, &relation.name)
                .column(&column.name));
        }
    }
    for (name, check) in &target.checks {
        // NULL passes.
        if let Value::Bool(false) = check.eval(row, eval)? {
            let message = format!("new row for relation \"{}\" violates check constraint \"{name}\"", relation.name);
            return Err(SqlError::new(SqlState::CHECK_VIOLATION, message)
                .detail(failing_row(relation, row, eval))
                .table(&relation.schema, &relation.name)
                .constraint(name));
        }
    }
    Ok(())
}

fn failing_row(relation: &Relation, row: &Row, eval: &EvalContext) -> String {
    let values: Vec<String> =
        relation.columns().iter().zip(row).map(|(column, value)| shown(value, column.ty, eval)).collect();
    format!("Failing row contains ({}).", values.join(", "))
}

fn shown(value: &Value, ty: DataType, eval: &EvalContext) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => text::to_text(value, ty, eval.format()),
    }
}

/// `(a, b)=(1, x)`, for the columns at these positions.
pub(super) fn key_text(relation: &Relation, slots: &[usize], values: &[Value], eval: &EvalContext) -> String {
    let columns = slots.iter().map(|&slot| &relation.columns()[slot]);
    let names: Vec<&str> = columns.clone().map(|column| column.name.as_str()).collect();
    let shown: Vec<String> = columns.zip(values).map(|(column, value)| shown(value, column.ty, eval)).collect();
    format!("({})=({})", names.join(", "), shown.join(", "))
}

/// 23505 for an index.
pub(super) fn duplicate(target: &Target, index: usize, row: &Row, eval: &EvalContext) -> SqlError {
    let relation = &*target.relation;
    let slots: Vec<usize> = target.layouts[index].columns().iter().map(|column| column.slot).collect();
    let index = &table_of(relation).indexes[index];
    let values: Vec<Value> = slots.iter().map(|&slot| row[slot].clone()).collect();
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    SqlError::new(SqlState::UNIQUE_VIOLATION, message)
        .detail(format!("Key {} already exists.", key_text(relation, &slots, &values, eval)))
        .table(&relation.schema, &relation.name)
        .constraint(&index.name)
}
