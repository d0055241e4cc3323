//! URI Options: the values of options, and which exclude one another.

use mongo_blocking::options::ClientSettings;
use serde_json::Value;

use crate::options::{Judgement, each_case, same_options, same_warning};
use mongo_blocking_test_server::report::Report;

pub fn run(report: &mut Report) {
    each_case(report, |_, case| Judgement::Run(judge(case)));
}

fn judge(case: &Value) -> Result<(), String> {
    let uri = case["uri"].as_str().expect("a case has a URI");
    match (ClientSettings::parse(uri), case["valid"].as_bool().expect("a case is valid or not")) {
        (Ok(options), true) => {
            same_warning(case, &options)?;
            same_options(&case["options"], &options)
        }
        (Err(_), false) => Ok(()),
        (Ok(_), false) => Err("it was accepted".to_owned()),
        (Err(error), true) => Err(format!("{error:#}")),
    }
}
