public import SheafBroker
public import SheafCore

extension SQLiteBroker {
    /// Makes a log; does nothing where one of that name exists.
    public func declareLog(_ declaration: LogDeclaration) async throws {
        try Argument.check(name: declaration.name)
        try await writer.perform { try $0.declare(declaration) }
    }

    /// Removes a log; one that does not exist is no error.
    public func deleteLog(_ name: String) async throws {
        guard let id = try await writer.perform({ try $0.unname(log: name) }) else { return }
        while try await writer.perform({ try $0.removeLog(id) }) {}
    }

    /// The offset that the next entry gets, or nil where there is no such log.
    public func endOffset(of log: String) async throws -> Int64? {
        try await reader.read { try LogRow.named(log, in: $0)?.next }
    }

    /// Appends messages to a log, in order, and returns when all of them are in the file.
    public func append(_ messages: [Message], to log: String) async throws {
        try Argument.check(messages)
        try await writer.perform(rows: messages.count) { transaction in
            try transaction.append(messages, to: try LogRow.required(log, in: transaction))
        }
    }

    /// Reads a log from a position, and goes on with what is appended.
    public func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        let start = try await reader.read { try $0.start(of: log, from: position) }
        let isRelative =
            switch position {
            case .first, .offset: false
            case .last, .next, .since: true
            }
        return SQLiteLogReader(
            log: start.log,
            name: log,
            offset: start.offset,
            saysWhere: isRelative,
            number: await session.nextNumber(),
            reader: reader,
            watcher: watcher
        )
    }
}
