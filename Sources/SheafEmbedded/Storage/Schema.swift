import GRDB
import SheafBroker

/// The tables and their version in a file.
///
/// The key of a message or entry is an integer with the queue or log in its upper bits and the place in its lower bits
/// (see ``Place``), so that each queue is a contiguous range of the table. Messages of a queue at or above `head` have
/// never been delivered; those below it are held (`leased`) or wait to be delivered again (`returned`). Thus publishing
/// writes one row, and delivering writes no body.
enum Schema {
    /// The version that this code reads and writes.
    static let version: Int64 = 3

    /// Creates the tables of a new file or upgrades an older one; throws if the file has a newer version.
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
            // Times in a file of version 1 are wall clock times, from which the file's own clock starts.
            try database.inTransaction(.immediate) {
                try database.execute(sql: (found == 1 ? clock : "") + lifetimes)
                try database.execute(sql: "PRAGMA user_version = \(version)")
                return .commit
            }
        default:
            throw BrokerError(
                .storage,
                "the broker's file has version \(found), this Sheaf version \(version); use the same Sheaf everywhere"
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

    /// The milliseconds that messages of a waiting room wait before they go to its dead-letter target, or NULL.
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

/// Converts the number of a queue or log and a place within it to a key and back.
///
/// A key has 23 bits for the queue or log and 40 bits for the place: 8 million queues and logs in the life of a file,
/// with a trillion places each.
enum Place {
    /// The number of bits of the place.
    static let bits: Int64 = 40

    /// Returns the key of a place.
    static func key(_ owner: Int64, _ place: Int64) -> Int64 { owner << bits | place }

    /// Returns the place of a key.
    static func place(of key: Int64) -> Int64 { key & (1 << bits - 1) }

    /// Returns the queue or log of a key.
    static func owner(of key: Int64) -> Int64 { key >> bits }

    /// Returns the first key of a queue or log.
    static func first(_ owner: Int64) -> Int64 { key(owner, 0) }

    /// Returns the last key of a queue or log.
    static func last(_ owner: Int64) -> Int64 { key(owner, 1 << bits - 1) }

    /// The largest possible place.
    static let largest: Int64 = 1 << bits - 1
}
