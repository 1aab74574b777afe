package import SheafCore
import SheafSources

/// The outcomes of a batch joined with the records of its input, which is read again, in the order of the input.
///
/// The outcomes are first copied to a temporary file, so memory does not grow with the batch. If the batch has a random
/// sample of the input, the order is that in which its tasks were published.
package struct MergedResults: Sendable {
    /// A task that has an outcome, with its record.
    package struct Row: Sendable {
        /// The record, or nil if it could not be read.
        package let record: Record?
        /// The parameters as a JSON object, or nil if the batch has one variant only.
        package let parameters: String?
        /// The outcome.
        package let line: ResultLine
    }

    /// The outcomes.
    package let results: BatchResults
    private let source: RecordSource
    private let variants: [String?]

    /// Whether each record has several tasks, with different parameters.
    package var hasVariants: Bool { variants.count > 1 }

    /// Reads the records until the end or until the body returns false, for example to find their fields.
    package func records(_ body: (Record) -> Bool) async throws {
        for try await chunk in source.chunks() {
            for item in chunk {
                if case .record(let record) = item.content, !body(record) { return }
            }
        }
    }

    /// Starts reading.
    package func makeIterator() -> Iterator {
        Iterator(
            batch: results.batch,
            results: results.makeAsyncIterator(),
            items: source.chunks().makeAsyncIterator(),
            variants: variants
        )
    }

    /// Reads the rows one by one.
    package struct Iterator {
        let batch: BatchInfo
        var results: BatchResults.Iterator
        var items: RecordChunks.Iterator
        let variants: [String?]
        private var spool: SortedOutcomes?
        private var waiting: ArraySlice<SourceItem> = []
        private var variant = 0
        private var count = 0

        init(
            batch: BatchInfo,
            results: BatchResults.Iterator,
            items: RecordChunks.Iterator,
            variants: [String?]
        ) {
            (self.batch, self.results, self.items, self.variants) = (batch, results, items, variants)
        }

        /// The next row, or nil at the end; throws the errors of the results and of the input.
        package mutating func next() async throws -> Row? {
            let spool = try await allOutcomes()
            while true {
                while let item = waiting.first {
                    while variant < variants.count {
                        defer { variant += 1 }
                        guard let line = try spool.line(of: item.index * variants.count + variant) else { continue }
                        var record: Record?
                        if case .record(let content) = item.content { record = content }
                        let parameters = variants.count > 1 ? variants[variant] : nil
                        return Row(record: record, parameters: parameters, line: line)
                    }
                    waiting.removeFirst()
                    variant = 0
                }
                guard let chunk = try await items.next() else { break }
                waiting = chunk[...]
                count += chunk.count
            }
            if let total = batch.sealedTotal, total != count * variants.count {
                throw SourceError(
                    .changed,
                    "wrong input: it yields \(count * variants.count) tasks, but batch '\(batch.id)' has \(total)"
                )
            }
            return nil
        }

        private mutating func allOutcomes() async throws -> SortedOutcomes {
            if let spool { return spool }
            let spool = try SortedOutcomes()
            while let chunk = try await results.nextLines() { try spool.add(chunk) }
            self.spool = spool
            return spool
        }
    }

    init(results: BatchResults, source: RecordSource, variants: [String?]) {
        (self.results, self.source, self.variants) = (results, source, variants)
    }
}

extension SheafClient {
    /// The present outcomes of a batch joined with its input, which is read again on this machine.
    ///
    /// - Throws: ``SheafError`` with `notFound`; with `notNow` if the input was not recorded, was standard input or has
    ///   too many names; `SourceError` if it cannot be read here or has changed.
    package func mergedResults(of reference: String) async throws -> MergedResults {
        let results = try await results(of: reference)
        let variants = try results.batch.variants().variants
        return MergedResults(results: results, source: try await openInput(of: results.batch), variants: variants)
    }

    /// Opens the input of a batch again, as the journal records it, and refuses it if it has changed.
    ///
    /// The order is that of the input if that is possible, or with `asPublished` that in which tasks were published.
    func openInput(of batch: BatchInfo, asPublished: Bool = false) async throws -> RecordSource {
        func refusal(_ reason: String) -> SheafError {
            SheafError(.notNow, "cannot read the input of batch '\(batch.id)' again: \(reason)")
        }
        guard let known = batch.batchInput, var configuration = known.source, let before = known.fingerprint else {
            throw refusal("its journal entry does not record it")
        }
        if configuration.inputs.isEmpty { throw refusal("its journal entry has no room for the names of its files") }
        if configuration.inputs.contains("-") { throw refusal("it was standard input, or came with a request") }
        // The records of a sample depend on the order.
        if configuration.maxRecords == nil, !asPublished { configuration.shuffle = false }
        let leftOut = try await known.skip.asyncMap {
            try await succeededRecords(of: $0.batch.text, upTo: $0.endOffset).ids
        }
        let source: RecordSource
        do {
            source = try await RecordSource.open(configuration, leavingOut: leftOut)
        } catch let error as SourceError {
            throw SourceError(
                error.code,
                "\(error.message); batch '\(batch.id)' was created on \(known.host) in "
                    + "\(configuration.workingDirectory ?? "/"), and its input must be there, unchanged"
            )
        }
        if let change = source.fingerprint.changes(since: before).first {
            throw SourceError(
                .changed,
                "the input of batch '\(batch.id)' has changed since \(batch.createdAt): \(change)"
            )
        }
        return source
    }
}

extension Optional {
    fileprivate func asyncMap<Result>(_ transform: (Wrapped) async throws -> Result) async rethrows -> Result? {
        if let self { try await transform(self) } else { nil }
    }
}
