//! Every operation that the specifications have, by the kind of the object it is called on: those of the unified test format's prose, those of
//! the specifications that it refers to, and those that files of the format call.

use mongo_blocking_test_server::report::Part;

/// What is known of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The runner calls it.
    Runs,
    /// The specifications have it, the driver does not yet.
    NotBuilt(Part),
    /// The specifications do not have it.
    Unknown,
}

/// The status of the operation `name` on an object of this kind: `testRunner`, `cursor`, or a kind of entity as files name it.
pub fn status(kind: &str, name: &str) -> Status {
    let of_kind = OPERATIONS.iter().filter(|(own, _, _)| *own == kind);
    match of_kind.filter(|(_, _, names)| names.contains(&name)).map(|(_, status, _)| *status).next() {
        Some(status) => status,
        None => Status::Unknown,
    }
}

const OPERATIONS: &[(&str, Status, &[&str])] = &[
    (
        "client",
        Status::Runs,
        &[
            "appendMetadata",
            "close",
            "dropDatabase",
            "listDatabaseNames",
            "listDatabaseObjects",
            "listDatabases",
            "listMongoDatabases",
        ],
    ),
    ("client", Status::NotBuilt(Part::ChangeStreams), &["createChangeStream", "watch"]),
    ("client", Status::NotBuilt(Part::ClientBulkWrite), &["bulkWrite", "clientBulkWrite"]),
    (
        "clientEncryption",
        Status::NotBuilt(Part::Encryption),
        &[
            "addKeyAltName",
            "createDataKey",
            "createEncryptedCollection",
            "decrypt",
            "deleteKey",
            "encrypt",
            "encryptExpression",
            "getKey",
            "getKeyByAltName",
            "getKeys",
            "removeKeyAltName",
            "rewrapManyDataKey",
        ],
    ),
    (
        "database",
        Status::Runs,
        &[
            "aggregate",
            "createCollection",
            "createCommandCursor",
            "dropCollection",
            "listCollectionNames",
            "listCollectionObjects",
            "listCollections",
            "listMongoCollections",
            "modifyCollection",
            "runCommand",
            "runCursorCommand",
        ],
    ),
    ("database", Status::NotBuilt(Part::ChangeStreams), &["createChangeStream", "watch"]),
    (
        "collection",
        Status::Runs,
        &[
            "aggregate",
            "bulkWrite",
            "count",
            "countDocuments",
            "createFindCursor",
            "createIndex",
            "createIndexes",
            "deleteMany",
            "deleteOne",
            "distinct",
            "drop",
            "dropIndex",
            "dropIndexes",
            "estimatedDocumentCount",
            "find",
            "findOne",
            "findOneAndDelete",
            "findOneAndReplace",
            "findOneAndUpdate",
            "insertMany",
            "insertOne",
            "listIndexNames",
            "listIndexes",
            "mapReduce",
            "replaceOne",
            "updateMany",
            "updateOne",
        ],
    ),
    ("collection", Status::NotBuilt(Part::ChangeStreams), &["createChangeStream", "watch"]),
    ("collection", Status::NotBuilt(Part::Rename), &["rename"]),
    (
        "collection",
        Status::NotBuilt(Part::SearchIndexes),
        &["createSearchIndex", "createSearchIndexes", "dropSearchIndex", "listSearchIndexes", "updateSearchIndex"],
    ),
    (
        "session",
        Status::Runs,
        &[
            "abortTransaction",
            "commitTransaction",
            "endSession",
            "getSnapshotTime",
            "startTransaction",
            "withTransaction",
        ],
    ),
    (
        "bucket",
        Status::NotBuilt(Part::GridFs),
        &[
            "delete",
            "deleteByName",
            "download",
            "downloadByName",
            "downloadToStream",
            "downloadToStreamByName",
            "drop",
            "find",
            "openDownloadStream",
            "openDownloadStreamByName",
            "openUploadStream",
            "openUploadStreamWithId",
            "rename",
            "renameByName",
            "upload",
            "uploadFromStream",
            "uploadFromStreamWithId",
            "uploadWithId",
        ],
    ),
    ("cursor", Status::Runs, &["close", "iterateOnce", "iterateUntilDocumentOrError"]),
    (
        "testRunner",
        Status::Runs,
        &[
            "assertCollectionExists",
            "assertCollectionNotExists",
            "assertDifferentLsidOnLastTwoCommands",
            "assertEventCount",
            "assertIndexExists",
            "assertIndexNotExists",
            "assertNumberConnectionsCheckedOut",
            "assertSameLsidOnLastTwoCommands",
            "assertSessionDirty",
            "assertSessionNotDirty",
            "assertSessionPinned",
            "assertSessionTransactionState",
            "assertSessionUnpinned",
            "assertTopologyType",
            "createEntities",
            "failPoint",
            "loop",
            "recordTopologyDescription",
            "runOnThread",
            "targetedFailPoint",
            "wait",
            "waitForEvent",
            "waitForPrimaryChange",
            "waitForThread",
        ],
    ),
];
