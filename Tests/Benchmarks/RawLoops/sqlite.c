#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

static sqlite3 *database;

static void run(const char *sql) { raw_check(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK, sql); }

static sqlite3_stmt *prepared(const char *sql) {
    sqlite3_stmt *statement;
    raw_check(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK, sql);
    return statement;
}

static void step(sqlite3_stmt *statement) {
    raw_check(sqlite3_step(statement) == SQLITE_DONE, sqlite3_sql(statement));
    sqlite3_reset(statement);
}

static void run_between(sqlite3_stmt *statement, long first, long last) {
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, last);
    step(statement);
}

// A row for each message.
static void publish(long count, long rows, const char *body, size_t size) {
    sqlite3_stmt *insert = prepared("INSERT INTO message VALUES (?, 'batch:00000000', 'task', 'json', ?, NULL, NULL, ?)");
    sqlite3_stmt *move = prepared("UPDATE queue SET next = ?2 WHERE id = 1 AND next = ?1");
    for (long first = 0; first < count; first += rows) {
        long stop = first + rows < count ? first + rows : count;
        run("BEGIN IMMEDIATE");
        for (long key = first; key < stop; key++) {
            sqlite3_bind_int64(insert, 1, key);
            sqlite3_bind_blob(insert, 2, body, 60, SQLITE_STATIC);
            sqlite3_bind_blob(insert, 3, body, (int)size, SQLITE_STATIC);
            step(insert);
        }
        run_between(move, first, stop);
        run("COMMIT");
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(move);
}

// Reads messages and notes a lease for each, appends their outcomes as one row, removes messages and leases: a
// transaction each.
static void drain(long count, long rows, const char *outcomes, size_t outcome_size) {
    sqlite3_stmt *select = prepared("SELECT * FROM message WHERE key >= ? AND key < ? ORDER BY key");
    sqlite3_stmt *lease = prepared("INSERT INTO leased VALUES (?, 1, 1, 0)");
    sqlite3_stmt *move = prepared("UPDATE queue SET head = ?2 WHERE id = 1 AND head = ?1");
    sqlite3_stmt *append = prepared("INSERT INTO entry VALUES (?, 0, 'batch', 'outcomes', 'jsonl', '', NULL, NULL, ?)");
    sqlite3_stmt *forget = prepared("DELETE FROM leased WHERE key >= ? AND key < ?");
    sqlite3_stmt *remove = prepared("DELETE FROM message WHERE key >= ? AND key < ?");
    for (long first = 0; first < count; first += rows) {
        long stop = first + rows < count ? first + rows : count;
        run("BEGIN IMMEDIATE");
        sqlite3_bind_int64(select, 1, first);
        sqlite3_bind_int64(select, 2, stop);
        while (sqlite3_step(select) == SQLITE_ROW) {
            raw_check(sqlite3_column_bytes(select, 7) > 0, "reading a message");
            sqlite3_bind_int64(lease, 1, sqlite3_column_int64(select, 0));
            step(lease);
        }
        sqlite3_reset(select);
        run_between(move, first, stop);
        run("COMMIT");
        run("BEGIN IMMEDIATE");
        sqlite3_bind_int64(append, 1, first);
        sqlite3_bind_blob(append, 2, outcomes, (int)((size_t)(stop - first) * outcome_size), SQLITE_STATIC);
        step(append);
        run("COMMIT");
        run("BEGIN IMMEDIATE");
        run_between(forget, first, stop);
        run_between(remove, first, stop);
        run("COMMIT");
    }
}

// What the embedded broker writes for messages that are published, taken, answered and acknowledged, in tables like its.
double raw_sqlite(const char *file, long count, size_t size, long rows) {
    size_t outcome_size = size + 190;
    char *body = calloc(size > 60 ? size : 60, 1), *outcomes = calloc((size_t)rows, outcome_size);
    memset(body, 'x', size);
    raw_check(sqlite3_open(file, &database) == SQLITE_OK, "opening the file");
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    run("CREATE TABLE queue (id INTEGER PRIMARY KEY, head INTEGER, next INTEGER); INSERT INTO queue VALUES (1, 0, 0);"
        "CREATE TABLE message (key INTEGER PRIMARY KEY, id TEXT, type TEXT, content_type TEXT, headers BLOB,"
        " death_reason TEXT, death_queue TEXT, body BLOB);"
        "CREATE TABLE leased (key INTEGER PRIMARY KEY, session INTEGER, consumer INTEGER, deliveries INTEGER);"
        "CREATE TABLE entry (key INTEGER PRIMARY KEY, time INTEGER, id TEXT, type TEXT, content_type TEXT, headers BLOB,"
        " death_reason TEXT, death_queue TEXT, body BLOB)");
    double start = raw_now();
    publish(count, rows, body, size);
    drain(count, rows, outcomes, outcome_size);
    return raw_now() - start;
}
