//! `killCursors`: the server need not keep a cursor any longer.

use std::collections::HashMap;

use bson::{RawArrayBuf, rawdoc};

use crate::deadline::Deadline;
use crate::error::Result;

use super::{ClientInner, Command, CursorHandle, execute};

/// Ends one cursor.
pub(crate) fn kill(deployment: &ClientInner, id: i64, cursor: &CursorHandle, deadline: Deadline) -> Result<()> {
    kill_some(deployment, &[id], cursor, deadline)
}

/// Ends all of these, as far as the server can be reached in time.
pub(crate) fn kill_all(deployment: &ClientInner, cursors: HashMap<i64, CursorHandle>, deadline: Deadline) {
    let mut by_collection: HashMap<(String, String), Vec<i64>> = HashMap::new();
    for (id, cursor) in cursors.into_iter().filter(|(_, cursor)| cursor.is_ours()) {
        by_collection.entry((cursor.database, cursor.collection)).or_default().push(id);
    }
    for ((database, collection), ids) in by_collection {
        if let Err(error) = kill_some(deployment, &ids, &CursorHandle::new(database, collection), deadline) {
            log::debug!("cursors were left to the server's own time limit: {error}");
            return;
        }
    }
}

fn kill_some(deployment: &ClientInner, ids: &[i64], cursor: &CursorHandle, deadline: Deadline) -> Result<()> {
    let mut list = RawArrayBuf::new();
    for id in ids {
        list.push(*id);
    }
    let body = rawdoc! { "killCursors": cursor.collection.as_str(), "cursors": list };
    let mut command = Command::new(deployment, "killCursors", &cursor.database, body);
    command.deadline = deadline;
    execute(deployment, command)?;
    Ok(())
}
