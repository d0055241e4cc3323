//! An error with its sources, as a report prints it that walks along them.

use std::error::Error;

/// What each level says, the error itself first.
///
/// # Panics
///
/// If a level repeats what one beneath it says: five words of it, in a row.
pub fn levels(error: &(dyn Error + 'static)) -> Vec<String> {
    let levels: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    for (place, above) in levels.iter().enumerate() {
        for beneath in levels.iter().skip(place + 1) {
            if let Some(words) = repeated(above, beneath) {
                panic!("said twice: {words:?} in {levels:#?}");
            }
        }
    }
    levels
}

fn repeated(above: &str, beneath: &str) -> Option<String> {
    let (above, beneath) = (words(above), words(beneath));
    beneath
        .windows(WORDS.min(beneath.len().max(1)))
        .find(|said| above.windows(said.len()).any(|words| words == *said))
        .map(|said| said.join(" "))
}

/// The words, without the stage and the server that a level begins with.
fn words(text: &str) -> Vec<String> {
    let own = match text.split_once("): ") {
        Some((start, rest)) if start.len() < 100 && start.matches('(').count() == 1 => rest,
        _ => text,
    };
    own.split_whitespace().map(|word| word.trim_matches([':', ',', '[', ']']).to_lowercase()).collect()
}

const WORDS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_found() {
        let again = repeated("command: the file x cannot be read: no such file", "the file x cannot be read");
        assert_eq!(again.as_deref(), Some("the file x cannot be"));
        assert_eq!(repeated("it failed: Short", "short").as_deref(), Some("short"));
        assert_eq!(repeated("connect (a:1): no way to it", "connect (a:1): no route"), None);
    }
}
