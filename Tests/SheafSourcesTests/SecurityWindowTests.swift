import Testing

@testable import SheafSources

/// Tests that rows and values without an end are skipped in a window that stays small.
struct SecurityWindowTests {
    private static let size = 2_000_000

    @Test("An endless row or value is skipped in a small window", arguments: [SourceFormat.jsonl, .json, .csv, .files])
    func endless(format: SourceFormat) throws {
        var options = ReadingOptions()
        options.recordLimit = 10_000
        options.readSize = 4096
        let opening: UInt8 = format == .json ? UInt8(ascii: "[") : UInt8(ascii: "\"")
        let window = ByteWindow(Endless(opening: opening, size: Self.size), options: options)
        var splitter: any RecordSplitter =
            switch format {
            case .json: JSONSplitter(from: 0)
            case .csv: TableSplitter(from: 0, separator: UInt8(ascii: ","))
            case .files: WholeSplitter(size: nil)
            default: LineSplitter(from: 0, skipsSpaces: true)
            }
        var spans: [RecordSpan] = []
        while let span = try splitter.next(in: window) { spans.append(span) }
        #expect(spans.count == 1)
        #expect(spans.first?.defect != nil)
        #expect(window.capacity <= options.recordLimit + 2 + 2 * options.readSize)
    }

    /// An input with a first byte that is followed only by the digit 1.
    private final class Endless: ByteInput {
        let opening: UInt8
        let size: Int

        init(opening: UInt8, size: Int) {
            self.opening = opening
            self.size = size
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
            let count = min(buffer.count, size - offset)
            buffer[..<count].initializeMemory(as: UInt8.self, repeating: UInt8(ascii: "1"))
            if offset == 0, count > 0 { buffer[0] = opening }
            return count
        }

        func isReady(at offset: Int) -> Bool { true }
    }
}
