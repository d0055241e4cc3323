mod prose;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

#[cfg(unix)]
use mongo_blocking_test_server::child;

use super::*;
#[cfg(unix)]
use crate::fork::tests::{become_child, without_waiting};
use crate::system::TestSystem;

const KEY: Key = Key([1; 32]);

/// Keys that expire an hour from now, by number.
fn found(number: usize, system: &TestSystem) -> Result<Found> {
    let keys = AwsKeys::new(format!("AKIA{number}"), "secret").expires(system.now() + HOUR);
    Ok(Found { keys, source: AwsSource::Container, skipped: Vec::new() })
}

fn failure() -> Error {
    let search = AwsSearchFailed { failed: Some(AwsSource::Container), skipped: Vec::new() };
    Error::new(FaultKind::Io, Stage::Http, "the endpoint is gone").with_hint("look at it").with_source(search)
}

fn get(cache: &Cache, system: &TestSystem, fetch: &Fetcher<'_>) -> Result<Arc<CachedKeys>> {
    cache.keys(KEY, system, Deadline::after(Duration::from_secs(10)), fetch)
}

fn id(held: &CachedKeys) -> &str {
    &held.keys.access_key_id
}

#[test]
fn kept_keys_are_used_until_five_minutes_before_they_expire() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    let looks = Mutex::new(Vec::new());
    let fetch = |look| {
        looks.lock().unwrap().push(look);
        found(looks.lock().unwrap().len(), &system)
    };
    let get = || get(&cache, &system, &fetch).unwrap();
    assert_eq!((id(&get()), get().was_kept()), ("AKIA1", true));
    system.pass(HOUR - REFRESH_BEFORE - Duration::from_secs(1));
    assert_eq!(id(&get()), "AKIA1");
    system.pass(Duration::from_secs(1));
    let fresh = get();
    assert_eq!((id(&fresh), fresh.was_kept()), ("AKIA2", false));
    assert_eq!(id(&get()), "AKIA2");
    system.pass(2 * HOUR);
    assert_eq!(id(&get()), "AKIA3");
    // What was kept is refreshed from what fetches, not from keys that stand in the environment by now.
    assert_eq!(
        *looks.lock().unwrap(),
        [SearchScope::Everywhere, SearchScope::SkipEnvironment, SearchScope::SkipEnvironment]
    );
}

#[test]
fn keys_that_do_not_expire_are_looked_for_each_time() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    let calls = AtomicUsize::new(0);
    let fetch = |look| {
        assert_eq!(look, SearchScope::Everywhere);
        calls.fetch_add(1, Ordering::SeqCst);
        Ok(Found { keys: AwsKeys::new("AKIA", "secret"), source: AwsSource::Environment, skipped: Vec::new() })
    };
    for number in 1..=3 {
        assert!(!get(&cache, &system, &fetch).unwrap().was_kept());
        assert_eq!(calls.load(Ordering::SeqCst), number);
    }
}

#[test]
fn a_refresh_that_fails_leaves_keys_that_are_still_valid() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    get(&cache, &system, &|_| found(1, &system)).unwrap();
    system.pass(HOUR - Duration::from_secs(60));
    let calls = AtomicUsize::new(0);
    let failing = |_| {
        calls.fetch_add(1, Ordering::SeqCst);
        Err(failure())
    };
    for _ in 0..3 {
        assert_eq!(id(&get(&cache, &system, &failing).unwrap()), "AKIA1");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1, "not tried again at once");
    system.pass(REFRESH_PAUSE);
    assert_eq!(id(&get(&cache, &system, &failing).unwrap()), "AKIA1");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // Once they have expired the failure counts, and everything is looked at the next time.
    system.pass(Duration::from_secs(60));
    let error = get(&cache, &system, &failing).unwrap_err();
    assert!(error.message().contains("endpoint is gone"), "{error}");
    let fetch = |look| {
        assert_eq!(look, SearchScope::Everywhere);
        found(2, &system)
    };
    assert_eq!(id(&get(&cache, &system, &fetch).unwrap()), "AKIA2");
}

#[test]
fn refused_keys_are_dropped_and_newer_ones_are_not() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    let old = get(&cache, &system, &|_| found(1, &system)).unwrap();
    cache.drop_keys(KEY, &old);
    let fetch = |look| {
        assert_eq!(look, SearchScope::Everywhere);
        found(2, &system)
    };
    assert_eq!(id(&get(&cache, &system, &fetch).unwrap()), "AKIA2");
    cache.drop_keys(KEY, &old);
    assert_eq!(id(&get(&cache, &system, &|_| found(3, &system)).unwrap()), "AKIA2");
}

