import SheafCore

@testable import SheafSources

extension Decoder {
    /// Checks that any bytes lead to the same items in pieces of any size, and that each record follows its format.
    func checkSources(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let format = SourceFormat.allCases[Int(input.byte()) % SourceFormat.allCases.count]
        let choice = input.byte()
        let columns = choice & 1 == 0 ? [:] : ["id": "a", "b": "b"]
        let configuration = SourceConfiguration(inputs: [], idField: choice & 2 == 0 ? nil : "a", columns: columns)
        var options = ReadingOptions()
        options.recordLimit = choice & 4 == 0 ? Record.maximumSize : 16
        let content = Array(input.rest)
        let whole = Scan(content, format, configuration, options, seed: nil)
        for seed in [UInt64(choice), UInt64(content.count) &* 0x9E37_79B9 &+ 1] {
            let pieces = Scan(content, format, configuration, options, seed: seed)
            try require(pieces == whole, "reading in pieces gives \(pieces), reading at once \(whole)")
        }
        for item in whole.items {
            guard case .record(let record) = item else { continue }
            try require(record.bytes.count <= options.recordLimit, "a record is larger than allowed")
            try require(record.id.utf8.count <= Record.maximumIDSize, "an id is longer than allowed")
            if record.kind == .json { try JSON.validate(record.bytes) }
            if record.kind == .text {
                try require(String(validating: record.bytes, as: UTF8.self) != nil, "a text record is not UTF-8")
            }
        }
    }

    /// All items of an input.
    private struct Scan: Equatable {
        var spans: [RecordSpan] = []
        var items: [SourceItem.Content] = []
        var failure: String?

        init(
            _ content: [UInt8],
            _ format: SourceFormat,
            _ configuration: SourceConfiguration,
            _ options: ReadingOptions,
            seed: UInt64?
        ) {
            do {
                try read(content, format, FieldRule(configuration), options, seed: seed)
            } catch {
                failure = "\(error)"
            }
        }

        private mutating func read(
            _ content: [UInt8],
            _ format: SourceFormat,
            _ rule: FieldRule,
            _ options: ReadingOptions,
            seed: UInt64?
        ) throws {
            var options = options
            options.readSize = seed.map { 1 + Int(SplitMix64.mix($0) % 19) } ?? 1 << 16
            let window = ByteWindow(Pieces(content, seed: seed), options: options)
            let decoder = RecordDecoder(rule: rule, limit: options.recordLimit)
            let separator = RecordDecoder.separator(of: format)
            var splitter: any RecordSplitter =
                switch format {
                case .jsonl, .lines: LineSplitter(from: 0, skipsSpaces: format == .jsonl)
                case .json: JSONSplitter(from: 0)
                case .csv, .tsv: TableSplitter(from: 0, separator: separator)
                case .files: WholeSplitter(size: nil)
                }
            var header: TableHeader?
            while let span = try splitter.next(in: window) {
                spans.append(span)
                guard span.offset + (span.defect == nil ? span.length : 0) <= content.count else {
                    throw Violation("a record beyond the end of the input")
                }
                let bytes = span.defect == nil ? window.copy(span.range) : []
                if header == nil, format == .csv || format == .tsv {
                    guard span.defect == nil else { throw Violation("the header is invalid") }
                    header = try TableHeader(bytes, separator: separator, path: "t", rule: rule)
                    continue
                }
                let origin = RecordDecoder.Origin(
                    format: format,
                    place: "t:\(span.line)",
                    line: span.line,
                    header: header
                )
                if let message = decoder.message(span) {
                    items.append(.invalid(message: message))
                } else if span.defect == nil {
                    items.append(decoder.content(bytes, of: origin))
                } else {
                    items.append(decoder.content(Array(content[span.range]), of: origin))
                }
            }
        }
    }

    /// An input that arrives in pieces whose sizes depend on a seed, or all at once.
    private final class Pieces: ByteInput {
        private let content: [UInt8]
        private var sizes: SplitMix64?

        init(_ content: [UInt8], seed: UInt64?) {
            self.content = content
            self.sizes = seed.map { SplitMix64(seed: $0) }
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
            var count = min(buffer.count, content.count - offset)
            if count > 1, let size = sizes?.next(below: count) { count = size + 1 }
            buffer.copyBytes(from: content[offset..<offset + count])
            return count
        }

        func isReady(at offset: Int) -> Bool { true }
    }
}
