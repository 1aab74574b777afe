import GRDB
import SheafBroker

/// The tables, and which version of them a file has.
///
/// A message or entry has one whole number as its key: the queue or log above, its place below (see ``Place``), so that
/// each queue is one stretch of the table. Of a queue, messages from `head` on have never been delivered; those below
/// it are held (`leased`) or wait to be delivered again (`returned`). Publishing is thus one row, and delivering writes
/// no body.
enum Schema {
    /// The version that this code reads and writes.
    static let version: Int64 = 3

    /// Makes the tables in a new file and what is missing in an older one; throws where the file is of a newer version.
    static func prepare(_ database: Database) throws {
        let found = try Int64.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        switch found {
        case version: return
        case 0:
            try database.inTransaction(.immediate) {
                try database.execute(sql: tables + clock + lifetimes)
                try database.execute(sql: "PRAGMA user_version = \(version)")
                return .commit
            }
        case 1, 2:
            // Times in a file of version 1 are those of the clock on the wall, from which the file's own clock begins.
            try database.inTransaction(.immediate) {
                try database.execute(sql: (found == 1 ? clock : "") + lifetimes)
                try database.execute(sql: "PRAGMA user_version = \(version)")
                return .commit
            }
        default:
            throw BrokerError(
                .storage,
                "the broker's file has version \(found), and this Sheaf knows version \(version): use one Sheaf for all"
            )
        }
    }

    private static let message = """
        id TEXT NOT NULL, type TEXT NOT NULL, content_type TEXT NOT NULL, headers BLOB NOT NULL,
        death_reason TEXT, death_queue TEXT, body BLOB NOT NULL
        """

    private static let clock = """
        CREATE TABLE clock (
            id INTEGER PRIMARY KEY CHECK (id = 0), boot TEXT NOT NULL, ahead INTEGER NOT NULL,
            time INTEGER NOT NULL, wall INTEGER NOT NULL
        );
        """

    /// Where messages of a queue do not stay, for how many milliseconds they wait on their way to its dead letters.
    private static let lifetimes = "ALTER TABLE queue ADD COLUMN lifetime INTEGER;"

    private static let tables = """
        CREATE TABLE session (id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL);
        CREATE TABLE queue (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, delivery_limit INTEGER,
            dead_queue TEXT, dead_log TEXT, accepts_delayed INTEGER NOT NULL,
            head INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE message (key INTEGER PRIMARY KEY, \(message));
        CREATE TABLE returned (key INTEGER PRIMARY KEY, deliveries INTEGER NOT NULL);
        CREATE TABLE leased (
            key INTEGER PRIMARY KEY, session INTEGER NOT NULL, consumer INTEGER NOT NULL, deliveries INTEGER NOT NULL
        );
        CREATE TABLE consumer (
            session INTEGER NOT NULL, number INTEGER NOT NULL, queue INTEGER NOT NULL, PRIMARY KEY (session, number)
        ) WITHOUT ROWID;
        CREATE TABLE delayed (number INTEGER PRIMARY KEY, queue INTEGER NOT NULL, due INTEGER NOT NULL, \(message));
        CREATE INDEX delayed_due ON delayed (queue, due);
        CREATE TABLE log (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, maximum_bytes INTEGER,
            first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE entry (key INTEGER PRIMARY KEY, time INTEGER NOT NULL, \(message));
        """
}
