//! Keys of the environment and of files.

use super::*;

const TESTER: &str = "arn:aws:iam::123456789012:user/tester";

#[test]
fn the_environment_logs_in() {
    let Some(moto) = moto() else { return };
    let place = Place::new()
        .set("AWS_ACCESS_KEY_ID", moto.access_key_id())
        .set("AWS_SECRET_ACCESS_KEY", moto.secret_access_key())
        .set("AWS_SESSION_TOKEN", "")
        // The environment's keys need no file, so a broken one is no matter.
        .config("broken");
    assert_eq!(place.log_in(moto), TESTER);
    let found = place.look();
    assert_eq!(found.keys(), ("environment", moto.access_key_id()));
    assert_eq!(found.skipped, [""; 0]);
    let [id, secret, token] = moto.temporary();
    let temporary = Place::new().set("AWS_ACCESS_KEY_ID", id).set("AWS_SECRET_ACCESS_KEY", secret);
    assert!(temporary.set("AWS_SESSION_TOKEN", token).log_in(moto).ends_with(STUB));
}

#[test]
fn a_part_of_the_environments_keys_is_an_error() {
    for (name, what) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY is not"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID is not"),
        ("AWS_SESSION_TOKEN", "without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ] {
        let place = Place::new().credentials("[default]\naws_access_key_id=A\naws_secret_access_key=B\n");
        let outcome = place.set(name, "hunter2").look();
        assert!(outcome.error().contains(what) && !outcome.error().contains("hunter2"), "{outcome:?}");
    }
}

#[test]
fn both_files_log_in() {
    let Some(moto) = moto() else { return };
    let (id, secret) = (moto.access_key_id(), moto.secret_access_key());
    let keys = format!("aws_access_key_id = {id}\naws_secret_access_key={secret}\n");
    let place = Place::new().credentials(&format!("# mine\n[default]\n{keys}[other]\naws_access_key_id=X\n"));
    assert_eq!(place.log_in(moto), TESTER);
    assert_eq!(place.look().keys(), ("shared credentials file", id));
    let place = Place::new().config(&format!("[profile it]\n{keys}region = eu-west-1\n")).set("AWS_PROFILE", "it");
    assert_eq!(place.log_in(moto), TESTER);
    let found = place.look();
    assert_eq!(found.keys(), ("config file", id));
    assert_eq!(found.skipped.len(), 6, "{found:?}");
    let [id, secret, token] = moto.temporary();
    let keys =
        format!("[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\naws_session_token={token}\n");
    assert_eq!(Place::new().credentials(&keys).log_in(moto), STUB);
}

#[test]
fn a_program_logs_in() {
    let Some(moto) = moto() else { return };
    let [id, secret, token] = moto.temporary();
    let place = Place::new();
    let program = script(
        &place,
        "keys with blanks.sh",
        &format!(
            r#"echo "on standard error: $1" >&2; test "$1" = "two words" && echo '{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "SessionToken": "{token}", "Expiration": "{FAR}"}}'"#
        ),
    );
    let place = place.config(&format!("[default]\ncredential_process = '{program}' \"two words\"\n"));
    assert_eq!(place.log_in(moto), STUB);
    let found = place.look();
    assert_eq!((found.keys(), found.expires), (("credential_process", id.as_str()), Some(FAR_SECONDS)));
}

