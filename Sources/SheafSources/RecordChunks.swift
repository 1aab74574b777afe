/// The items of a source in chunks; the next one is read when it is asked for.
public struct RecordChunks: AsyncSequence, Sendable {
    /// What one step gives.
    public typealias Element = [SourceItem]

    let reader: RecordReader
    let position: Int

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator {
        Iterator(reader: reader, position: position)
    }

    /// A reading that is going on.
    public struct Iterator: AsyncIteratorProtocol {
        let reader: RecordReader
        /// How many items of the order were passed.
        public private(set) var position: Int

        init(reader: RecordReader, position: Int) {
            self.reader = reader
            self.position = position
        }

        /// The next chunk, never empty, or nil at the end.
        ///
        /// - Throws: ``SourceError`` where reading fails, and `CancellationError` where the task is cancelled, also
        ///   during a wait for standard input.
        public mutating func next() async throws -> [SourceItem]? {
            let start = position
            let reader = self.reader
            let chunk = try await withTaskCancellationHandler {
                try await reader.chunk(at: start)
            } onCancel: {
                reader.waker.signal()
            }
            position += chunk.count
            return chunk.isEmpty ? nil : chunk
        }
    }
}
