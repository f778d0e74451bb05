use super::*;

const SECRET: &[u8] = b"12345678901234567890";

fn second(last: Option<u64>, now: u64) -> SecondFactor {
    let recovery = vec![None, Some(otp::recovery_hash("abcde-23456"))];
    SecondFactor { required: false, otp: Some((SECRET.to_vec(), last)), recovery, unix_seconds: now }
}

#[test]
fn a_code_counts_in_its_step_and_the_next_one() {
    // RFC 6238, appendix B, SHA-1 at 59 s: 94287082; six digits are its end.
    for now in [30, 59, 60, 89] {
        assert_eq!(second(None, now).check(Some("287082")), Ok((Factors::OTP, Used::OtpStep(1))), "{now}");
    }
    for now in [29, 90, 120] {
        assert_eq!(second(None, now).check(Some("287082")), Err(Reason::WrongCode), "{now}");
    }
}

#[test]
fn a_step_that_was_used_or_is_older_is_refused() {
    assert_eq!(second(Some(0), 59).check(Some("287082")), Ok((Factors::OTP, Used::OtpStep(1))));
    assert_eq!(second(Some(1), 59).check(Some("287082")), Err(Reason::UsedCode));
    assert_eq!(second(Some(2), 60).check(Some("287082")), Err(Reason::UsedCode));
}

#[test]
fn recovery_codes_count_once_however_they_are_written() {
    let factor = second(None, 59);
    assert_eq!(factor.check(Some("ABCDE-23456")), Ok((Factors::RECOVERY, Used::RecoveryCode(1))));
    assert_eq!(factor.check(Some("abcde-23457")), Err(Reason::WrongCode));
    let mut used = factor;
    used.recovery[1] = None;
    assert_eq!(used.check(Some("abcde-23456")), Err(Reason::WrongCode));
}

#[test]
fn without_enrolment_nothing_is_asked_unless_required() {
    assert_eq!(SecondFactor::default().check(None), Ok((Factors::default(), Used::Nothing)));
    let required = SecondFactor { required: true, ..SecondFactor::default() };
    assert_eq!(required.check(Some("287082")), Err(Reason::CodeMissing));
    assert_eq!(second(None, 59).check(None), Err(Reason::CodeMissing));
}

#[test]
fn codes_are_taken_off_the_end() {
    assert_eq!(split_appended("correct horse123456"), ("correct horse", Some("123456")));
    assert_eq!(split_appended("correct horseabcde-23456"), ("correct horse", Some("abcde-23456")));
    assert_eq!(split_appended("correct horse"), ("correct horse", None));
    assert_eq!(split_appended("ééé"), ("ééé", None));
    assert_eq!(split_appended("123456"), ("", Some("123456")));
    assert_eq!(split_appended(""), ("", None));
}

#[test]
fn factors_have_names() {
    assert_eq!(Factors::PASSWORD.with(Factors::OTP).to_string(), "password+otp");
}

#[test]
fn what_can_be_guessed_is_held_up() {
    let held_up = |factors: Factors| {
        [Subject::RoleFromAddress, Subject::Address, Subject::CodeOfRole].map(|subject| factors.held_up_by(subject))
    };
    assert_eq!(held_up(Factors::PASSWORD), [true, true, false]);
    assert_eq!(held_up(Factors::PASSWORD.with(Factors::OTP)), [false, false, true]);
    assert_eq!(held_up(Factors::PASSWORD.with(Factors::RECOVERY)), [false, false, false]);
    assert_eq!(held_up(Factors::KEY), [false, false, false]);
    assert_eq!(held_up(Factors::KEY.with(Factors::OTP)), [false, false, true]);
    assert_eq!(held_up(Factors::TICKET), [false, false, false]);
}