/// One thread fetches; the others wait if they have nothing, and go on with the old keys if they have.
#[test]
fn one_fetch_at_a_time_and_no_lock_meanwhile() {
    for expired in [true, false] {
        let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
        get(&cache, &system, &|_| found(1, &system)).unwrap();
        system.pass(if expired { HOUR } else { HOUR - Duration::from_secs(60) });
        let (begun, begins) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let (begun, gone) = (Mutex::new(begun), Mutex::new(gone));
        let calls = AtomicUsize::new(0);
        let slow = |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            begun.lock().unwrap().send(()).unwrap();
            gone.lock().unwrap().recv().unwrap();
            found(2, &system)
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| get(&cache, &system, &slow).unwrap());
            begins.recv().unwrap();
            // Other keys are free meanwhile.
            let other = cache.keys(Key([2; 32]), &system, Deadline::NEVER, &|_| found(9, &system)).unwrap();
            assert_eq!(id(&other), "AKIA9");
            if expired {
                let late =
                    cache.keys(KEY, &system, Deadline::after(Duration::from_millis(50)).named("timeoutMS"), &slow);
                let error = late.unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::Timeout { .. }) && error.message().contains("timeoutMS"),
                    "{error}"
                );
            }
            let others: Vec<_> = (0..8).map(|_| scope.spawn(|| get(&cache, &system, &slow).unwrap())).collect();
            if !expired {
                for other in others {
                    assert_eq!(id(&other.join().unwrap()), "AKIA1");
                }
                go.send(()).unwrap();
            } else {
                go.send(()).unwrap();
                for other in others {
                    assert_eq!(id(&other.join().unwrap()), "AKIA2");
                }
            }
            assert_eq!(id(&first.join().unwrap()), "AKIA2");
        });
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn those_who_wait_get_the_failure_and_a_panic_strands_nobody() {
    for panics in [false, true] {
        let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
        let (begun, begins) = mpsc::channel();
        let waiting = AtomicUsize::new(0);
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    get(&cache, &system, &|_| {
                        begun.send(()).unwrap();
                        while waiting.load(Ordering::SeqCst) == 0 || cache.lock()[&KEY].fetches.waiters() == 0 {
                            thread::yield_now();
                        }
                        assert!(!panics, "on purpose");
                        Err(failure())
                    })
                }))
            });
            begins.recv().unwrap();
            let second = scope.spawn(|| {
                waiting.fetch_add(1, Ordering::SeqCst);
                get(&cache, &system, &|_| panic!("another fetches"))
            });
            let error = second.join().unwrap().unwrap_err();
            assert_eq!(first.join().unwrap().is_err(), panics);
            if panics {
                assert!(error.message().contains("panicked"), "{error}");
            } else {
                assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
                assert_eq!((error.message(), error.hint()), ("the endpoint is gone", Some("look at it")));
                let search =
                    std::error::Error::source(&error).and_then(|search| search.downcast_ref::<AwsSearchFailed>());
                assert_eq!(search.and_then(|search| search.failed), Some(AwsSource::Container));
            }
        });
        assert_eq!(id(&get(&cache, &system, &|_| found(2, &system)).unwrap()), "AKIA2");
    }
}

#[test]
fn a_child_process_waits_for_no_thread_of_its_parent() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    let stranded = Entry { fetches: SingleFlight::of_another_process(), ..Entry::default() };
    cache.lock().insert(KEY, stranded);
    assert_eq!(id(&get(&cache, &system, &|_| found(1, &system)).unwrap()), "AKIA1");
}

/// As a provider does that uses the client which waits for its keys.
#[test]
fn a_fetch_that_needs_its_own_keys_is_refused_at_once() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    let error = get(&cache, &system, &|_| {
        get(&cache, &system, &|_| found(1, &system)).map(|_| panic!("it would have waited for itself"))
    });
    let error = error.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
    assert!(error.message().contains("uses the client") && error.hint().is_some(), "{error}");
    assert_eq!(id(&get(&cache, &system, &|_| found(1, &system)).unwrap()), "AKIA1");
}

#[test]
fn the_number_of_kept_keys_is_bounded() {
    let (cache, system) = (Cache::default(), TestSystem::at(1_000_000));
    for number in 0..10 * MAX_ENTRIES {
        let mut key = KEY;
        key.0[..8].copy_from_slice(&number.to_le_bytes());
        cache.keys(key, &system, Deadline::NEVER, &|_| found(number, &system)).unwrap();
        assert!(cache.lock().len() <= MAX_ENTRIES);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(unix)]
#[test]
fn a_child_has_a_cache_of_its_own() {
    if !child::alone(module_path!(), "a_child_has_a_cache_of_its_own") {
        return;
    }
    let parents = Cache::of_this_process();
    let _held = parents.lock();
    become_child();
    let childs = without_waiting(|| {
        let childs = Cache::of_this_process();
        drop(childs.lock());
        childs
    });
    assert!(!Arc::ptr_eq(&childs, &parents));
}
