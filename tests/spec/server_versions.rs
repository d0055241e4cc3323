//! The common CRUD fixtures on each older version of MongoDB that the driver supports. (On 6.0 folders.rs runs them.)

use mongo_blocking_test_server::peers::Mongod;

use crate::unified;

#[test]
fn mongodb_4_2_fixtures() {
    fixtures("4.2");
}

#[test]
fn mongodb_4_4_fixtures() {
    fixtures("4.4");
}

#[test]
fn mongodb_5_0_fixtures() {
    fixtures("5.0");
}

fn fixtures(version: &str) {
    let Some(mongod) = Mongod::shared(version) else { return };
    unified::run_all_on("crud/tests/unified", 159, mongod);
}
