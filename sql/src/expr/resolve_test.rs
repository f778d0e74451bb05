use super::super::{Expr, FunctionId, function};
use crate::{error::SqlState, types::DataType};

const UNKNOWN: DataType = DataType::UNKNOWN;

fn result(name: &str, types: &[DataType]) -> String {
    match function::resolve(name, None, types) {
        Ok(found) => format!("{} -> {}", function::get(found.id).signature, found.return_type),
        Err(error) => format!("{} {}", error.state().0, error.fields().message),
    }
}

#[test]
fn functions_resolve_as_in_postgresql() {
    assert_eq!(result("abs", &[DataType::INT2]), "abs(int2) int2 -> smallint");
    assert_eq!(result("sqrt", &[DataType::INT4]), "sqrt(float8) float8 -> double precision");
    assert_eq!(result("round", &[DataType::INT4]), "round(float8) float8 -> double precision");
    assert_eq!(result("length", &[UNKNOWN]), "length(text) int4 -> integer");
    assert_eq!(result("length", &[DataType::VARCHAR]), "length(text) int4 -> integer");
    assert_eq!(
        result("array_append", &[DataType::INT4_ARRAY, UNKNOWN]),
        "array_append(anycompatiblearray, anycompatible) anycompatiblearray -> integer[]"
    );
    assert_eq!(result("foo", &[DataType::INT4, UNKNOWN]), "42883 function foo(integer, unknown) does not exist");
    assert_eq!(result("length", &[DataType::INT4]), "42883 function length(integer) does not exist");
}

#[test]
fn missing_operators_say_what_is_missing() {
    let error = function::resolve_operator("+", Some(DataType::INT4), DataType::TEXT).unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_FUNCTION);
    assert_eq!(error.fields().message, "operator does not exist: integer + text");
    let hint = "No operator matches the given name and argument types. You might need to add explicit type casts.";
    assert_eq!(error.fields().hint.as_deref(), Some(hint));
    let error = function::resolve_operator("+", Some(UNKNOWN), UNKNOWN).unwrap_err();
    assert_eq!(error.fields().message, "operator is not unique: unknown + unknown");
}

#[test]
fn function_ids_travel_by_signature() {
    let count = function::all().count();
    assert!(count > 800, "only {count} functions are registered");
    for (id, function) in function::all() {
        let bytes = postcard::to_stdvec(&id).unwrap();
        assert_eq!(postcard::from_bytes::<FunctionId>(&bytes).unwrap(), id, "{}", function.signature);
    }
    assert!(postcard::from_bytes::<FunctionId>(&postcard::to_stdvec(&12345u64).unwrap()).is_err());
}

#[test]
fn constants_fold_and_errors_wait() {
    let integer = |value| Expr::constant(crate::types::Value::Int4(value), DataType::INT4);
    let sum = function::operator("+", Some(integer(1)), integer(2)).unwrap();
    assert_eq!(sum.fold(), integer(3));
    let quotient = function::operator("/", Some(integer(1)), integer(0)).unwrap();
    assert!(matches!(quotient.fold(), Expr::Call { .. }));
    let random = function::call("random", None, vec![]).unwrap();
    assert!(random.is_volatile() && !random.is_pushable());
    assert!(matches!(random.fold(), Expr::Call { .. }));
}
