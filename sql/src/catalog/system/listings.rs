//! The readable listings of `pg_catalog`: tables, indexes, views, sequences.

use txn::Txn;

use super::{Output, SystemViews, flag, int8, objects::shown_indexes, oid, text};
use crate::{
    catalog::{
        CatalogView, RelationKind,
        functions::index_definition,
        store::{self, SequenceState},
    },
    error::Result,
    types::Value,
};

impl SystemViews {
    pub(super) fn pg_tables(&self, output: &mut Output<'_>) {
        for relation in self.catalog.relations() {
            let table = relation.table();
            let system = matches!(relation.kind, RelationKind::System { .. }) && relation.id.0 < 12000;
            if table.is_none() && !system {
                continue;
            }
            output.row([
                ("schemaname", text(relation.schema.as_str())),
                ("tablename", text(relation.name.as_str())),
                ("tableowner", text(relation.owner.as_str())),
                ("hasindexes", flag(table.is_some_and(|table| shown_indexes(table).next().is_some()))),
                ("hasrules", flag(false)),
                ("hastriggers", flag(table.is_some_and(|table| !table.foreign_keys.is_empty()))),
                ("rowsecurity", flag(false)),
            ]);
        }
    }

    pub(super) fn pg_indexes(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            for index in relation.table().into_iter().flat_map(shown_indexes) {
                output.row([
                    ("schemaname", text(relation.schema.as_str())),
                    ("tablename", text(relation.name.as_str())),
                    ("indexname", text(index.name.as_str())),
                    ("indexdef", text(index_definition(relation, index, true))),
                ]);
            }
        }
    }

    pub(super) fn pg_views(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            if let RelationKind::View(view) = &relation.kind {
                output.row([
                    ("schemaname", text(relation.schema.as_str())),
                    ("viewname", text(relation.name.as_str())),
                    ("viewowner", text(relation.owner.as_str())),
                    ("definition", text(format!(" {};", view.query))),
                ]);
            }
        }
    }

    pub(super) fn pg_stat_tables(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations().filter(|relation| relation.table().is_some()) {
            output.row([
                ("relid", oid(relation.id.0)),
                ("schemaname", text(relation.schema.as_str())),
                ("relname", text(relation.name.as_str())),
            ]);
        }
    }

    pub(super) async fn pg_sequences(&self, output: &mut Output<'_>, txn: &mut Txn) -> Result<()> {
        for relation in self.catalog.snapshot.relations() {
            let RelationKind::Sequence(sequence) = &relation.kind else { continue };
            let state = txn.get(&[store::sequence_key(relation.id)]).await?.into_iter().flatten().next();
            let state = state.map(|state| store::decode::<SequenceState>(&state)).transpose()?;
            let last = state.filter(|state| state.called).map_or(Value::Null, |state| int8(state.last));
            output.row([
                ("schemaname", text(relation.schema.as_str())),
                ("sequencename", text(relation.name.as_str())),
                ("sequenceowner", text(relation.owner.as_str())),
                ("data_type", oid(sequence.ty.0)),
                ("start_value", int8(sequence.start)),
                ("min_value", int8(sequence.min)),
                ("max_value", int8(sequence.max)),
                ("increment_by", int8(sequence.increment)),
                ("cycle", flag(sequence.cycle)),
                ("cache_size", int8(sequence.cache)),
                ("last_value", last),
            ]);
        }
        Ok(())
    }
}
