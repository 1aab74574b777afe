import SheafCore
import Testing

@testable import SheafSources

@Suite("Order and selection")
struct SelectionTests {
    private func text(_ count: Int) -> String { (0..<count).map { "\($0)\n" }.joined() }

    @Test(
        "A limit of records is met exactly",
        arguments: [false, true],
        [nil, 0, 1, 2, 999, 1000, 1001, 5000] as [Int?]
    )
    func exact(shuffle: Bool, most: Int?) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.txt", text(1000))
            let configuration = fixture.configuration("t.txt", shuffle: shuffle, seed: 3, maxRecords: most)
            let source = try await RecordSource.open(configuration)
            let expected = min(most ?? 1000, 1000)
            let items = try await source.items()
            #expect(source.count == (shuffle ? expected : nil))
            #expect(items.count == expected)
            #expect(Set(items.map(\.place)).count == expected)
            #expect(items.map(\.index).sorted() == Array(0..<expected))
            #expect(try await source.checkStrictly().checked == expected)
            if !shuffle { #expect(items.map(\.index) == Array(0..<expected)) }
            // The index is the position in the input, whatever the reading order.
            let values = items.sorted { $0.index < $1.index }.compactMap {
                Int(String(decoding: $0.record?.bytes ?? [], as: UTF8.self))
            }
            #expect(values == values.sorted() && values.count == expected)
        }
    }

    @Test("The seed decides the order and the sample")
    func seeds() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.txt", text(200))
            func order(_ seed: UInt64, _ most: Int?) async throws -> [String] {
                try await fixture.items(fixture.configuration("t.txt", shuffle: true, seed: seed, maxRecords: most))
                    .map(\.place)
            }
            for most in [nil, 20] as [Int?] {
                #expect(try await order(1, most) == order(1, most))
                #expect(try await order(1, most) != order(2, most))
            }
            #expect(try await Set(order(1, 20)) != Set(order(2, 20)))
        }
    }

    @Test("A sample contains every record about equally often")
    func fairSample() throws {
        let index = try RecordIndex(in: nil)
        for number in 0..<10 { try index.append(RecordSpan(offset: number, length: 1, line: number)) }
        try index.flush()
        var hits = [Int](repeating: 0, count: 10)
        for seed in 0..<2000 {
            try index.sample(3, seed: SplitMix64.mix(UInt64(seed)), in: nil).forEach { _, span in hits[span.offset] += 1
            }
        }
        #expect(hits.reduce(0, +) == 6000)
        for hit in hits { #expect((480...720).contains(hit)) }
    }

    @Test("A record index returns the spans that were added")
    func indexRoundTrip() throws {
        let index = try RecordIndex(in: nil)
        var generator = SplitMix64(seed: 5)
        let spans = (0..<5000).map { _ in
            RecordSpan(
                file: generator.next(below: 1 << 40),
                offset: generator.next(below: 1 << 60),
                length: generator.next(below: 1 << 60),
                line: generator.next(below: 1 << 60),
                defect: RecordSpan.Defect(rawValue: UInt8(generator.next(below: 9)))
            )
        }
        for span in spans { try index.append(span) }
        try index.flush()
        try index.forEach { number, span in #expect(span == spans[number]) }
        #expect(try index[4999] == spans[4999])
    }

    @Test("Reading can continue from a position", arguments: [false, true])
    func resumes(shuffle: Bool) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.txt", text(1200))
            let configuration = fixture.configuration("t.txt", shuffle: shuffle)
            let all = try await fixture.items(configuration)
            let source = try await RecordSource.open(configuration)
            for position in [0, 1, 700, 1199, 1200, 1300] {
                #expect(try await source.items(from: position) == Array(all.dropFirst(position)))
            }
        }
    }

    @Test("Invalid records are counted and reported", arguments: [false, true])
    func strict(shuffle: Bool) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.jsonl", (0..<100).map { $0 % 4 == 1 ? "{\n" : "\($0)\n" }.joined())
            let source = try await RecordSource.open(fixture.configuration("t.jsonl", shuffle: shuffle))
            let report = try await source.checkStrictly(keeping: 3)
            #expect(report.checked == 100 && report.invalid == 25 && !report.isValid)
            #expect(report.first.map(\.place) == ["t.jsonl:2", "t.jsonl:6", "t.jsonl:10"])
            #expect(report.first.map(\.index) == [1, 5, 9])
            #expect(try await source.items().count == 100)
        }
    }

    @Test("The fingerprint depends on content, names and times")
    func fingerprint() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("a.jsonl", "1\n2\n")
            func fingerprint(_ shuffle: Bool) async throws -> InputFingerprint {
                try await RecordSource.open(fixture.configuration("a.jsonl", shuffle: shuffle)).fingerprint
            }
            let first = try await fingerprint(true)
            #expect(first.size == 4 && first.files == 1)
            #expect(try await fingerprint(true) == first)
            #expect(try await fingerprint(false).content == nil)
            try fixture.write("a.jsonl", "1\n3\n")
            #expect(try await fingerprint(true).content != first.content)
            #expect(try await fingerprint(false).metadata != first.metadata)
        }
    }
}
