//! The order of the sources: many set at once, and boto3, given the same files and the same environment, picks the same keys.

use std::io::Write;
use std::process::Stdio;

use mongo_blocking_test_server::http::{HttpStub, Reply, Seen};

use super::*;

/// What boto3 calls each source, and we.
const NAMES: [(&str, &str); 9] = [
    ("env", "environment"),
    ("assume-role", "AssumeRole by a profile"),
    ("assume-role-with-web-identity", "web identity"),
    ("sso", "IAM Identity Center"),
    ("shared-credentials-file", "shared credentials file"),
    ("custom-process", "credential_process"),
    ("config-file", "config file"),
    ("container-role", "container endpoint"),
    ("iam-role", "EC2 metadata service"),
];

/// Each switches one source on. Those of a profile add lines to one of the files.
const SWITCHES: [&str; 12] = [
    "environment",
    "role",
    "role of the environment",
    "web identity",
    "web identity in the profile",
    "sso",
    "credentials",
    "process",
    "process in credentials",
    "config",
    "container",
    "ec2",
];

#[test]
fn boto3_picks_the_same_keys() {
    let Some(python) = peers::aws_python() else { return };
    let services = HttpStub::start(service);
    let mut noise = Noise(20_261_123);
    let mut cases: Vec<(String, Place)> = Vec::new();
    for subset in subsets(&mut noise) {
        let profile = ["", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"][noise.below(3)];
        cases.push((format!("{subset:?} {profile}"), place(&subset, profile, &services)));
    }
    for index in 0..SPOILT_FILES {
        let place = Place::new().set("AWS_PROFILE", "p");
        let header = ["[p]", "[profile p]", "[profile 'p']"][index % 3];
        let text = spoilt_file(&mut noise, header);
        let place = if header == "[p]" { place.credentials(&text) } else { place.config(&text) };
        cases.push((format!("{text:?}"), place));
    }
    let verdicts = ask_boto3(&python, cases.iter().map(|(_, place)| place));
    let (mut rows, mut wrong) = (std::collections::BTreeMap::<String, usize>::new(), Vec::new());
    for ((what, place), verdict) in cases.iter().zip(verdicts) {
        let ours = place.look();
        let theirs = match verdict.split_once(' ') {
            Some(("error", _)) | None => "no keys".to_owned(),
            Some((method, id)) => {
                let name = NAMES.iter().find(|(name, _)| *name == method).map_or(method, |(_, name)| name);
                format!("{name} {id}")
            }
        };
        let seen = ours.source.as_ref().map_or("no keys".to_owned(), |source| format!("{source} {}", ours.id));
        *rows.entry(theirs.clone()).or_default() += 1;
        // An id with a line feed in it can be in no header; boto3 notices that later.
        let alike = match theirs.contains("\\n") {
            true => seen == "no keys" && ours.error().contains("a line feed in it"),
            false => seen == theirs,
        };
        if !alike {
            wrong.push(format!("{what}: boto3 {verdict}, we {seen} ({:?})", ours.source));
        }
    }
    let rows: Vec<String> = rows.iter().map(|(picked, count)| format!("{count:>5}  {picked}")).collect();
    peers::report(&format!("AWS keys, {} cases, boto3 and we alike:\n{}", cases.len(), rows.join("\n")));
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Where we differ from boto3 on purpose.
#[test]
fn where_we_differ_from_boto3() {
    let Some(python) = peers::aws_python() else { return };
    let keys = |place: Place| place.set("AWS_ACCESS_KEY_ID", "AKID").set("AWS_SECRET_ACCESS_KEY", "S");
    let places = [
        // boto3 reads the files before it looks at the environment, whose keys need none of them.
        (keys(Place::new().config("broken")), "error", "environment"),
        (keys(Place::new().set("AWS_PROFILE", "nobody")), "error", "environment"),
        // Half a pair of keys is a mistake, not a reason to log in as somebody else.
        (
            Place::new()
                .credentials("[default]\naws_access_key_id=A\naws_secret_access_key=B\n")
                .set("AWS_SECRET_ACCESS_KEY", "S"),
            "shared-credentials-file",
            "AWS_ACCESS_KEY_ID is not",
        ),
        // An access key id that is empty is none.
        (
            Place::new().credentials("[default]\naws_access_key_id=\naws_secret_access_key=\n"),
            "shared-credentials-file",
            "nothing for",
        ),
    ];
    let verdicts = ask_boto3(&python, places.iter().map(|(place, ..)| place));
    for ((place, theirs, ours), verdict) in places.iter().zip(verdicts) {
        assert!(verdict.starts_with(theirs), "{verdict}");
        let outcome = place.look();
        assert!(outcome.source.as_ref().unwrap_or_else(|error| error).contains(ours), "{outcome:?}");
    }
}

/// Each source alone, each pair, and many more at once.
fn subsets(noise: &mut Noise) -> Vec<Vec<&'static str>> {
    let mut subsets = vec![vec![]];
    for (index, first) in SWITCHES.iter().enumerate() {
        subsets.push(vec![*first]);
        subsets.extend(SWITCHES[index + 1..].iter().map(|second| vec![*first, *second]));
    }
    for _ in 0..MANY_AT_ONCE {
        subsets.push(SWITCHES.iter().copied().filter(|_| noise.below(5) < 2).collect());
    }
    subsets
}

fn place(subset: &[&str], profile: &str, services: &HttpStub) -> Place {
    let mut place = Place::new()
        .set("AWS_ENDPOINT_URL_STS", &services.url("/sts"))
        .set("AWS_ENDPOINT_URL_SSO", &services.url("/sso"))
        .set("AWS_DEFAULT_REGION", "eu-west-1")
        .file("token", "a.web.token");
    // The SHA-1 of `u`.
    let login = r#"{"accessToken":"t","expiresAt":"2099-01-01T00:00:00Z"}"#;
    place = place.file(".aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json", login);
    let (token, program) = (place.path("token"), script(&place, "program", PROGRAM));
    let name = if profile.is_empty() { "default" } else { "p" };
    let (mut config, mut credentials) = match name {
        "p" => ("[profile p]\n".to_owned(), "[p]\n".to_owned()),
        _ => ("[default]\n".to_owned(), "[default]\n".to_owned()),
    };
    let after = "[profile base]\naws_access_key_id=AKIDBASE\naws_secret_access_key=S\n".to_owned();
    if !profile.is_empty() {
        place = place.set(profile, name);
    }
    for switch in subset {
        match *switch {
            "environment" => place = place.set("AWS_ACCESS_KEY_ID", "AKIDENV").set("AWS_SECRET_ACCESS_KEY", "S"),
            "role" => config += "role_arn = arn:aws:iam::1:role/of-a-profile\nsource_profile = base\n",
            // Without a token file it is nothing.
            "role of the environment" => place = place.set("AWS_ROLE_ARN", "arn:aws:iam::1:role/of-a-pod"),
            "web identity" => {
                place = place
                    .set("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
                    .set("AWS_ROLE_ARN", "arn:aws:iam::1:role/of-a-pod");
            }
            "web identity in the profile" => {
                config += &format!("web_identity_token_file = {token}\nrole_session_name = sn\n");
                if !subset.contains(&"role") {
                    config += "role_arn = arn:aws:iam::1:role/of-a-profile\n";
                }
            }
            "sso" => config += "sso_start_url=u\nsso_region=eu-west-1\nsso_account_id=1\nsso_role_name=r\n",
            "credentials" => credentials += "aws_access_key_id=AKIDSHARED\naws_secret_access_key=S\n",
            "process" => config += &format!("credential_process = '{program}' AKIDPROCESS\n"),
            "process in credentials" => credentials += &format!("credential_process = '{program}' AKIDOTHER\n"),
            "config" => config += "aws_access_key_id=AKIDCONFIG\naws_secret_access_key=S\n",
            "container" => place = place.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &services.url("/container")),
            "ec2" => {
                place = place.set("AWS_EC2_METADATA_DISABLED", "false");
                place = place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url("/ec2/"));
            }
            other => panic!("{other}"),
        }
    }
    place.config(&format!("{config}{after}")).credentials(&credentials)
}

