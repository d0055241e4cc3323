//! Functions of the program's that misbehave, and many threads that need one.

use std::panic;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::oidc::OidcServer;

use super::{Calls, REAUTHENTICATE, client, fail, fake_server, find, idp, options, who};

#[test]
fn thirty_two_threads_at_once_cause_one_call() {
    let Some(idp) = idp() else { return };
    for human in [false, true] {
        let fake_server = Arc::new(fake_server(&OidcServer::trusting(idp)));
        let calls = Calls::default();
        let (counted, server) = (calls.clone(), fake_server.clone());
        let callback = move |_: &OidcCallbackContext| {
            counted.add();
            // Each thread says hello before it needs a token.
            assert!(server.wait_until(Duration::from_secs(20), |server| server.command_count() >= 32));
            Ok(IdpServerResponse::new(idp.token("test_user1")))
        };
        let options = options(&fake_server).max_connecting(32);
        let client = client(match human {
            false => options.oidc_callback(callback),
            true => options.oidc_human_callback(callback),
        });
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| find(&client).unwrap());
            }
        });
        assert_eq!(calls.count(), 1, "human: {human}");
    }
}

/// A callback that fails is called again by the next thread, but not at the same time, and not at once.
#[test]
fn calls_come_one_at_a_time_and_100_ms_apart() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let ends: &'static Mutex<Vec<Instant>> = Box::leak(Box::default());
    let running: &'static Mutex<()> = Box::leak(Box::default());
    let client = client(options(&fake_server).max_connecting(8).oidc_callback(|_: &OidcCallbackContext| {
        let _alone = running.try_lock().expect("one call at a time");
        let mut ends = ends.lock().unwrap();
        if let Some(last) = ends.last() {
            assert!(last.elapsed() >= Duration::from_millis(99), "{:?} after the last call", last.elapsed());
        }
        ends.push(Instant::now());
        Err("not now".into())
    }));
    // A thread that waits while another one learns that the server lets nobody in fails with that, without a call of its own.
    for _ in 0..20 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let error = find(&client).unwrap_err();
                    assert!(
                        error.message().contains("gave no token") && format!("{error:#}").contains("not now"),
                        "{error}"
                    );
                });
            }
        });
        if ends.lock().unwrap().len() >= 4 {
            return;
        }
    }
    panic!("{} calls in 20 rounds of four threads", ends.lock().unwrap().len());
}

#[test]
fn callback_errors_negative_expiry_and_long_tokens_are_reported() {
    let Some(idp) = idp() else { return };
    type Give = fn() -> Result<IdpServerResponse, &'static str>;
    let cases: [(Give, &str); 4] = [
        (|| Err("the vault is sealed"), "the OIDC callback gave no token"),
        (|| Ok(IdpServerResponse::new("SECRET").expires_in_seconds(-1)), "less than 0 seconds"),
        (|| Ok(IdpServerResponse::new("SECRET".repeat(10_000))), "more than 48 KiB"),
        (|| Ok(IdpServerResponse::new("")), "an empty access token"),
    ];
    for human in [false, true] {
        for (given, what) in cases {
            let fake_server = fake_server(&OidcServer::trusting(idp));
            let callback = move |_: &OidcCallbackContext| Ok(given()?);
            let client = client(match human {
                false => options(&fake_server).oidc_callback(callback),
                true => options(&fake_server).oidc_human_callback(callback),
            });
            let error = find(&client).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
            assert!(error.message().contains(what), "{error}");
            assert!(!format!("{error:?} {error:#}").contains("SECRET"), "{error}");
            assert_eq!(error.code(), None);
        }
    }
}

