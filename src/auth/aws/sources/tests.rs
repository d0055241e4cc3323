//! The search in a system that is made up, and the endpoints beside botocore's.

use std::process::Command;

use mongo_blocking_test_server::peers;

use super::*;
use crate::process;
use crate::system::{ScriptedServices, TestSystem};

fn system(variables: &[(&str, &str)], config: &str, credentials: &str) -> TestSystem {
    let system = TestSystem {
        home: Some("/home".into()),
        http: ScriptedServices::new([]),
        ..TestSystem::with_variables(variables.iter().copied())
    };
    system.set_file("/home/.aws/config", config);
    system.set_file("/home/.aws/credentials", credentials);
    system
}

/// A search that finds nothing, because no service answers, and what was asked meanwhile.
fn search_in_vain(mut system: TestSystem) -> (Error, Vec<String>) {
    let services = ScriptedServices::new([]);
    system.http = services.clone();
    let error = find(&system, SearchScope::Everywhere, Deadline::NEVER).err().expect("no service answers");
    (error, services.asked())
}

fn found(system: &TestSystem) -> (AwsSource, String, String, Option<String>) {
    let Found { keys, source, .. } =
        find(system, SearchScope::Everywhere, Deadline::NEVER).unwrap_or_else(|error| panic!("{error}"));
    let token = keys.session_token.map(|token| token.expose().to_owned());
    (source, keys.access_key_id, keys.secret_access_key.expose().to_owned(), token)
}

#[test]
fn secrets_and_tokens_are_taken_as_they_stand() {
    let id = |text: &str| text.to_owned();
    let odd = "a/b+c=%41 #;é";
    let both = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", odd), ("AWS_SESSION_TOKEN", "%2B")];
    assert_eq!(found(&system(&both, "", "")), (AwsSource::Environment, id("A"), id(odd), Some(id("%2B"))));
    let older = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SECURITY_TOKEN", "old")];
    assert_eq!(found(&system(&older, "", "")).3, Some(id("old")));
    let file = format!("[default]\naws_access_key_id=A\naws_secret_access_key={odd}\naws_session_token = =%2B=\n");
    assert_eq!(found(&system(&[], "", &file)), (AwsSource::SharedCredentialsFile, id("A"), id(odd), Some(id("=%2B="))));
    assert_eq!(found(&system(&[], &file, "")), (AwsSource::ConfigFile, id("A"), id(odd), Some(id("=%2B="))));
}

/// A refresh of fetched keys must not end in the keys of somebody who set the environment meanwhile.
#[test]
fn a_refresh_looks_past_the_environment() {
    let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
    let system = system(&keys, "[default]\naws_access_key_id=C\naws_secret_access_key=D\n", "");
    let Found { keys, skipped, .. } = find(&system, SearchScope::SkipEnvironment, Deadline::NEVER).unwrap();
    assert_eq!(keys.access_key_id, "C");
    assert!(skipped[0].why.contains("refreshed from their source"), "{skipped:?}");
}

#[test]
fn what_decides_is_part_of_the_identity() {
    let one = identity(&system(&[("AWS_PROFILE", "a"), ("AWS_ACCESS_KEY_ID", "A"), ("OTHER", "x")], "", ""));
    assert_eq!(one, [("AWS_PROFILE", "a".to_owned())]);
    assert_ne!(one, identity(&system(&[("AWS_PROFILE", "b")], "", "")));
}

#[test]
fn a_service_that_fails_is_no_failure_of_the_server() {
    let system = system(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/x")], "", "");
    let (error, asked) = search_in_vain(system);
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }) && !error.is_network_error(), "{error}");
    assert!(error.message().contains("no service answers"), "{error}");
    assert_eq!(asked, ["http://localhost/x"]);
}