/// STS, the portal, the endpoint of a container and the metadata service in one.
fn service(asked: &Seen) -> Reply {
    let json = |id: &str| {
        Reply::ok(format!(
            r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"S","Token":"T","Expiration":"{FAR}"}}"#
        ))
    };
    let text = asked.text();
    match asked.path() {
        "/sts" => {
            let field = |name: &str| {
                let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
                pairs.clone().find(|(own, _)| *own == name).map_or("", |(_, value)| value).to_owned()
            };
            let (action, role) = (field("Action"), field("RoleArn"));
            let role = role.rsplit("%2F").next().unwrap_or_default();
            let signed = asked.header("authorization").and_then(|header| header.split("Credential=").nth(1));
            let by = signed.and_then(|rest| rest.split('/').next()).unwrap_or("token");
            Reply::ok(format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><AssumedRoleUser><Arn>\
                 arn:aws:sts::123456789012:assumed-role/a/b</Arn><AssumedRoleId>x:y</AssumedRoleId></AssumedRoleUser><Credentials>\
                 <AccessKeyId>{role}-by-{by}</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>\
                 <Expiration>{FAR}</Expiration></Credentials></{action}Result></{action}Response>"
            ))
        }
        "/sso/federation/credentials" => Reply::ok(format!(
            r#"{{"roleCredentials":{{"accessKeyId":"ASIASSO","secretAccessKey":"S","sessionToken":"T","expiration":{FAR_SECONDS}000}}}}"#
        )),
        "/container" => json("ASIACONTAINER"),
        "/ec2/latest/api/token" => Reply::ok("token"),
        "/ec2/latest/meta-data/iam/security-credentials/" => Reply::ok("role"),
        "/ec2/latest/meta-data/iam/security-credentials/role" => json("ASIAEC2"),
        _ => Reply::status(404, ""),
    }
}

