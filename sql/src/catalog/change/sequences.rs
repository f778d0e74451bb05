//! CREATE SEQUENCE, and the sequences behind columns.

use base::TableId;
use sqlparser::ast::{self, SequenceOptions, Statement as Ast};

use super::Change;
use crate::{
    catalog::{CatalogView, ColumnId, RelationKind, Schema, Sequence, store::SequenceState},
    error::{Result, SqlError, SqlState},
    parse::{AlterSequence, roles::RoleName},
    session::object_name,
    types::{DataType, parse_type_name},
};

impl Change<'_> {
    pub(super) async fn create_sequence(&mut self, syntax: &Ast) -> Result<()> {
        let Ast::CreateSequence { temporary, if_not_exists, name, data_type, sequence_options, owned_by } = syntax
        else {
            return Err(SqlError::internal("not CREATE SEQUENCE"));
        };
        if *temporary {
            return Err(SqlError::unsupported("CREATE TEMPORARY SEQUENCE"));
        }
        let (schema, name) = object_name(name)?;
        let schema: std::sync::Arc<Schema> = self.target_schema(schema.as_deref(), &name)?;
        if self.is_taken(&schema, &name, *if_not_exists)? {
            return Ok(());
        }
        let ty = match data_type {
            Some(ty) => Some(parse_type_name(&ty.to_string())?.0),
            None => None,
        };
        let owner = match owned_by {
            Some(column) if !column.to_string().eq_ignore_ascii_case("none") => Some(self.owner_column(column)?),
            _ => None,
        };
        let sequence = self.sequence_of(&name, ty, sequence_options, owner)?;
        let id = self.store_sequence(schema.oid, &schema.name, &name, sequence).await?;
        if let Some(column) = owned_by.as_ref().filter(|_| owner.is_some()) {
            self.own(column, id)?;
        }
        Ok(())
    }

    pub(super) async fn alter_sequence(&mut self, alter: &AlterSequence) -> Result<()> {
        let (schema, name) = object_name(&alter.name)?;
        let relation = match self.catalog.relation(schema.as_deref(), &name) {
            Some(relation) => relation,
            None if alter.if_exists => {
                self.notice(SqlState("00000"), format!("relation \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            None => return Err(super::no_relation(schema.as_deref(), &name)),
        };
        let RelationKind::Sequence(old) = &relation.kind else {
            let message = format!("\"{name}\" is not a sequence");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        self.must_own_relation(&relation)?;
        if let Some(new_name) = &alter.rename_to {
            return self.rename_relation(self.stored(relation.id)?, &crate::session::fold(new_name));
        }
        let mut changed = self.stored(relation.id)?;
        if let Some(owner) = &alter.owner_to {
            let owner = RoleName::Named(crate::session::fold(owner));
            return self.give_relation(changed, &owner);
        }
        let mut sequence = self.altered(&name, old, alter)?;
        if let Some(owner) = &alter.owned_by {
            self.disown(relation.id)?;
            sequence.owned_by = match owner {
                Some(column) => Some(self.own(column, relation.id)?),
                None => None,
            };
        }
        let restart = match &alter.restart {
            None => None,
            Some(None) => Some(sequence.start),
            Some(Some(value)) => Some(number(value)?),
        };
        let (min, max) = (sequence.min, sequence.max);
        if let Some(value) = restart.filter(|value| !(min..=max).contains(value)) {
            let (which, limit) = if value < min { ("less than MINVALUE", min) } else { ("greater than MAXVALUE", max) };
            return Err(invalid(&format!("RESTART value ({value}) cannot be {which} ({limit})")));
        }
        changed.kind = RelationKind::Sequence(sequence);
        self.put(changed)?;
        // Numbers reserved under the old rules are void.
        self.write_sequence(relation.id, |state| SequenceState {
            last: restart.unwrap_or(state.last),
            called: state.called && restart.is_none(),
            generation: state.generation + 1,
        })
        .await
    }

    /// The descriptor with the options that were given in place of the old ones.
    fn altered(&self, name: &str, old: &Sequence, alter: &AlterSequence) -> Result<Sequence> {
        let given = |wanted: fn(&SequenceOptions) -> bool| alter.options.iter().any(wanted);
        let plain = |value: i64| ast::Expr::Value(ast::Value::Number(value.to_string(), false).into());
        let mut options = alter.options.clone();
        if !given(|option| matches!(option, SequenceOptions::IncrementBy(..))) {
            options.push(SequenceOptions::IncrementBy(plain(old.increment), true));
        }
        let ty = alter.data_type.as_ref().map(|ty| parse_type_name(&ty.to_string()).map(|(ty, _)| ty)).transpose()?;
        if ty.is_none() && !given(|option| matches!(option, SequenceOptions::MinValue(_))) {
            options.push(SequenceOptions::MinValue(Some(plain(old.min))));
        }
        if ty.is_none() && !given(|option| matches!(option, SequenceOptions::MaxValue(_))) {
            options.push(SequenceOptions::MaxValue(Some(plain(old.max))));
        }
        if !given(|option| matches!(option, SequenceOptions::StartWith(..))) {
            options.push(SequenceOptions::StartWith(plain(old.start), true));
        }
        if !given(|option| matches!(option, SequenceOptions::Cache(_))) {
            options.push(SequenceOptions::Cache(plain(old.cache)));
        }
        if !given(|option| matches!(option, SequenceOptions::Cycle(_))) {
            options.push(SequenceOptions::Cycle(!old.cycle));
        }
        self.sequence_of(name, Some(ty.unwrap_or(old.ty)), &options, old.owned_by)
    }

    /// Makes a column the owner of a sequence.
    fn own(&mut self, column: &ast::ObjectName, sequence: TableId) -> Result<(TableId, ColumnId)> {
        let (table, column) = self.owner_column(column)?;
        let mut relation = self.stored(table)?;
        for other in &mut super::table_mut(&mut relation)?.columns {
            if other.id == column {
                other.owned_sequence = Some(sequence);
            }
        }
        self.put(relation)?;
        Ok((table, column))
    }

    /// Nobody owns the sequence any more.
    fn disown(&mut self, sequence: TableId) -> Result<()> {
        let owners: Vec<TableId> = self
            .catalog
            .snapshot
            .relations()
            .filter(|relation| relation.columns().iter().any(|column| column.owned_sequence == Some(sequence)))
            .map(|relation| relation.id)
            .collect();
        for owner in owners {
            let mut relation = self.stored(owner)?;
            for column in &mut super::table_mut(&mut relation)?.columns {
                if column.owned_sequence == Some(sequence) {
                    column.owned_sequence = None;
                }
            }
            self.put(relation)?;
        }
        Ok(())
    }

    /// `[schema.]table.column` of OWNED BY.
    fn owner_column(&self, name: &ast::ObjectName) -> Result<(TableId, ColumnId)> {
        let mut parts = name.0.clone();
        let column = match parts.pop() {
            Some(ast::ObjectNamePart::Identifier(ident)) if !parts.is_empty() => crate::session::fold(&ident),
            _ => {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                    .hint("Specify OWNED BY table.column or OWNED BY NONE."));
            }
        };
        let relation = self.find_table(&ast::ObjectName(parts))?;
        self.must_own_relation(&relation)?;
        let found = relation.columns().iter().find(|other| other.name == column);
        let found = found.ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
            SqlError::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        Ok((relation.id, found.id))
    }

    /// A sequence descriptor from its options.
    pub(super) fn sequence_of(
        &self,
        name: &str,
        ty: Option<DataType>,
        options: &[SequenceOptions],
        owned_by: Option<(TableId, ColumnId)>,
    ) -> Result<Sequence> {
        let ty = ty.unwrap_or(DataType::INT8);
        let (low, high) = match ty {
            DataType::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            DataType::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            DataType::INT8 => (i64::MIN, i64::MAX),
            _ => return Err(invalid("sequence type must be smallint, integer, or bigint")),
        };
        let (mut increment, mut min, mut max, mut start, mut cache, mut cycle) = (1, None, None, None, 1, false);
        for option in options {
            match option {
                SequenceOptions::IncrementBy(value, _) => increment = number(value)?,
                SequenceOptions::MinValue(value) => min = value.as_ref().map(number).transpose()?,
                SequenceOptions::MaxValue(value) => max = value.as_ref().map(number).transpose()?,
                SequenceOptions::StartWith(value, _) => start = Some(number(value)?),
                SequenceOptions::Cache(value) => cache = number(value)?,
                // The parser's flag says whether it is `NO CYCLE`.
                SequenceOptions::Cycle(no) => cycle = !no,
            }
        }
        if increment == 0 {
            return Err(invalid("INCREMENT must not be zero"));
        }
        if cache < 1 {
            return Err(invalid(&format!("CACHE ({cache}) must be greater than zero")));
        }
        let ascending = increment > 0;
        let min = min.unwrap_or(if ascending { 1 } else { low });
        let max = max.unwrap_or(if ascending { high } else { -1 });
        let type_name = crate::types::format_type(ty, -1);
        if min < low {
            return Err(invalid(&format!("MINVALUE ({min}) is out of range for sequence data type {type_name}")));
        }
        if max > high {
            return Err(invalid(&format!("MAXVALUE ({max}) is out of range for sequence data type {type_name}")));
        }
        if min >= max {
            return Err(invalid(&format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
        }
        let start = start.unwrap_or(if ascending { min } else { max });
        if start < min {
            return Err(invalid(&format!("START value ({start}) cannot be less than MINVALUE ({min})")));
        }
        if start > max {
            return Err(invalid(&format!("START value ({start}) cannot be greater than MAXVALUE ({max})")));
        }
        if name.is_empty() {
            return Err(invalid("a sequence needs a name"));
        }
        Ok(Sequence { ty, start, increment, min, max, cycle, cache, owned_by })
    }

    /// Stores a new sequence with its first state.
    pub(super) async fn store_sequence(
        &mut self,
        schema_oid: u32,
        schema: &str,
        name: &str,
        sequence: Sequence,
    ) -> Result<TableId> {
        let start = sequence.start;
        let oid = self.oid().await?;
        let owner = self.environment.eval.session.user.clone();
        let schema = Schema { oid: schema_oid, name: schema.to_owned(), owner, acl: None };
        let relation = self.relation(oid, &schema, name, RelationKind::Sequence(sequence));
        let id = self.put(relation)?.id;
        self.write_sequence(id, |_| SequenceState { last: start, called: false, generation: 1 }).await?;
        Ok(id)
    }
}

fn number(value: &ast::Expr) -> Result<i64> {
    let text = value.to_string().replace(' ', "");
    text.parse().map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type bigint");
        SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

fn invalid(message: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
