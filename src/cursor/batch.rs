//! A batch of documents within the reply that brought it.

use std::ops::Range;

use bson::RawDocument;

use crate::error::{Error, Result, Stage};
use crate::operation::reply::malformed;
use crate::wire::Reply;

/// A reply and how far it has been read.
pub(super) struct Batch {
    /// `None` once it has been given back.
    reply: Option<Reply>,
    current: Range<usize>,
    /// From the next element to the end of the array, within the reply's document.
    rest: Range<usize>,
}

impl Batch {
    /// The one whose documents are there within the reply.
    pub(super) fn new(reply: Reply, documents: Range<usize>) -> Self {
        Batch { reply: Some(reply), current: 0..0, rest: documents }
    }

    /// Moves to the next document of the array. Returns `false` at its end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let Some(reply) = &self.reply else { return Ok(false) };
        let Some(rest) = reply.document_bytes().get(self.rest.clone()) else { return Err(cut_short()) };
        // An array is a document whose keys are "0", "1", …: a type byte, the key, the value; a zero byte ends it.
        let [kind, keyed @ ..] = rest else { return Err(cut_short()) };
        match kind {
            0 if keyed.is_empty() => return Ok(false),
            // To take that for the end would leave the cursor asking for more without end, or lose what comes after it.
            0 => return Err(Error::invalid_reply(Stage::Decode, "the batch has a zero byte before its end")),
            3 => {}
            _ => return Err(Error::invalid_reply(Stage::Decode, "an entry of the batch is not a document")),
        }
        let key = keyed.iter().position(|byte| *byte == 0).ok_or_else(cut_short)? + 1;
        let value = keyed.get(key..).ok_or_else(cut_short)?;
        let (length, _) = value.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| cut_short())?;
        RawDocument::from_bytes(value.get(..length).ok_or_else(cut_short)?).map_err(malformed)?;
        let start = self.rest.start + 1 + key;
        self.current = start..start + length;
        self.rest.start = start + length;
        Ok(true)
    }

    pub(super) fn current(&self) -> Option<&RawDocument> {
        let bytes = self.reply.as_ref()?.document_bytes().get(self.current.clone())?;
        RawDocument::from_bytes(bytes).ok()
    }

    /// Without documents.
    pub(super) fn none() -> Self {
        Batch { reply: None, current: 0..0, rest: 0..0 }
    }

    /// Whether there are documents that have not been read, or what should be some.
    pub(super) fn has_rest(&self) -> bool {
        self.rest.len() > 1
    }

    /// Gives the memory of a batch that has been read to the next one.
    pub(super) fn take_buffer(&mut self) -> Option<Vec<u8>> {
        self.reply.take().map(Reply::into_buffer)
    }
}

/// What a reply reports about its cursor.
pub(super) struct Opened<'a> {
    pub(super) id: i64,
    pub(super) namespace: Option<&'a str>,
    /// Where the array's elements are, within the reply's document.
    pub(super) documents: Range<usize>,
}

pub(super) fn read_batch<'a>(reply: &'a RawDocument, key: &str) -> Result<Opened<'a>> {
    let missing = |what: &str| Error::invalid_reply(Stage::Decode, format!("the reply has no {what}"));
    let cursor = reply.get_document("cursor").map_err(|_| missing("document 'cursor'"))?;
    let id = cursor.get_i64("id").map_err(|_| missing("64-bit 'cursor.id'"))?;
    let batch = cursor.get_array(key).map_err(|_| missing(&format!("array 'cursor.{key}'")))?.as_bytes();
    // The array lies within the reply; its place is the distance between the two.
    let start = (batch.as_ptr() as usize).wrapping_sub(reply.as_bytes().as_ptr() as usize);
    Ok(Opened { id, namespace: cursor.get_str("ns").ok(), documents: start + 4..start + batch.len() })
}

/// Where the documents of a batch are within the reply's document, and what ends the batch early.
#[cfg(any(test, fuzzing))]
pub(crate) fn documents_of(reply: Reply, key: &str) -> (Vec<Range<usize>>, Option<Error>) {
    let rest = match read_batch(reply.document(), key) {
        Ok(opened) => opened.documents,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut batch = Batch::new(reply, rest);
    let mut places = Vec::new();
    loop {
        match batch.advance() {
            Ok(true) => places.push(batch.current.clone()),
            Ok(false) => return (places, None),
            Err(error) => return (places, Some(error)),
        }
    }
}

fn cut_short() -> Error {
    Error::invalid_reply(Stage::Decode, "the batch ends in the middle of a document")
}
