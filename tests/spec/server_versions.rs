//! The common fixtures of CRUD and of transactions on each older version of MongoDB that the driver supports. (On 6.0 folders.rs runs them.)

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

#[test]
fn mongodb_4_2_transactions() {
    transactions("4.2");
}

#[test]
fn mongodb_4_4_transactions() {
    transactions("4.4");
}

#[test]
fn mongodb_5_0_transactions() {
    transactions("5.0");
}

fn transactions(version: &'static str) {
    unified::run_all_on_set("transactions/tests/unified", 42, version);
    unified::run_all_on_set("transactions-convenient-api/tests/unified", 10, version);
}

fn fixtures(version: &str) {
    let Some(mongod) = Mongod::shared(version) else { return };
    unified::run_all_on("crud/tests/unified", 159, mongod);
}
