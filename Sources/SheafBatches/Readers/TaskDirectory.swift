package import SheafCore
import Synchronization

/// Reads the tasks of batches: lists by status, error and text, single tasks, and groups of errors.
///
/// The first look at a batch reads its whole results log. After that the directory keeps an index of the batch, so that
/// a look reads only what was appended since the one before. It keeps the indexes of the 8 batches used last, and drops
/// each that was not used for 10 minutes. An index takes 1.25 bytes of memory per task, and about 200 bytes per task in
/// temporary files.
package final class TaskDirectory: Sendable {
    private struct Entry {
        let index: TaskIndex
        var usedAt: ContinuousClock.Instant
    }

    private struct Contents {
        var entries: [Name: Entry] = [:]
        var isSweeping = false
    }

    private let client: SheafClient
    private let batches: BatchDirectory?
    private let contents = Mutex(Contents())

    private static let maximumIndexes = 8
    private static let idleTime = Duration.seconds(600)

    /// Creates a directory.
    ///
    /// - Parameters:
    ///   - client: The connection to use; it must stay open while the directory is used.
    ///   - batches: A live view that runs, or nil to read the journal at each look and not to know running tasks.
    package init(client: SheafClient, batches: BatchDirectory? = nil) {
        self.client = client
        self.batches = batches
    }

    /// The tasks after an index that match a query, at most `limit`, in the order of their indexes.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist or its results log was deleted, and
    ///   `SourceError` if no temporary file can be written; so do the other methods.
    package func page(
        of reference: String,
        matching query: TaskQuery = TaskQuery(),
        after: Int = -1,
        limit: Int = 100
    ) async throws -> TaskPage {
        try await index(of: reference).page(query, after: after, limit: limit)
    }

    /// The indexes of all tasks that match a query, for example to retry them.
    package func indexes(of reference: String, matching query: TaskQuery) async throws -> IndexRanges {
        try await index(of: reference).indexes(query)
    }

    /// The groups of the failed tasks of a batch, the largest first; at most 200, and one for the rest.
    package func errorGroups(of reference: String) async throws -> [ErrorGroup] {
        try await index(of: reference).errorGroups()
    }

    /// A task by its index, in full.
    package func task(of reference: String, index: Int) async throws -> TaskDetail {
        try await self.index(of: reference).task(index)
    }

    /// The indexes of the tasks of a record that ended at least once, at most 100.
    ///
    /// A record has several tasks if the batch has several variants of parameters. The id of a record whose tasks have
    /// never ended is unknown.
    package func indices(of reference: String, record id: String) async throws -> [Int] {
        try await index(of: reference).indices(ofRecord: id)
    }

    /// The id of a batch given by its id or as `last`.
    package func name(of reference: String) async throws -> Name { try await info(of: reference).id }

    /// The number of indexes kept.
    package var count: Int { contents.withLock { $0.entries.count } }

    // MARK: Indexes

    private func index(of reference: String) async throws -> TaskIndex {
        let info = try await info(of: reference)
        let index = try contents.withLock { contents in
            let index = try contents.entries[info.id]?.index ?? make(info)
            contents.entries[info.id] = Entry(index: index, usedAt: .now)
            while contents.entries.count > Self.maximumIndexes,
                let oldest = contents.entries.min(by: { $0.value.usedAt < $1.value.usedAt })
            {
                contents.entries[oldest.key] = nil
            }
            if !contents.isSweeping {
                contents.isSweeping = true
                Task { [weak self] in await Self.sweep { self } }
            }
            return index
        }
        do {
            try await index.refresh()
        } catch let error as SheafError where error.code == .notFound {
            contents.withLock { $0.entries[info.id] = nil }
            throw error
        }
        return index
    }

    private func make(_ info: BatchInfo) throws -> TaskIndex {
        try TaskIndex(
            client: client,
            info: info,
            find: { [weak self] in try await self?.info(of: info.id.text) ?? info },
            running: { [batches] in batches?.running(in: info.id) ?? [] }
        )
    }

    private func info(of reference: String) async throws -> BatchInfo {
        if let batches { return try batches.summary(of: reference).info }
        return try await Journal.read(from: client).find(reference)
    }

    /// Drops unused indexes until there are none.
    private static func sweep(_ directory: @Sendable () -> TaskDirectory?) async {
        while true {
            try? await Task.sleep(for: idleTime / 4)
            let isDone = directory()?.contents.withLock { contents in
                contents.entries = contents.entries.filter { $0.value.usedAt.duration(to: .now) < idleTime }
                contents.isSweeping = !contents.entries.isEmpty
                return contents.entries.isEmpty
            }
            if isDone != false { return }
        }
    }
}
