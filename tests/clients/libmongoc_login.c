/* Logs in with libmongoc to each URI given and prints a line for each: `ok USER@DATABASE`, `auth CODE`, or `error WHAT`.
   cc libmongoc_login.c $(pkg-config --cflags --libs libmongoc-1.0) -o libmongoc_login */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

static bool run(mongoc_client_t *client, const char *name, bson_t *reply, bson_error_t *error) {
    bson_t *command = bson_new();
    BSON_APPEND_INT32(command, name, 1);
    bool ok = mongoc_client_command_simple(client, "admin", command, NULL, reply, error);
    bson_destroy(command);
    return ok;
}

/* Prints the users of a connectionStatus reply. */
static void print_users(const bson_t *reply) {
    bson_iter_t root, users, user, field;
    printf("ok");
    if (bson_iter_init(&root, reply) && bson_iter_find_descendant(&root, "authInfo.authenticatedUsers", &users) &&
        bson_iter_recurse(&users, &user)) {
        while (bson_iter_next(&user)) {
            const char *name = "", *database = "";
            if (!bson_iter_recurse(&user, &field)) continue;
            while (bson_iter_next(&field)) {
                if (strcmp(bson_iter_key(&field), "user") == 0) name = bson_iter_utf8(&field, NULL);
                if (strcmp(bson_iter_key(&field), "db") == 0) database = bson_iter_utf8(&field, NULL);
            }
            printf(" %s@%s", name, database);
        }
    }
    printf("\n");
}

static void verdict(const char *text) {
    bson_error_t error;
    bson_t reply;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    if (!uri) {
        printf("error URI %s\n", error.message);
        return;
    }
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 10000);
    mongoc_client_t *client = mongoc_client_new_from_uri(uri);
    bool ok = run(client, "listDatabases", &reply, &error);
    bson_destroy(&reply);
    if (ok) {
        ok = run(client, "connectionStatus", &reply, &error);
        if (ok) print_users(&reply);
        bson_destroy(&reply);
    }
    if (!ok) {
        bool auth = (error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
                    error.domain == MONGOC_ERROR_SERVER || error.domain == MONGOC_ERROR_QUERY;
        if (auth) printf("auth %u\n", error.code);
        else printf("error %u.%u %s\n", error.domain, error.code, error.message);
    }
    mongoc_client_destroy(client);
    mongoc_uri_destroy(uri);
}

int main(int argc, char **argv) {
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    for (int i = 1; i < argc; i++) {
        verdict(argv[i]);
        fflush(stdout);
    }
    mongoc_cleanup();
    return 0;
}
