import SheafCore
import Testing

@testable import SheafSources

@Suite("CSV and TSV")
struct TableFormatTests {
    static let cases: [(String, [String])] = [
        ("a,b\n1,2\n", ["t.csv:2={\"a\":\"1\",\"b\":\"2\"}"]),
        (
            "\u{FEFF}id,b\r\nx,\"2,\"\"3\"\"\r\n4\"\r\ny,\r\n",
            [
                "x={\"id\":\"x\",\"b\":\"2,\\\"3\\\"\\r\\n4\"}", "y={\"id\":\"y\",\"b\":\"\"}",
            ]
        ),
        ("a,b\n\n\"\",\"\"\n,\n", ["t.csv:3={\"a\":\"\",\"b\":\"\"}", "t.csv:4={\"a\":\"\",\"b\":\"\"}"]),
        (
            "a,b\n1\n1,2,3\n4,5",
            [
                "t.csv:2!line 2 has 1 cell; the header has 2", "t.csv:3!line 3 has 3 cells; the header has 2",
                "t.csv:4={\"a\":\"4\",\"b\":\"5\"}",
            ]
        ),
        (
            "a\n\"x\ny\"\n\"z",
            [
                "t.csv:2={\"a\":\"x\\ny\"}",
                "t.csv:4!a quote that opens in this row is not closed before the end of the file",
            ]
        ),
        (
            "a\n5\" pipe\n\"x\"y\n",
            ["t.csv:2={\"a\":\"5\\\" pipe\"}", "t.csv:3!has text after the closing quote of cell 1"]
        ),
        ("\"a\"\"b\",\"c,d\"\n1,2", ["t.csv:2={\"a\\\"b\":\"1\",\"c,d\":\"2\"}"]),
        ("id\n\n\"\"\n", ["t.csv:3={\"id\":\"\"}"]),
    ]

    @Test("Rows are split, and invalid rows are reported", arguments: cases, [1, 2, 256 * 1024])
    func table(_ example: (text: String, expected: [String]), readSize: Int) async throws {
        var options = ReadingOptions()
        options.readSize = readSize
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.csv", example.text, options: options)
            #expect(found == example.expected)
            let shuffled = try await fixture.items(fixture.configuration("t.csv", shuffle: true), options: options)
            #expect(shuffled.sorted { $0.index < $1.index }.map(\.brief) == example.expected)
        }
    }

    @Test("TSV cells are separated by tabs")
    func tabs() async throws {
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.tsv", "a\tb\n1,2\t\"3\t4\"\n")
            #expect(found == ["t.tsv:2={\"a\":\"1,2\",\"b\":\"3\\t4\"}"])
        }
    }

    @Test(
        "An invalid header is reported before anything is read",
        arguments: [
            ("a,a\n1,2\n", "t.csv: columns 1 and 2 of the header are both named 'a'"),
            ("a,\n1,2\n", "t.csv: column 2 of the header has no name"),
            ("a,\"b\n1,2\n", "t.csv: a quote in the header is never closed"),
            ("\"a\"b,c\n1,2\n", "t.csv: the header has text after the closing quote of cell 1"),
        ]
    )
    func header(text: String, message: String) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("a.csv", "x\n1\n")
            try fixture.write("t.csv", text)
            for shuffle in [false, true] {
                let error = await fixture.failure(fixture.configuration("a.csv", "t.csv", shuffle: shuffle))
                #expect(error == SourceError(.invalidHeader, message))
            }
        }
    }

    @Test("Columns can be renamed, selected and missing")
    func columns() async throws {
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.csv", "key,a,b\nk,1,2\n", columns: ["z": "a", "id": "key"])
            #expect(found == ["k={\"id\":\"k\",\"z\":\"1\"}"])
            let missing = try await fixture.read("t.csv", "a\n1\n", columns: ["z": "no"])
            #expect(missing == ["t.csv:2!has no column 'no'"])
        }
    }

    @Test("Each file has its own header")
    func headers() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("d/a.csv", "x,y\n1,2\n")
            try fixture.write("d/b.csv", "y\n3\n")
            try fixture.write("d/c.csv", "")
            for shuffle in [false, true] {
                let items = try await fixture.items(fixture.configuration("d", shuffle: shuffle))
                #expect(
                    Set(items.map(\.brief)) == [
                        "d/a.csv:2={\"x\":\"1\",\"y\":\"2\"}", "d/b.csv:2={\"y\":\"3\"}",
                    ]
                )
            }
        }
    }

    @Test("Rows that are not text or exceed the limit are invalid")
    func badRows() async throws {
        var options = ReadingOptions()
        options.recordLimit = 16
        options.readSize = 8
        try await SourceFixture.with { fixture in
            let long = String(repeating: "x", count: 40)
            try fixture.write("t.csv", Array("a\n".utf8) + [0xFF, 0x0A] + Array("\0\n\(long)\nok\n".utf8))
            let items = try await fixture.items(fixture.configuration("t.csv"), options: options)
            #expect(
                items.map(\.brief) == [
                    "t.csv:2!is not UTF-8 text", "t.csv:3!has a NUL byte at column 1",
                    "t.csv:4!is 40 bytes; the limit is 16 bytes", "t.csv:5={\"a\":\"ok\"}",
                ]
            )
        }
    }
}
