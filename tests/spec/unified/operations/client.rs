//! Operations on a client.

use bson::{Bson, doc};
use mongo_blocking::Database;
use mongo_blocking::options::DriverInfo;

use super::{Outcome, Ran, Trouble, send, set, unknown};
use crate::unified::arguments::Arguments;
use crate::unified::entities::ClientHandle;

pub fn run(handle: &ClientHandle, name: &str, arguments: &mut Arguments) -> Ran {
    match name {
        "close" => {
            arguments.end()?;
            handle.close();
            Ok(Outcome::Nothing)
        }
        "dropDatabase" => drop_database(handle, arguments),
        "listDatabases" => list_databases(handle, arguments),
        "listDatabaseNames" => list_database_names(handle, arguments),
        "listDatabaseObjects" | "listMongoDatabases" => list_database_objects(handle, arguments),
        "appendMetadata" => append_metadata(handle, arguments),
        _ => unknown("client", name),
    }
}

fn drop_database(handle: &ClientHandle, arguments: &mut Arguments) -> Ran {
    let database =
        handle.client().map_err(Trouble::OfRunner)?.database(&arguments.need("database", Arguments::string)?);
    let mut action = database.drop();
    set!(arguments, action, { "comment" => comment(any), "writeConcern" => write_concern(write_concern) });
    arguments.end()?;
    send!(action, arguments)?;
    Ok(Outcome::Nothing)
}

fn list_databases(handle: &ClientHandle, arguments: &mut Arguments) -> Ran {
    let client = handle.client().map_err(Trouble::OfRunner)?;
    let mut action = client.list_databases();
    set!(arguments, action, {
        "filter" => filter(document),
        "authorizedDatabases" => authorized_databases(boolean),
        "comment" => comment(any),
    });
    arguments.end()?;
    let described = send!(action, arguments)?.into_iter().map(|found| {
        let size = i64::try_from(found.size_on_disk).unwrap_or(i64::MAX);
        doc! {"name": found.name, "sizeOnDisk": size, "empty": found.empty}
    });
    Ok(Outcome::Documents(described.collect()))
}

fn list_database_names(handle: &ClientHandle, arguments: &mut Arguments) -> Ran {
    let client = handle.client().map_err(Trouble::OfRunner)?;
    let mut action = client.list_database_names();
    set!(arguments, action, {
        "filter" => filter(document),
        "authorizedDatabases" => authorized_databases(boolean),
        "comment" => comment(any),
    });
    arguments.end()?;
    super::value(send!(action, arguments)?.into_iter().map(Bson::String).collect::<Bson>())
}

/// A method that drivers may leave out, as this one and the official driver do; it is what a program does in its place.
fn list_database_objects(handle: &ClientHandle, arguments: &mut Arguments) -> Ran {
    let client = handle.client().map_err(Trouble::OfRunner)?;
    arguments.end()?;
    let names = send!(client.list_database_names(), arguments)?;
    let databases: Vec<Database> = names.iter().map(|name| client.database(name)).collect();
    super::value(databases.iter().map(|database| Bson::from(database.name())).collect::<Bson>())
}

fn append_metadata(handle: &ClientHandle, arguments: &mut Arguments) -> Ran {
    let client = handle.client().map_err(Trouble::OfRunner)?;
    let described = arguments.need("driverInfoOptions", Arguments::document)?;
    arguments.end()?;
    let mut fields = Arguments::of("driverInfoOptions", &described);
    let info = DriverInfo {
        name: fields.need("name", Arguments::string)?,
        version: fields.string("version")?,
        platform: fields.string("platform")?,
    };
    fields.end()?;
    client.append_metadata(info)?;
    Ok(Outcome::Nothing)
}
