//! INSERT, UPDATE and DELETE, with everything that execution needs of the tables they touch: bound constraints, foreign
//! keys in both directions.

use std::{collections::BTreeMap, sync::Arc};

use base::TableId;
use txn::LockMode;

use super::{Layouts, Mark, Plan};
use crate::{
    catalog::{ForeignKey, Relation, RelationKind},
    expr::Expr,
    types::DataType,
};

#[derive(Clone, Debug)]
pub enum Change {
    Insert(Insert),
    Update(Update),
    Delete(Delete),
}

#[derive(Clone, Debug)]
pub struct Insert {
    pub target: Arc<Target>,
    pub targets: Arc<Targets>,
    /// Yields complete rows: one column a table column, defaults filled in.
    pub source: Plan,
    pub on_conflict: Option<OnConflict>,
    pub returning: Option<Returning>,
}

#[derive(Clone, Debug)]
pub struct OnConflict {
    /// Position in `Table::indexes`; `None`: any unique index (DO NOTHING only).
    pub index: Option<usize>,
    pub action: ConflictAction,
}

#[derive(Clone, Debug)]
pub enum ConflictAction {
    Nothing,
    /// Over rows of (existing row, row proposed for insertion).
    Update {
        assignments: Vec<(usize, Expr)>,
        filter: Option<Expr>,
    },
}

#[derive(Clone, Debug)]
pub struct Update {
    pub target: Arc<Target>,
    pub targets: Arc<Targets>,
    /// Yields the target's columns, the row's key (see `Scan::with_key`), then the columns of FROM and of subqueries.
    pub source: Plan,
    /// The scan of the target in the source.
    pub mark: Mark,
    /// Whether the source has locked the rows and read them at their newest.
    pub locked: bool,
    /// Position of the column and its new value over a row of the source.
    pub assignments: Vec<(usize, Expr)>,
    pub returning: Option<Returning>,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub target: Arc<Target>,
    pub targets: Arc<Targets>,
    /// As for `Update`.
    pub source: Plan,
    pub mark: Mark,
    pub locked: bool,
    pub returning: Option<Returning>,
}

/// The rows that go back. The expressions are over (new row of the target (old one for DELETE), its key, then the other
/// columns of the source); subqueries of RETURNING are not supported.
#[derive(Clone, Debug)]
pub struct Returning {
    pub expressions: Vec<Expr>,
}

/// A table that is written to.
#[derive(Clone, Debug)]
pub struct Target {
    pub relation: Arc<Relation>,
    pub layouts: Layouts,
    /// Name and condition, over a row of the table.
    pub checks: Vec<(String, Expr)>,
    /// Bound defaults by position, for SET DEFAULT; `None`: NULL.
    pub defaults: Vec<Option<Expr>>,
    pub outgoing: Vec<OutgoingKey>,
    pub incoming: Vec<IncomingKey>,
}

/// A foreign key of the table itself: a written row must find its parent.
#[derive(Clone, Debug)]
pub struct OutgoingKey {
    pub key: ForeignKey,
    pub referenced: Arc<Relation>,
    /// How the referenced table is stored, and which of its unique indexes has the referenced columns.
    pub layouts: Layouts,
    pub index: usize,
    /// Positions of the referencing columns, in the order of that index's columns.
    pub slots: Vec<usize>,
}

/// A foreign key of another table (or the same) to this one: a row that goes away must not be missed.
#[derive(Clone, Debug)]
pub struct IncomingKey {
    pub key: ForeignKey,
    /// The referencing table; its own constraints are in `Targets`.
    pub referencing: Arc<Relation>,
    pub layouts: Layouts,
    /// Positions in the referencing table.
    pub slots: Vec<usize>,
    /// Positions of the referenced columns in this table, in the same order.
    pub referenced_slots: Vec<usize>,
    /// The unique index behind the referenced columns, and for each of its columns which of `referenced_slots` it is.
    pub referenced_index: (usize, Vec<usize>),
    /// An index of the referencing table that begins with these columns, and for each of its first columns which of `slots`
    /// it is.
    pub index: Option<(usize, Vec<usize>)>,
}

impl Target {
    /// How a row is locked for a change of these columns: other tables may refer to any unique key.
    pub fn mode_for(&self, assigned: impl IntoIterator<Item = usize>) -> LockMode {
        let is_key = |slot: usize| {
            let unique = self.layouts.iter().filter(|layout| layout.is_unique());
            unique.flat_map(|layout| layout.columns()).any(|column| column.slot == slot)
        };
        if assigned.into_iter().any(is_key) { LockMode::Update } else { LockMode::NoKeyUpdate }
    }
}

impl Update {
    /// How its rows are locked.
    pub fn mode(&self) -> LockMode {
        self.target.mode_for(self.assignments.iter().map(|(slot, _)| *slot))
    }
}

/// The target and every table that its foreign key actions can reach.
#[derive(Clone, Debug, Default)]
pub struct Targets(pub BTreeMap<TableId, Arc<Target>>);

impl Change {
    /// A change of nothing, to stand in while the real one is being rewritten.
    pub(crate) fn placeholder() -> Change {
        let relation = Arc::new(Relation {
            id: TableId(0),
            schema_oid: 0,
            schema: String::new(),
            name: String::new(),
            owner: String::new(),
            version: 0,
            acl: None,
            column_acls: BTreeMap::new(),
            kind: RelationKind::System { columns: Vec::new() },
        });
        let target = Target {
            relation,
            layouts: Arc::from([]),
            checks: Vec::new(),
            defaults: Vec::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
        };
        Change::Delete(Delete {
            target: Arc::new(target),
            targets: Arc::default(),
            source: Plan::one_row(),
            mark: 0,
            locked: false,
            returning: None,
        })
    }

    pub fn command(&self) -> &'static str {
        match self {
            Change::Insert(_) => "INSERT",
            Change::Update(_) => "UPDATE",
            Change::Delete(_) => "DELETE",
        }
    }

    pub fn target(&self) -> &Arc<Target> {
        match self {
            Change::Insert(insert) => &insert.target,
            Change::Update(update) => &update.target,
            Change::Delete(delete) => &delete.target,
        }
    }

    pub fn targets(&self) -> &Arc<Targets> {
        match self {
            Change::Insert(insert) => &insert.targets,
            Change::Update(update) => &update.targets,
            Change::Delete(delete) => &delete.targets,
        }
    }

    pub fn source(&self) -> &Plan {
        match self {
            Change::Insert(insert) => &insert.source,
            Change::Update(update) => &update.source,
            Change::Delete(delete) => &delete.source,
        }
    }

    pub fn source_mut(&mut self) -> &mut Plan {
        match self {
            Change::Insert(insert) => &mut insert.source,
            Change::Update(update) => &mut update.source,
            Change::Delete(delete) => &mut delete.source,
        }
    }

    pub fn returning(&self) -> Option<&Returning> {
        match self {
            Change::Insert(insert) => insert.returning.as_ref(),
            Change::Update(update) => update.returning.as_ref(),
            Change::Delete(delete) => delete.returning.as_ref(),
        }
    }

    pub fn returning_types(&self) -> Vec<DataType> {
        self.returning().map(|returning| returning.expressions.iter().map(Expr::ty).collect()).unwrap_or_default()
    }
}
