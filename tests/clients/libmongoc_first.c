/* Inserts one document with libmongoc at the URI given, prints `ok`, and ends at once. With a second argument it uses a pool of clients,
   whose servers are watched by threads.
   cc libmongoc_first.c $(pkg-config --cflags --libs libmongoc-1.0) -o libmongoc_first */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    mongoc_init();
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(arguments[1], &error);
    if (!uri) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    mongoc_client_t *client =
        count > 2 ? mongoc_client_pool_pop(mongoc_client_pool_new(uri)) : mongoc_client_new_from_uri(uri);
    mongoc_collection_t *documents = mongoc_client_get_collection(client, "first", "c");
    bson_t *document = bson_new();
    if (!mongoc_collection_insert_one(documents, document, NULL, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("ok\n");
    fflush(stdout);
    _Exit(0);
}
