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
            return Err(failing_row(SqlError::new(SqlState::NOT_NULL_VIOLATION, message), relation, row, eval)
                .table(&relation.schema, &relation.name)
                .column(&column.name));
        }
    }
    for (name, check) in &target.checks {
        // NULL passes.
        if let Value::Bool(false) = check.eval(row, eval)? {
            let message = format!("new row for relation \"{}\" violates check constraint \"{name}\"", relation.name);
            return Err(failing_row(SqlError::new(SqlState::CHECK_VIOLATION, message), relation, row, eval)
                .table(&relation.schema, &relation.name)
                .constraint(name));
        }
    }
    Ok(())
}

/// Adds the row, as far as the acting role may read it: `(1, x)`, or `(a) = (1)` where it may read some columns only.
fn failing_row(error: SqlError, relation: &Relation, row: &Row, eval: &EvalContext) -> SqlError {
    let readable: Vec<usize> = (0..row.len()).filter(|slot| may_read(relation, *slot, eval)).collect();
    let columns: Vec<&str> = readable.iter().map(|&slot| relation.columns()[slot].name.as_str()).collect();
    let values: Vec<String> =
        readable.iter().map(|&slot| shown(&row[slot], relation.columns()[slot].ty, eval)).collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    match readable.len() {
        0 => error,
        all if all == row.len() => error.detail(format!("Failing row contains ({values}).")),
        _ => error.detail(format!("Failing row contains ({columns}) = ({values}).")),
    }
}

/// Whether the acting role may see a column. An error must not tell what a query would not.
fn may_read(relation: &Relation, slot: usize, eval: &EvalContext) -> bool {
    let Some(catalog) = &eval.catalog else { return true };
    let column = relation.columns()[slot].id;
    let args =
        [Value::Oid(relation.id.0), Value::Int2(i16::try_from(column.0).unwrap_or(i16::MAX)), Value::text("SELECT")];
    // NULL: a table of this very transaction, which the catalog does not have yet.
    matches!(catalog.call("has_column_privilege", &args, &eval.session), Ok(Value::Bool(true) | Value::Null))
}

fn shown(value: &Value, ty: DataType, eval: &EvalContext) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => text::to_text(value, ty, eval.format()),
    }
}

/// `Key (a, b)=(1, x)`, for the columns at these positions; `None` where the acting role may not read them all.
pub(super) fn key_text(relation: &Relation, slots: &[usize], values: &[Value], eval: &EvalContext) -> Option<String> {
    if !slots.iter().all(|&slot| may_read(relation, slot, eval)) {
        return None;
    }
    let columns = slots.iter().map(|&slot| &relation.columns()[slot]);
    let names: Vec<&str> = columns.clone().map(|column| column.name.as_str()).collect();
    let shown: Vec<String> = columns.zip(values).map(|(column, value)| shown(value, column.ty, eval)).collect();
    Some(format!("Key ({})=({})", names.join(", "), shown.join(", ")))
}

/// 23505 for an index.
pub(super) fn duplicate(target: &Target, index: usize, row: &Row, eval: &EvalContext) -> SqlError {
    let relation = &*target.relation;
    let slots: Vec<usize> = target.layouts[index].columns().iter().map(|column| column.slot).collect();
    let index = &table_of(relation).indexes[index];
    let values: Vec<Value> = slots.iter().map(|&slot| row[slot].clone()).collect();
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    let error = SqlError::new(SqlState::UNIQUE_VIOLATION, message);
    let error = match key_text(relation, &slots, &values, eval) {
        Some(key) => error.detail(format!("{key} already exists.")),
        None => error,
    };
    error.table(&relation.schema, &relation.name).constraint(&index.name)
}
