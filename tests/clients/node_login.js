// Logs in with the Node driver to each URI given and prints a line for each: `ok USER@DATABASE`, `auth CODE`, or `error WHAT`.
"use strict";
const { MongoClient, MongoServerError } = require("mongodb");

async function verdict(uri) {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10000 });
  try {
    await client.db("admin").command({ listDatabases: 1 });
    const status = await client.db("admin").command({ connectionStatus: 1 });
    return "ok " + status.authInfo.authenticatedUsers.map((user) => `${user.user}@${user.db}`).join(" ");
  } catch (error) {
    if (error instanceof MongoServerError) return `auth ${error.code}`;
    return `error ${error.name} ${error.message}`.replace(/\n/g, " ");
  } finally {
    await client.close();
  }
}

(async () => {
  for (const uri of process.argv.slice(2)) {
    let line;
    try {
      line = await verdict(uri);
    } catch (error) {
      line = `error ${error.name} ${error.message}`.replace(/\n/g, " ");
    }
    console.log(line);
  }
})();
