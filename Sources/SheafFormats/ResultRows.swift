package import SheafBatches
package import SheafCore

/// The rows of a batch's results as a stream of pieces, so that memory does not grow with the batch.
package struct ResultRows {
    /// What is read, and what formats it.
    private enum Source {
        case results(BatchResults.Iterator, ResultWriter)
        case merged(MergedResults.Iterator, MergedWriter)
    }

    private var source: Source
    private let statuses: Set<Outcome.Status>
    private let skipped: Int
    private var waiting: ArraySlice<ResultLine> = []
    private var hasEnded = false
    private var piece: [UInt8] = []
    /// The number of lines so far that have a wanted status, including those that are left out at the start.
    package private(set) var line = 0

    /// The size of a piece, in bytes.
    private static let pieceSize = 256 << 10

    /// Creates the rows of results.
    ///
    /// - Parameters:
    ///   - results: The results.
    ///   - format: The format.
    ///   - statuses: The wanted statuses, or an empty set for any.
    ///   - skipped: The number of lines to leave out at the start, together with the bytes before the first row.
    package init(_ results: BatchResults, format: ResultFormat, statuses: Set<Outcome.Status>, after skipped: Int = 0) {
        let writer = ResultWriter(format: format, batch: results.batch.id)
        self.init(.results(results.makeAsyncIterator(), writer), statuses, skipped)
        if skipped == 0 { piece = writer.head }
    }

    /// Creates the rows of results with their records.
    package init(
        _ merged: MergedResults,
        writer: MergedWriter,
        statuses: Set<Outcome.Status>,
        after skipped: Int = 0
    ) {
        self.init(.merged(merged.makeIterator(), writer), statuses, skipped)
        if skipped == 0 { piece = writer.head }
    }

    private init(_ source: Source, _ statuses: Set<Outcome.Status>, _ skipped: Int) {
        (self.source, self.statuses, self.skipped) = (source, statuses, skipped)
    }

    /// The next piece, or nil at the end; throws the errors of the results and of the input.
    package mutating func next() async throws -> [UInt8]? {
        while !hasEnded {
            switch source {
            case .results(var iterator, var writer):
                while piece.count < Self.pieceSize, let result = waiting.popFirst() {
                    if isNext(result.summary) { writer.write(result, to: &piece) }
                }
                if piece.count < Self.pieceSize {
                    let lines = try await iterator.nextLines()
                    (waiting, hasEnded) = ((lines ?? [])[...], lines == nil)
                    if hasEnded { piece += writer.tail }
                }
                source = .results(iterator, writer)
            case .merged(var iterator, var writer):
                while piece.count < Self.pieceSize, !hasEnded {
                    if let row = try await iterator.next() {
                        if isNext(row.line.summary) { writer.write(row, to: &piece) }
                    } else {
                        piece += writer.tail
                        hasEnded = true
                    }
                }
                source = .merged(iterator, writer)
            }
            if piece.count >= Self.pieceSize || (hasEnded && !piece.isEmpty) {
                defer { piece = [] }
                return piece
            }
        }
        return nil
    }

    private mutating func isNext(_ outcome: OutcomeSummary) -> Bool {
        guard statuses.isEmpty || statuses.contains(outcome.status) else { return false }
        line += 1
        return line > skipped
    }
}
