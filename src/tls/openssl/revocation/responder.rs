//! Asks the OCSP responders that a certificate names. Plain HTTP is enough, because an answer is signed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::answer::MAX_ANSWER;
use crate::deadline::Deadline;
use crate::http::{Http, Method, Request};

/// The answer of a responder, or why there is none.
pub(super) struct ResponderReply {
    pub(super) url: String,
    pub(super) answer: Result<Vec<u8>, String>,
}

/// Whether this responder can be asked.
pub(super) fn is_askable(url: &str) -> bool {
    url.len() <= MAX_URL && url.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Until when answers are waited for: half of the time that is left. The rest is for the connection, so that it does not fail
/// because of a silent responder.
pub(super) fn limit(deadline: Deadline) -> Deadline {
    let half = deadline.remaining().map_or(LONGEST, |left| left / 2);
    // Zero would mean no limit.
    Deadline::after(half.clamp(Duration::from_nanos(1), LONGEST)).named("the limit of asking an OCSP responder")
}

/// Asks the first [`MAX_RESPONDERS`] of them at the same time, and returns the answers in the order in which they arrive. The
/// iterator may be dropped early; each thread ends at the limit at the latest.
pub(super) fn ask(
    http: &Arc<dyn Http>,
    urls: Vec<String>,
    request: &[u8],
    limit: Deadline,
) -> Box<dyn Iterator<Item = ResponderReply>> {
    let mut urls: Vec<String> = urls.into_iter().take(MAX_RESPONDERS).collect();
    if urls.len() == 1 {
        let answers: Vec<ResponderReply> = urls.drain(..).map(|url| ask_one(&**http, url, request, limit)).collect();
        return Box::new(answers.into_iter());
    }
    let (send, receive) = mpsc::channel();
    for url in urls {
        let (send, request, http) = (send.clone(), request.to_vec(), http.clone());
        // If the system has no thread, this responder is not asked.
        let _ = thread::Builder::new().name("mongo-ocsp".to_owned()).spawn(move || {
            let _ = send.send(ask_one(&*http, url, &request, limit));
        });
    }
    Box::new(Arrivals { receive, limit })
}

struct Arrivals {
    receive: Receiver<ResponderReply>,
    limit: Deadline,
}

impl Iterator for Arrivals {
    type Item = ResponderReply;

    fn next(&mut self) -> Option<ResponderReply> {
        self.receive.recv_timeout(self.limit.remaining()?).ok()
    }
}

fn ask_one(http: &dyn Http, url: String, request: &[u8], limit: Deadline) -> ResponderReply {
    let asked = http.send(&Request {
        method: Method::Post,
        url: &url,
        headers: &[("content-type", "application/ocsp-request"), ("accept", "application/ocsp-response")],
        body: request,
        deadline: limit,
        max_body: MAX_ANSWER,
    });
    let answer = match asked {
        Ok(answer) if answer.status == 200 => Ok(answer.body.to_vec()),
        Ok(answer) if (300..400).contains(&answer.status) => {
            Err(format!("it redirects (HTTP status {}), which is not followed", answer.status))
        }
        Ok(answer) => Err(format!("HTTP status {}", answer.status)),
        Err(error) => Err(error.message().to_owned()),
    };
    ResponderReply { url, answer }
}

/// The most time for all responders together.
const LONGEST: Duration = Duration::from_secs(5);
/// A certificate names one responder, rarely two.
const MAX_RESPONDERS: usize = 4;
const MAX_URL: usize = 2048;
/// Over https the responder's certificate would have to be asked about first.
const SCHEME: &str = "http://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_left_and_no_more_than_five_seconds() {
        let seconds = |deadline| limit(deadline).remaining().unwrap().as_secs_f64().ceil();
        assert_eq!(seconds(Deadline::NEVER), 5.0);
        assert_eq!(seconds(Deadline::after(Duration::from_secs(60))), 5.0);
        assert_eq!(seconds(Deadline::after(Duration::from_secs(4))), 2.0);
        assert!(limit(Deadline::after(Duration::from_nanos(1))).instant().is_some());
    }

    #[test]
    fn only_plain_http() {
        for (url, askable) in [
            ("http://ocsp.example/", true),
            ("HTTP://ocsp.example", true),
            ("https://ocsp.example/", false),
            ("ldap://ocsp.example/", false),
            ("file:///etc/passwd", false),
            ("", false),
            (&format!("http://{}", "a".repeat(MAX_URL)), false),
        ] {
            assert_eq!(is_askable(url), askable, "{url}");
        }
    }
}