#[test]
fn metadata_services_are_asked_where_aws_has_them() {
    let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    let ecs = |path| [(relative, path), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/no")];
    let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    let endpoint = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://localhost:1338/");
    for (variables, expected) in [
        (&ecs("/v2/credentials/x?y=1")[..], "http://169.254.170.2/v2/credentials/x?y=1"),
        (&ecs("v2/x"), "http://169.254.170.2/v2/x"),
        (&ecs("//evil.example.com/x"), "http://169.254.170.2/evil.example.com/x"),
        (&ecs("@evil.example.com/x"), "http://169.254.170.2/@evil.example.com/x"),
        (&[], "http://169.254.169.254/latest/api/token"),
        (&[(mode, "IPv4")], "http://169.254.169.254/latest/api/token"),
        (&[(mode, "IPv6")], "http://[fd00:ec2::254]/latest/api/token"),
        (&[(mode, "IPv6"), endpoint], "http://localhost:1338/latest/api/token"),
    ] {
        let system = system(variables, "", "");
        assert_eq!(search_in_vain(system).1, [expected], "{variables:?}");
    }
}

/// A role, and an identity center, in one region or another.
const ROLE: &str = "[default]\nrole_arn=r\nsource_profile=default\naws_access_key_id=A\naws_secret_access_key=B\n";

fn sts_url(variables: &[(&str, &str)], more: &str) -> String {
    let system = system(variables, &format!("{ROLE}{more}"), "");
    search_in_vain(system).1.first().cloned().unwrap_or_default()
}

#[test]
fn sts_is_asked_where_the_region_says() {
    let global = "https://sts.amazonaws.com/";
    for (variables, more, expected) in [
        (&[][..], "", global),
        (&[("AWS_REGION", "eu-west-1")], "", "https://sts.eu-west-1.amazonaws.com/"),
        (&[("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "x")], "", "https://sts.eu-west-1.amazonaws.com/"),
        (&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-2")], "", "https://sts.us-east-2.amazonaws.com/"),
        (&[], "region = ap-south-1", "https://sts.ap-south-1.amazonaws.com/"),
        (&[("AWS_REGION", "eu-west-1"), ("AWS_STS_REGIONAL_ENDPOINTS", "legacy")], "", global),
        (&[("AWS_REGION", "eu-west-1")], "sts_regional_endpoints = legacy", global),
        (
            &[("AWS_REGION", "eu-west-1"), ("AWS_STS_REGIONAL_ENDPOINTS", "regional")],
            "sts_regional_endpoints = legacy",
            "https://sts.eu-west-1.amazonaws.com/",
        ),
        (
            &[("AWS_REGION", "me-south-1"), ("AWS_STS_REGIONAL_ENDPOINTS", "legacy")],
            "",
            "https://sts.me-south-1.amazonaws.com/",
        ),
        (&[("AWS_REGION", "cn-north-1")], "", "https://sts.cn-north-1.amazonaws.com.cn/"),
        (&[("AWS_REGION", "us-gov-west-1")], "", "https://sts.us-gov-west-1.amazonaws.com/"),
        (&[("AWS_REGION", "us-iso-east-1")], "", "https://sts.us-iso-east-1.c2s.ic.gov/"),
        (&[("AWS_REGION", "aws-global")], "", global),
        (&[], "endpoint_url = https://vpce/sts/", "https://vpce/sts/"),
        (&[("AWS_ENDPOINT_URL", "https://all")], "endpoint_url = https://vpce", "https://all/"),
        (&[("AWS_ENDPOINT_URL", "https://all"), ("AWS_ENDPOINT_URL_STS", "https://own:8443")], "", "https://own:8443/"),
        (&[("AWS_ENDPOINT_URL", "https://all"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")], "", global),
        (
            &[],
            "services = s\nendpoint_url = https://all\n[services s]\nsts =\n  endpoint_url = https://own\n",
            "https://own/",
        ),
        (
            &[],
            "services = s\nendpoint_url = https://all\n[services s]\ns3 =\n  endpoint_url = https://s3\n",
            "https://all/",
        ),
        (&[], "services = nowhere\n", ""),
        (&[("AWS_USE_FIPS_ENDPOINT", "true")], "", ""), // without a region
        (&[("AWS_USE_FIPS_ENDPOINT", "no")], "", global),
        (&[("AWS_REGION", "eu-west-1")], "use_fips_endpoint = True\n", "https://sts-fips.eu-west-1.amazonaws.com/"),
        (
            &[("AWS_REGION", "eu-west-1"), ("AWS_USE_FIPS_ENDPOINT", "false")],
            "use_fips_endpoint = true\nuse_dualstack_endpoint = true\n",
            "https://sts.eu-west-1.api.aws/",
        ),
    ] {
        assert_eq!(sts_url(variables, more), expected, "{variables:?} {more}");
    }
}

/// Every region that botocore knows, of every partition, with both settings, FIPS and dual stack: the same hosts.
#[test]
fn botocore_asks_the_same_hosts() {
    let Some(python) = peers::aws_python() else { return };
    let theirs = peers::run(Command::new(python).arg(peers::script("botocore_endpoints.py")));
    assert!(theirs.len() > 240, "{theirs:?}");
    let mut compared = 0;
    for line in theirs {
        let words: Vec<&str> = line.split(' ').collect();
        let [region, setting, fips, dual_stack, sts, portal] = words[..] else { panic!("{line}") };
        let variants = [("AWS_USE_FIPS_ENDPOINT", fips), ("AWS_USE_DUALSTACK_ENDPOINT", dual_stack)];
        let variables = [&variants[..], &[("AWS_REGION", region), ("AWS_STS_REGIONAL_ENDPOINTS", setting)]].concat();
        let slash = |url: &str| if url == "none" { String::new() } else { format!("{url}/") };
        assert_eq!(sts_url(&variables, ""), slash(sts), "{line}");
        let config = format!("[default]\nsso_start_url=u\nsso_region={region}\nsso_account_id=1\nsso_role_name=r\n");
        let system = system(&variants, &config, "");
        let login = br#"{"accessToken":"t","expiresAt":"2099-01-01T00:00:00Z"}"#.to_vec();
        system.set_file("/home/.aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json", login);
        let (_, asked) = search_in_vain(system);
        let expected = format!("{portal}/federation/credentials?role_name=r&account_id=1");
        assert_eq!(asked.first(), Some(&expected).filter(|_| portal != "none"), "{line}");
        compared += 1;
    }
    println!("{compared} regions and settings");
}

#[test]
fn the_runner_keeps_its_limits() {
    let run = |arguments: &[&str], most, limit| {
        let arguments: Vec<_> =
            arguments.iter().map(|argument| zeroize::Zeroizing::new((*argument).to_owned())).collect();
        let began = std::time::Instant::now();
        let ended = process::run(&arguments, most, Deadline::after(std::time::Duration::from_millis(limit)));
        (ended, began.elapsed())
    };
    let (ended, _) = run(&["printf", "%s", "1234"], 4, 5000);
    assert!(matches!(ended, Ok(process::ProcessOutcome::Success(output)) if *output == b"1234"));
    assert!(matches!(run(&["printf", "%s", "12345"], 4, 5000).0, Ok(process::ProcessOutcome::OutputTooLong)));
    assert!(matches!(run(&["false"], 4, 5000).0, Ok(process::ProcessOutcome::Failed(_))));
    assert!(run(&["/no/such/program"], 4, 5000).0.is_err() && run(&[], 4, 5000).0.is_err());
    // One that prints nothing, and one that has closed its output and stays.
    for program in [&["sleep", "30"][..], &["sh", "-c", "exec sleep 30 >&-"]] {
        let (ended, took) = run(program, 4, 200);
        assert!(matches!(ended, Ok(process::ProcessOutcome::TimedOut)) && took.as_secs() < 5, "{took:?}");
    }
}