#[test]
fn programs_that_fail_end_the_search() {
    let lasting = "aws_access_key_id=A\naws_secret_access_key=B\n";
    for (name, text, what) in [
        ("fails", "echo hunter2 >&2; echo hunter2; exit 3", "ended with exit status: 3"),
        ("says_nothing", "true", "JSON that breaks off"),
        ("says_no_json", "echo hunter2", "printed not JSON"),
        ("old", "echo '{\"Version\": 2}'", "keys of Version 2"),
        ("half", "echo '{\"Version\": 1, \"AccessKeyId\": \"hunter2\"}'", "no SecretAccessKey"),
        (
            "past",
            "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"hunter2\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'",
            "have expired",
        ),
        ("much", "exec yes hunter2", "printed more than 65536 bytes"),
        ("late", "sleep 6 & echo hunter2 >&2; exec sleep 100", "was not done within"),
    ] {
        let place = Place::new();
        let program = script(&place, name, text);
        let place = place.config(&format!("[default]\ncredential_process = {program}\n{lasting}"));
        let outcome = place.set("TEST_WITHIN", "2").look();
        assert!(outcome.error().contains(what) && !outcome.error().contains("hunter2"), "{name}: {outcome:?}");
        assert!(outcome.took < Duration::from_secs(4), "{name}: {outcome:?}");
    }
    for (line, what) in
        [("", "is empty"), ("'open", "a quote in it is not closed"), ("/nowhere/at/all", "could not be run")]
    {
        let outcome = Place::new().config(&format!("[default]\ncredential_process = {line}\n{lasting}")).look();
        assert!(outcome.error().contains(what), "{line}: {outcome:?}");
    }
}

#[test]
fn files_that_are_broken_are_named_with_the_line() {
    let long = format!("[default]\n{}", "#\n".repeat(600_000));
    for (text, what) in [
        ("[default]\naws_access_key_id = A\naws_access_key_id = B\n", "line 3 of \""),
        ("aws_access_key_id = A\n", "before the first section"),
        ("[default]\nhunter2\n", "line 2 of \""),
        ("[default]\naws_access_key_id = A\n", "nothing for aws_secret_access_key"),
        ("[default]\naws_access_key_id =\naws_secret_access_key = B\n", "nothing for aws_access_key_id"),
        (long.as_str(), "longer than 1048576 bytes"),
    ] {
        let outcome = Place::new().credentials(text).look();
        assert!(outcome.error().contains(what) && !outcome.error().contains("hunter2"), "{what}: {outcome:?}");
        assert!(outcome.error().contains(".aws/credentials"), "{outcome:?}");
    }
    let place = Place::new().credentials("x");
    fs::write(place.path(".aws/credentials"), b"[default]\xff").expect("a file");
    assert!(place.look().error().contains("is not UTF-8"));
}

#[test]
fn files_are_found_where_the_environment_says() {
    let keys = |id: &str| format!("aws_access_key_id={id}\naws_secret_access_key=B\n");
    let usual = || Place::new().credentials(&format!("[default]\n{}", keys("USUAL")));
    let other = usual().file("elsewhere/c", &format!("[default]\n{}[p]\n{}", keys("OTHER"), keys("P")));
    let other = other.set("WHERE", "elsewhere").set("AWS_SHARED_CREDENTIALS_FILE", "~/${WHERE}/c");
    assert_eq!(other.look().keys(), ("shared credentials file", "OTHER"));
    assert_eq!(other.set("AWS_PROFILE", "p").look().keys(), ("shared credentials file", "P"));
    let off = usual().set("AWS_SHARED_CREDENTIALS_FILE", "");
    let outcome = off.look();
    assert!(outcome.error().contains("switches the file off"), "{outcome:?}");
    assert_eq!(outcome.skipped.len(), 9, "every source is listed: {outcome:?}");
    let unknown = usual().set("AWS_PROFILE", "nobody").look();
    assert!(unknown.error().contains("names the profile \"nobody\""), "{unknown:?}");
}

/// A pipe to which nobody writes would keep whoever opens it waiting. (Nothing is fine, and often meant.)
#[cfg(unix)]
#[test]
fn a_pipe_is_refused_as_a_file() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        let place = Place::new().set(variable, &pipe);
        assert!(place.look().error().contains("it is a pipe"), "{variable}");
        let nothing = Place::new().set(variable, "/dev/null").look();
        assert!(!nothing.error().contains("pipe"), "{nothing:?}");
    }
    let place = Place::new().set("AWS_WEB_IDENTITY_TOKEN_FILE", &pipe).set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    assert!(place.look().error().contains("it is a pipe"));
}
