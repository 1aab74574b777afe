import SheafCore
import Testing

@testable import SheafSources

@Suite("Properties of reading")
struct ReadingPropertyTests {
    private static let pieces = [
        "a", "é", "\"", ",", "\n", "\r\n", "\t", " ", "{", "}", "[", "]", "\\", "🌿", "\u{1}", "long word",
    ]

    private func text(_ generator: inout SplitMix64, upTo most: Int) -> String {
        (0..<generator.next(below: most + 1)).map { _ in Self.pieces[generator.next(below: Self.pieces.count)] }
            .joined()
    }

    @Test("Random CSV is read as it was written", arguments: 0..<40)
    func csv(seed: Int) async throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let width = 1 + generator.next(below: 4)
        let rows = (0..<30).map { _ in (0..<width).map { _ in text(&generator, upTo: 6) } }
        let separator = seed.isMultiple(of: 2) ? "," : "\t"
        let ending = seed.isMultiple(of: 3) ? "\r\n" : "\n"
        var output = (0..<width).map { "c\($0)" }.joined(separator: separator)
        for row in rows {
            output += ending + row.map { "\"\($0.replacing("\"", with: "\"\""))\"" }.joined(separator: separator)
        }
        try await SourceFixture.with { fixture in
            let name = separator == "," ? "t.csv" : "t.tsv"
            try fixture.write(name, output)
            let items = try await fixture.items(fixture.configuration(name))
            let found = try items.map { item in
                let value = try JSON.parse(item.record?.bytes ?? [])
                return (0..<width).map { value["c\($0)"]?.stringValue ?? "?" }
            }
            #expect(found == rows)
        }
    }

    private func value(_ generator: inout SplitMix64, _ depth: Int) -> String {
        switch generator.next(below: depth > 0 ? 6 : 4) {
        case 0: "\(generator.next(below: 1000))"
        case 1: JSONValue.string(text(&generator, upTo: 5)).text
        case 2: "null"
        case 3: "true"
        case 4:
            "[" + (0..<generator.next(below: 4)).map { _ in value(&generator, depth - 1) }.joined(separator: ", ") + "]"
        default: "{\"id\": \(value(&generator, 0)),\"k\":\(value(&generator, depth - 1))}"
        }
    }

    @Test("Random JSON is read as it was written, as lines and as an array", arguments: 0..<30)
    func json(seed: Int) async throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let values = (0..<40).map { _ in value(&generator, 3) }
        try await SourceFixture.with { fixture in
            try fixture.write("t.jsonl", values.joined(separator: "\n"))
            try fixture.write("t.json", "[" + values.joined(separator: " ,\n ") + "]")
            for name in ["t.jsonl", "t.json"] {
                let items = try await fixture.items(fixture.configuration(name))
                #expect(items.map { $0.record.map { String(decoding: $0.bytes, as: UTF8.self) } } == values)
                #expect(items.enumerated().allSatisfy { $1.place == "\(name):\($0 + 1)" })
            }
        }
    }

    @Test("Random bytes lead to the same items for any read size", arguments: 0..<60)
    func chunkBoundaries(seed: Int) async throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let content = "[a,b\n" + text(&generator, upTo: 120)
        let format = [SourceFormat.jsonl, .json, .csv, .tsv, .lines, .files][seed % 6]
        let start = format == .json ? 0 : 1
        var options = ReadingOptions()
        options.recordLimit = 24
        try await SourceFixture.with { fixture in
            try fixture.write("t", String(content.dropFirst(start)))
            let expected = try await fixture.items(fixture.configuration("t", format: format), options: options)
            for readSize in [1, 2, 3, 7, 16] {
                options.readSize = readSize
                options.itemsPerChunk = readSize
                let found = try await fixture.items(fixture.configuration("t", format: format), options: options)
                #expect(found == expected)
                let shuffled = try await fixture.items(
                    fixture.configuration("t", format: format, shuffle: true),
                    options: options
                )
                #expect(shuffled.sorted { $0.index < $1.index } == expected)
            }
        }
    }

    @Test("The window stays small, however long the lines are")
    func boundedWindow() throws {
        var options = ReadingOptions()
        options.recordLimit = 1000
        options.readSize = 256
        let input = EndlessLines(lines: 50, length: 20_000)
        let window = ByteWindow(input, options: options)
        var splitter = LineSplitter(from: 0, skipsSpaces: true)
        var spans: [RecordSpan] = []
        while let span = try splitter.next(in: window) {
            spans.append(span)
            #expect(window.capacity <= options.recordLimit + 2 + 2 * options.readSize)
        }
        #expect(spans.count == 50)
        #expect(spans.allSatisfy { $0.defect == .tooLarge && $0.length == 19_999 })
    }

    /// An input with lines of equal length, which are generated when they are read.
    private final class EndlessLines: ByteInput {
        let lines: Int
        let length: Int

        init(lines: Int, length: Int) {
            self.lines = lines
            self.length = length
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
            let count = min(buffer.count, lines * length - offset)
            for place in 0..<count {
                buffer[place] = (offset + place) % length == length - 1 ? UInt8(ascii: "\n") : UInt8(ascii: "x")
            }
            return count
        }

        func isReady(at offset: Int) -> Bool { true }
    }
}