/// A section with keys, and among its lines some that may not belong there.
fn spoilt_file(noise: &mut Noise, header: &'static str) -> String {
    const IDS: [&str; 4] =
        ["aws_access_key_id = A1", "aws_access_key_id: A2", "AWS_ACCESS_KEY_ID=A3", "  aws_access_key_id = A4"];
    const SECRETS: [&str; 3] =
        ["aws_secret_access_key = B1", "aws_secret_access_key=B2 # c", "aws_secret_access_key =  B3 "];
    const OTHERS: [&str; 24] = [
        "[p]",
        "[profile p]",
        "[profile \"p\"]",
        "[ p ]",
        "[q] x",
        "[default]",
        "[DEFAULT]",
        "[x",
        "# [p]",
        "; x",
        "",
        "  # comment",
        "aws_access_key_id = A5",
        "  aws_session_token = T",
        " more",
        "\tmore = 1",
        "s3 =",
        "  nested = 1",
        "  no value",
        "= x",
        "no value",
        "a = [b]",
        "[a]b]",
        "aws_access_key_id",
    ];
    let mut lines = vec![header, IDS[noise.below(4)], SECRETS[noise.below(3)]];
    for _ in 0..noise.below(4) {
        lines.insert(noise.below(lines.len() + 1), OTHERS[noise.below(24)]);
    }
    lines.join(["\n", "\r\n"][noise.below(2)])
}

/// All cases in one process.
fn ask_boto3<'a>(python: &Path, places: impl Iterator<Item = &'a Place>) -> Vec<String> {
    let environments: Vec<std::collections::BTreeMap<_, _>> = places
        .map(|place| place.variables.iter().map(|(name, value)| (name, peers::unix_text(value))).collect())
        .collect();
    let mut child = Command::new(python)
        .arg(peers::script("boto3_sources.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("its input");
    let cases = serde_json::to_vec(&environments).expect("JSON");
    let writer = std::thread::spawn(move || stdin.write_all(&cases));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("a writer").expect("it reads all");
    assert!(output.status.success());
    let lines: Vec<String> = String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), environments.len());
    lines
}

/// A small generator with a fixed seed, so that a failure can be had again.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("small")
    }
}

const PROGRAM: &str = r#"echo "{\"Version\": 1, \"AccessKeyId\": \"$1\", \"SecretAccessKey\": \"S\"}""#;

const MANY_AT_ONCE: usize = 40;
const SPOILT_FILES: usize = 100;
