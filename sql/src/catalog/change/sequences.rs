//! CREATE SEQUENCE, and the sequences behind columns.

use base::TableId;
use sqlparser::ast::{self, SequenceOptions, Statement as Ast};

use super::Change;
use crate::{
    catalog::{ColumnId, RelationKind, Schema, Sequence, store::SequenceState},
    error::{Result, SqlError, SqlState},
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
        if let Some((table, column)) = owner {
            let mut relation = self.stored(table)?;
            for other in &mut super::table_mut(&mut relation)?.columns {
                if other.id == column {
                    other.owned_sequence = Some(id);
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
        let schema = Schema { oid: schema_oid, name: schema.to_owned(), owner };
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
