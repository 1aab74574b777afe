import Glibc
import Sheaf
import SheafCore

/// Writes the rows of a batch's results to standard output or a file.
struct ResultExport: Sendable {
    private static let chunkSize = 64 << 10

    private let writer: ResultWriter
    private let status: Set<Outcome.Status>

    /// Rows of any status are written where none is given.
    init(writer: ResultWriter, status: [Outcome.Status]) {
        self.writer = writer
        self.status = Set(status)
    }

    /// Writes all rows and returns how many they were; a file is in its place only when all are written.
    func write(_ results: BatchResults, to path: String?) async throws -> Int {
        guard let path else {
            let output = DescriptorWriter(descriptor: STDOUT_FILENO, name: "standard output")
            // In a file or a program the bytes mean themselves; to a terminal some of them are orders.
            if isatty(STDOUT_FILENO) == 1 { return try await write(results, to: SafeSink(sink: output)) }
            return try await write(results, to: output)
        }
        let file = try SideFile(path: path)
        let rows = try await write(results, to: file)
        try file.finish()
        return rows
    }

    private func write(_ results: BatchResults, to sink: some ByteSink) async throws -> Int {
        var writer = writer
        var buffer = writer.head
        for try await outcomes in results {
            for outcome in outcomes where status.isEmpty || status.contains(outcome.status) {
                writer.write(outcome, to: &buffer)
            }
            if buffer.count >= Self.chunkSize {
                try sink.write(buffer)
                buffer.removeAll(keepingCapacity: true)
            }
        }
        try sink.write(buffer + writer.tail)
        return writer.rows
    }
}
