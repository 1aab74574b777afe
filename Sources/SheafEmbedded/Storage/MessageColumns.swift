import SheafBroker
import SheafCore

/// Maps a message to the columns that the tables `message`, `delayed` and `entry` share.
enum MessageColumns {
    /// The columns in the order of ``run(_:with:from:)`` and ``read(_:from:)``.
    static let list = "id, type, content_type, headers, body"
    /// The columns of ``list`` and those that record a death.
    static let all = "id, type, content_type, headers, body, death_reason, death_queue"

    /// Binds the message to five parameters of the statement, starting at `index`, and runs it.
    static func run(_ statement: SQLStatement, with message: Message, from index: Int32) throws {
        statement.bind(message.id, at: index)
        statement.bind(message.type, at: index + 1)
        statement.bind(message.contentType, at: index + 2)
        try HeaderCoding.encode(message.headers).withUnsafeBytes { headers in
            try message.body.withUnsafeBytes { body in
                statement.bind(uncopied: headers, at: index + 3)
                statement.bind(uncopied: body, at: index + 4)
                try statement.run()
            }
        }
    }

    /// Reads the message from five columns of the current row, starting at `column`.
    static func read(_ row: SQLStatement, from column: Int32) throws -> Message {
        Message(
            id: row.text(column),
            type: row.text(column + 1),
            contentType: row.text(column + 2),
            headers: try headers(row.bytes(column + 3)),
            body: row.bytes(column + 4)
        )
    }

    private static func headers(_ bytes: [UInt8]) throws -> [Message.Header] {
        do {
            return try HeaderCoding.decode(bytes)
        } catch {
            throw BrokerError(.storage, "the headers of a message in the broker's file are damaged")
        }
    }

    /// Returns the approximate size of the message in bytes.
    static func size(of message: Message) -> Int64 {
        let headers = message.headers.reduce(0) { size, header in
            if case .string(let value) = header.value {
                size + header.name.utf8.count + value.utf8.count + 4
            } else {
                size + header.name.utf8.count + 8
            }
        }
        return Int64(message.id.utf8.count + message.type.utf8.count + headers + message.body.count + 32)
    }
}
