//! Tables that are written to: their constraints, bound once so that execution needs no catalog.

use std::{collections::BTreeMap, sync::Arc};

use base::TableId;

use super::{
    Binder,
    expr::{Clause, ExprBinder},
    scope::{Names, Scope},
};
use crate::{
    catalog::{Column, ColumnId, ForeignKey, ForeignKeyAction, Relation, RelationKind, Table},
    error::{Result, SqlError, SqlState},
    expr::{Expr, cast},
    parse,
    plan::{IncomingKey, OutgoingKey, SequenceCall, SequenceFunction, Target, Targets, layouts, table_of},
    types::{DataType, Value},
};

impl Binder<'_> {
    /// The table as a target of INSERT, UPDATE or DELETE (`verb`).
    pub(super) fn writable(&self, relation: &Arc<Relation>, verb: &str) -> Result<()> {
        let (what, state) = match &relation.kind {
            RelationKind::Table(_) => return Ok(()),
            RelationKind::View(_) => ("view", SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE),
            RelationKind::Sequence(_) => ("sequence", SqlState::WRONG_OBJECT_TYPE),
            RelationKind::System { .. } => {
                let message = format!("permission denied: \"{}\" is a system catalog", relation.name);
                return Err(SqlError::new(SqlState("42501"), message));
            }
        };
        Err(SqlError::new(state, format!("cannot {verb} {what} \"{}\"", relation.name)))
    }

    /// The target and all tables that its foreign key actions can reach.
    pub(super) fn targets(&self, relation: &Arc<Relation>) -> Result<(Arc<Target>, Arc<Targets>)> {
        let mut targets: BTreeMap<TableId, Arc<Target>> = BTreeMap::new();
        let mut open = vec![relation.clone()];
        while let Some(relation) = open.pop() {
            if targets.contains_key(&relation.id) {
                continue;
            }
            let target = self.target(&relation)?;
            for incoming in &target.incoming {
                let acts = |action| !matches!(action, ForeignKeyAction::NoAction | ForeignKeyAction::Restrict);
                if acts(incoming.key.on_delete) || acts(incoming.key.on_update) {
                    open.push(incoming.referencing.clone());
                }
            }
            targets.insert(relation.id, Arc::new(target));
        }
        let target = targets[&relation.id].clone();
        Ok((target, Arc::new(Targets(targets))))
    }

    fn target(&self, relation: &Arc<Relation>) -> Result<Target> {
        self.note(relation);
        let table = table_of(relation);
        let scope = Scope::of_relation(relation, None, None);
        let mut checks = Vec::new();
        for check in &table.checks {
            checks.push((check.name.clone(), self.check(&check.expression, &scope)?));
        }
        let wants_defaults = table
            .foreign_keys
            .iter()
            .any(|key| key.on_delete == ForeignKeyAction::SetDefault || key.on_update == ForeignKeyAction::SetDefault);
        let mut defaults = vec![None; table.columns.len()];
        if wants_defaults {
            for (slot, column) in table.columns.iter().enumerate() {
                let mut expressions = self.detached();
                let expr = self.default(column, &mut expressions)?;
                defaults[slot] = expressions.collected.is_empty().then_some(expr);
            }
        }
        let mut outgoing = Vec::new();
        for key in &table.foreign_keys {
            outgoing.push(self.outgoing(table, key)?);
        }
        let mut incoming = Vec::new();
        for referencing in self.catalog.referencing(relation.id) {
            self.note(&referencing);
            let keys = &table_of(&referencing).foreign_keys;
            for key in keys.iter().filter(|key| key.referenced_table == relation.id) {
                incoming.push(incoming_key(table, &referencing, key)?);
            }
        }
        Ok(Target { relation: relation.clone(), layouts: layouts(relation)?, checks, defaults, outgoing, incoming })
    }

    fn check(&self, text: &str, scope: &Scope) -> Result<Expr> {
        let syntax = parse::parse_expression(text)?;
        let names = Names { scope, up: None };
        let mut expressions = ExprBinder::new(self, names, None, Clause::Check);
        let expr = self.without_needs(|| expressions.expr(&syntax))?;
        self.boolean(expr, Clause::Check.name())
    }

    fn outgoing(&self, table: &Table, key: &ForeignKey) -> Result<OutgoingKey> {
        let referenced = self
            .catalog
            .relation_by_id(key.referenced_table)
            .ok_or_else(|| SqlError::internal(format!("foreign key {} has lost its table", key.name)))?;
        self.note(&referenced);
        let parent = table_of(&referenced);
        let index = unique_index(parent, &key.referenced_columns)
            .ok_or_else(|| SqlError::internal(format!("foreign key {} has lost its index", key.name)))?;
        let slots = parent.indexes[index]
            .columns
            .iter()
            .filter_map(|column| key.referenced_columns.iter().position(|id| *id == column.column))
            .filter_map(|position| table.slot(key.columns[position]))
            .collect();
        Ok(OutgoingKey { key: key.clone(), layouts: layouts(&referenced)?, index, slots, referenced })
    }

    /// A binder of expressions without any names.
    pub(super) fn detached(&self) -> ExprBinder<'_> {
        static NOTHING: Scope = Scope { tables: Vec::new(), columns: Vec::new() };
        ExprBinder::new(self, Names { scope: &NOTHING, up: None }, None, Clause::Values)
    }

    /// The default of a column, converted to its type; NULL without one. Sequences are collected in `expressions`.
    pub(super) fn default(&self, column: &Column, expressions: &mut ExprBinder<'_>) -> Result<Expr> {
        let expr = match (&column.default, column.identity, column.owned_sequence) {
            (Some(text), _, _) => {
                let syntax = parse::parse_expression(text)?;
                self.without_needs(|| expressions.expr(&syntax))?
            }
            (None, Some(_), Some(sequence)) => {
                let arg = Expr::constant(Value::Oid(sequence.0), DataType::REGCLASS);
                expressions
                    .collected
                    .sequences
                    .push(SequenceCall { function: SequenceFunction::NextValue, args: vec![arg] });
                let marker = super::collect::Marker::Sequence(expressions.collected.sequences.len() - 1);
                super::build::marked(marker, DataType::INT8)
            }
            _ => return Ok(Expr::null(column.ty)),
        };
        cast::coerce_assignment(expr, &column.name, column.ty, column.typmod)
    }
}

