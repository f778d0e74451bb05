use super::*;

fn refused(sqlstate: &str) -> Failure {
    Failure::Refused { sqlstate: sqlstate.into(), message: String::new() }
}

#[test]
fn before_commit_is_sent_nothing_can_have_happened() {
    for failure in [refused("40003"), refused("57P01"), Failure::Lost("reset".into()), Failure::NotSent("down".into())]
    {
        assert_eq!(failure.outcome(Stage::Open), Outcome::Aborted, "{failure}");
    }
}

#[test]
fn at_commit_only_an_error_that_says_so_is_certain() {
    for failure in [refused("40003"), refused("08006"), refused("57P01"), Failure::Lost("reset".into())] {
        assert_eq!(failure.outcome(Stage::Committing), Outcome::Unknown, "{failure}");
    }
    for failure in [refused("40001"), refused("23505"), refused("57P03"), Failure::NotSent("down".into())] {
        assert_eq!(failure.outcome(Stage::Committing), Outcome::Aborted, "{failure}");
    }
}