#[test]
fn a_panicking_callback_is_an_error_and_frees_its_connection() {
    let Some(idp) = idp() else { return };
    for human in [false, true] {
        let fake_server = fake_server(&OidcServer::trusting(idp));
        let calls = Calls::default();
        let counted = calls.clone();
        let callback = move |_: &OidcCallbackContext| match counted.add() {
            0..3 => panic::panic_any("hunter2"),
            _ => Ok(IdpServerResponse::new(idp.token("test_user1"))),
        };
        let options =
            options(&fake_server).max_pool_size(1).max_connecting(1).wait_queue_timeout(Duration::from_secs(5));
        let client = client(match human {
            false => options.oidc_callback(callback),
            true => options.oidc_human_callback(callback),
        });
        for _ in 0..3 {
            let error = find(&client).unwrap_err();
            assert!(error.message().contains("the OIDC callback panicked"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        find(&client).unwrap();
        assert_eq!(calls.count(), 4);
    }
}

/// The driver cannot end it, but others wait no longer than their own limit.
#[test]
fn waiting_for_a_slow_callback_ends_at_each_operations_own_limit() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (held, tell) = (Mutex::new(held), Mutex::new(tell));
    let client = client(options(&fake_server).max_connecting(8).timeout(Duration::from_millis(700)).oidc_callback(
        move |_: &OidcCallbackContext| {
            tell.lock().unwrap().send(()).unwrap();
            let _ = held.lock().unwrap().recv();
            Ok(IdpServerResponse::new(idp.token("test_user1")))
        },
    ));
    thread::scope(|scope| {
        let stuck = scope.spawn(|| find(&client));
        told.recv().unwrap();
        let began = Instant::now();
        let error = find(&client).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error}");
        assert!(error.message().contains("another thread's callback gave no token within timeoutMS"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(hold);
        // Its own time is over, too; but the token is kept for the next.
        stuck.join().unwrap().unwrap_err();
    });
    find(&client).unwrap();
}

/// People take longer than a connection may take to be made.
#[test]
fn a_person_takes_longer_than_a_connection() {
    let Some(idp) = idp() else { return };
    for more in [
        "connectTimeoutMS=300",
        "connectTimeoutMS=300&socketTimeoutMS=300",
        "serverSelectionTimeoutMS=300",
        "timeoutMS=60000&serverSelectionTimeoutMS=300&connectTimeoutMS=300",
    ] {
        let server = OidcServer::trusting(idp);
        let fake_server = fake_server(&server);
        let options = ClientOptions::builder().uri(format!("mongodb://{}/?{more}", fake_server.address()));
        let client =
            client(options.auth_mechanism("MONGODB-OIDC").oidc_human_callback(move |context: &OidcCallbackContext| {
                assert!(context.timeout > Duration::from_secs(290), "{:?}", context.timeout);
                thread::sleep(Duration::from_millis(600));
                Ok(IdpServerResponse::new(idp.token("test_user1")))
            }));
        assert_eq!(who(&client).unwrap(), "test_user1@$external", "{more}");
        assert_eq!(fake_server.connections(), 1, "{more}");
    }
}

/// Nor does a person hurry because an operation does. That one fails; what came of it is there for the next.
#[test]
fn a_person_takes_longer_than_an_operation() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let calls = Calls::default();
    let counted = calls.clone();
    let options = ClientOptions::builder().uri(format!("mongodb://{}/?timeoutMS=400", fake_server.address()));
    let client =
        client(options.auth_mechanism("MONGODB-OIDC").oidc_human_callback(move |context: &OidcCallbackContext| {
            assert!(context.timeout > Duration::from_secs(290), "{:?}", context.timeout);
            counted.add();
            thread::sleep(Duration::from_millis(600));
            Ok(IdpServerResponse::new(idp.token("test_user1")))
        }));
    let error = find(&client).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }) && error.message().contains("timeoutMS"), "{error:?}");
    find(&client).unwrap();
    assert_eq!((calls.count(), fake_server.logins(), fake_server.connections()), (1, 1, 1));
    // The same where a login in use runs out.
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    find(&client).unwrap_err();
    find(&client).unwrap();
    assert_eq!((calls.count(), fake_server.connections()), (2, 1));
}

/// Who has said no is not asked once for each thread that waited. A service is: its next call may go well.
#[test]
fn a_person_who_gives_up_is_not_asked_for_each_waiting_thread() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).max_connecting(8).oidc_human_callback(move |_: &OidcCallbackContext| {
        if counted.add() == 0 {
            thread::sleep(Duration::from_millis(500)); // time for the others to come
            return Err("nobody is there".into());
        }
        Ok(IdpServerResponse::new(idp.token("test_user1")))
    }));
    let errors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let outcome = find(&client);
                errors.lock().unwrap().extend(outcome.err().map(|error| format!("{error:#}")));
            });
        }
    });
    let errors = errors.into_inner().unwrap();
    assert!(errors.iter().filter(|error| error.contains("nobody is there")).count() == 1, "{errors:?}");
    let waited = errors.iter().filter(|error| error.contains("called for another connection meanwhile")).count();
    assert!(waited >= 1 && waited + 1 == errors.len(), "{errors:?}");
    // Who came later asks anew, as everybody may from now on.
    find(&client).unwrap();
    assert_eq!(calls.count(), 2);
}

/// A callback cannot be ended, but nobody has to wait for it any longer.
#[test]
fn closing_ends_the_wait_for_another_threads_token() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        counted.add();
        let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(20));
        Ok(IdpServerResponse::new(idp.token("test_user1")))
    }));
    thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| find(&client).unwrap_err()));
        assert!(fake_server.wait_until(Duration::from_secs(10), |fake_server| fake_server.open_connections() == 2));
        assert!(fake_server.wait_until(Duration::from_secs(10), |fake_server| fake_server.command_count() == 2));
        client.clone().close();
        // One of the two is in the callback, and the other is free.
        while !both.iter().any(|thread| thread.is_finished()) {
            thread::sleep(Duration::from_millis(2));
        }
        let waits = both.iter().filter(|thread| !thread.is_finished()).count();
        release.send(()).unwrap();
        let errors = both.map(|thread| thread.join().unwrap());
        assert!(errors.iter().any(|error| matches!(error.kind(), ErrorKind::Shutdown)), "{errors:?}");
        assert_eq!((calls.count(), waits), (1, 1), "{errors:?}");
    });
}
