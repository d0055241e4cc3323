//! Which AWS keys a login with MONGODB-AWS would use here, and why: every source that is looked at, in order.
//!
//! ```text
//! cargo run --example aws_sources
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use mongo_blocking::{AwsSearchFailed, aws_source_report};

fn main() -> ExitCode {
    match aws_source_report(Duration::from_secs(30)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error:#}");
            // What was passed over on the way is there as data, too.
            let search = error.source().and_then(|source| source.downcast_ref::<AwsSearchFailed>());
            for skipped in search.iter().flat_map(|search| &search.skipped) {
                println!("skipped {skipped}");
            }
            ExitCode::FAILURE
        }
    }
}
