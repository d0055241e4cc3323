//! The search in a world that is made up, and the endpoints beside botocore's.

use std::process::Command;

use mongo_blocking_test_server::peers;

use super::played::Played;
use super::*;
use crate::auth::runner;
use crate::auth::tests::noise::Noise;

fn world(variables: &[(&str, &str)], config: &str, credentials: &str) -> Played {
    let mut world = Played::default();
    for (name, value) in variables {
        world.variables.insert((*name).to_owned(), (*value).to_owned());
    }
    world.files.insert("/home/.aws/config".into(), config.into());
    world.files.insert("/home/.aws/credentials".into(), credentials.into());
    world
}

fn found(world: &Played) -> (AwsSource, String, String, Option<String>) {
    let Found { keys, source, .. } =
        find(world, Look::Everywhere, Deadline::NEVER).unwrap_or_else(|error| panic!("{error}"));
    let token = keys.session_token.map(|token| token.expose().to_owned());
    (source, keys.access_key_id, keys.secret_access_key.expose().to_owned(), token)
}

#[test]
fn secrets_and_tokens_are_taken_as_they_stand() {
    let id = |text: &str| text.to_owned();
    let odd = "a/b+c=%41 #;é";
    let both = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", odd), ("AWS_SESSION_TOKEN", "%2B")];
    assert_eq!(found(&world(&both, "", "")), (AwsSource::Environment, id("A"), id(odd), Some(id("%2B"))));
    let older = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SECURITY_TOKEN", "old")];
    assert_eq!(found(&world(&older, "", "")).3, Some(id("old")));
    let file = format!("[default]\naws_access_key_id=A\naws_secret_access_key={odd}\naws_session_token = =%2B=\n");
    assert_eq!(found(&world(&[], "", &file)), (AwsSource::SharedCredentialsFile, id("A"), id(odd), Some(id("=%2B="))));
    assert_eq!(found(&world(&[], &file, "")), (AwsSource::ConfigFile, id("A"), id(odd), Some(id("=%2B="))));
}

/// A refresh of fetched keys must not end in the keys of somebody who set the environment meanwhile.
#[test]
fn a_refresh_looks_past_the_environment() {
    let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
    let world = world(&keys, "[default]\naws_access_key_id=C\naws_secret_access_key=D\n", "");
    let Found { keys, skipped, .. } = find(&world, Look::PastEnvironment, Deadline::NEVER).unwrap();
    assert_eq!(keys.access_key_id, "C");
    assert!(skipped[0].why.contains("refreshed by what fetches"), "{skipped:?}");
}

#[test]
fn what_decides_is_part_of_the_identity() {
    let one = identity(&world(&[("AWS_PROFILE", "a"), ("AWS_ACCESS_KEY_ID", "A"), ("OTHER", "x")], "", ""));
    assert_eq!(one, [("AWS_PROFILE", "a".to_owned())]);
    assert_ne!(one, identity(&world(&[("AWS_PROFILE", "b")], "", "")));
}

#[test]
fn a_service_that_fails_is_no_failure_of_the_server() {
    let world = world(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/x")], "", "");
    let error = find(&world, Look::Everywhere, Deadline::NEVER).err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Authentication) && !error.is_network_error(), "{error}");
    assert!(error.message().contains("nobody answers"), "{error}");
    assert_eq!(world.services.asked.lock().unwrap().as_slice(), ["http://localhost/x"]);
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
        let world = world(variables, "", "");
        assert!(find(&world, Look::Everywhere, Deadline::NEVER).is_err(), "nobody answers");
        assert_eq!(world.services.asked.lock().unwrap().as_slice(), [expected], "{variables:?}");
    }
}

/// A role, and an identity center, in one region or another.
const ROLE: &str = "[default]\nrole_arn=r\nsource_profile=default\naws_access_key_id=A\naws_secret_access_key=B\n";

fn sts_url(variables: &[(&str, &str)], more: &str) -> String {
    let world = world(variables, &format!("{ROLE}{more}"), "");
    let _ = find(&world, Look::Everywhere, Deadline::NEVER); // nobody answers
    let asked = world.services.asked.lock().unwrap();
    asked.first().cloned().unwrap_or_default()
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
        let mut world = world(&variants, &config, "");
        let login = br#"{"accessToken":"t","expiresAt":"2099-01-01T00:00:00Z"}"#.to_vec();
        world.files.insert("/home/.aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json".into(), login);
        let _ = find(&world, Look::Everywhere, Deadline::NEVER); // nobody answers
        let asked = world.services.asked.lock().unwrap();
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
        let ended = runner::run(&arguments, most, Deadline::after(std::time::Duration::from_millis(limit)));
        (ended, began.elapsed())
    };
    let (ended, _) = run(&["printf", "%s", "1234"], 4, 5000);
    assert!(matches!(ended, Ok(runner::Ended::Well(output)) if *output == b"1234"));
    assert!(matches!(run(&["printf", "%s", "12345"], 4, 5000).0, Ok(runner::Ended::TooLong)));
    assert!(matches!(run(&["false"], 4, 5000).0, Ok(runner::Ended::Badly(_))));
    assert!(run(&["/no/such/program"], 4, 5000).0.is_err() && run(&[], 4, 5000).0.is_err());
    // One that prints nothing, and one that has closed its output and stays.
    for program in [&["sleep", "30"][..], &["sh", "-c", "exec sleep 30 >&-"]] {
        let (ended, took) = run(program, 4, 200);
        assert!(matches!(ended, Ok(runner::Ended::Late)) && took.as_secs() < 5, "{took:?}");
    }
}

/// The fuzz target's property, on data that is spoilt by chance.
#[test]
fn spoilt_worlds_panic_nothing_and_leak_nothing() {
    let mut noise = Noise(5);
    let seeds: [&[u8]; 3] = [
        b"\x01\x00[profile p]\nrole_arn=r\nsource_profile=p\n%[p]\naws_access_key_id=A\naws_secret_access_key=hunter2-hunter2\n%<AssumeRoleResponse/>",
        b"\x02\x00[default]\n%%{\"AssumeRoleWithWebIdentityResponse\":{\"AssumeRoleWithWebIdentityResult\":{}}}",
        b"\x08\x40[default]\nsso_start_url=u\nsso_region=x\nsso_account_id=1\nsso_role_name=r\n%%{\"roleCredentials\":{}}",
    ];
    for seed in seeds {
        played::search(seed);
        for _ in 0..300 {
            played::search(&noise.spoil(seed));
        }
    }
}