/// A unique index over exactly these columns, the primary one first.
pub(super) fn unique_index(table: &Table, columns: &[ColumnId]) -> Option<usize> {
    table.indexes.iter().position(|index| {
        index.unique
            && !index.hidden_row_id
            && index.columns.len() == columns.len()
            && index.columns.iter().all(|column| columns.contains(&column.column))
    })
}

fn incoming_key(table: &Table, referencing: &Arc<Relation>, key: &ForeignKey) -> Result<IncomingKey> {
    let child = table_of(referencing);
    let lost = || SqlError::internal(format!("foreign key {} has lost a column", key.name));
    let slots: Option<Vec<usize>> = key.columns.iter().map(|id| child.slot(*id)).collect();
    let referenced_slots: Option<Vec<usize>> = key.referenced_columns.iter().map(|id| table.slot(*id)).collect();
    // The index with the longest prefix made of these columns.
    let mut best: Option<(usize, Vec<usize>)> = None;
    for (position, index) in child.indexes.iter().enumerate() {
        if index.hidden_row_id {
            continue;
        }
        let prefix: Vec<usize> =
            index.columns.iter().map_while(|column| key.columns.iter().position(|id| *id == column.column)).collect();
        if !prefix.is_empty() && best.as_ref().is_none_or(|(_, longest)| prefix.len() > longest.len()) {
            best = Some((position, prefix));
        }
    }
    let unique = unique_index(table, &key.referenced_columns).ok_or_else(lost)?;
    let order: Option<Vec<usize>> = table.indexes[unique]
        .columns
        .iter()
        .map(|column| key.referenced_columns.iter().position(|id| *id == column.column))
        .collect();
    Ok(IncomingKey {
        key: key.clone(),
        referencing: referencing.clone(),
        layouts: layouts(referencing)?,
        referenced_index: (unique, order.ok_or_else(lost)?),
        slots: slots.ok_or_else(lost)?,
        referenced_slots: referenced_slots.ok_or_else(lost)?,
        index: best,
    })
}
