import SheafCore
import Testing

@testable import SheafSources

@Suite("JSONL and lines")
struct LineFormatTests {
    static let lines: [(String, [String])] = [
        ("{\"id\":1}\n{\"id\":2}\n", ["1={\"id\":1}", "2={\"id\":2}"]),
        ("{\"id\":1}\r\n[2]", ["1={\"id\":1}", "t.jsonl:2=[2]"]),
        ("\u{FEFF}{\"id\":\"a\"}\n", ["a={\"id\":\"a\"}"]),
        ("\n  \n\t\r\n7\n", ["t.jsonl:4=7"]),
        ("{\"record_id\":true}", ["true={\"record_id\":true}"]),
        ("{\"record_id\":\"r\",\"id\":null}", ["r={\"record_id\":\"r\",\"id\":null}"]),
        ("{\"id\":\"\"}", ["t.jsonl:1={\"id\":\"\"}"]),
        ("{\"id\":[1]}", ["t.jsonl:1={\"id\":[1]}"]),
        ("{\"id\":1.50}", ["1.50={\"id\":1.50}"]),
        (
            "{\"a\":1}\n{\"a\" 1}\n3",
            [
                "t.jsonl:1={\"a\":1}", "t.jsonl:2!broken JSON: expected ':' after the member name at column 6",
                "t.jsonl:3=3",
            ]
        ),
        ("{\"é\" 1}", ["t.jsonl:1!broken JSON: expected ':' after the member name at column 6"]),
        ("{\"a\":", ["t.jsonl:1!broken JSON: the JSON ends too early at column 6"]),
        ("1 2", ["t.jsonl:1!broken JSON: unexpected text after the value at column 3"]),
        ("{\"a\":\"\0\"}", ["t.jsonl:1!broken JSON: a NUL byte at column 7"]),
        ("\0\n1", ["t.jsonl:1!broken JSON: a NUL byte at column 1", "t.jsonl:2=1"]),
    ]

    @Test("JSONL lines are split, and invalid lines are reported", arguments: lines)
    func jsonl(text: String, expected: [String]) async throws {
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.jsonl", text)
            #expect(found == expected)
        }
    }

    @Test("JSONL lines that are not UTF-8 are invalid")
    func invalidUTF8() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.jsonl", Array("{\"a\":\"".utf8) + [0xC3, 0x28] + Array("\"}\n1\n".utf8))
            let items = try await fixture.items(fixture.configuration("t.jsonl"))
            #expect(
                items.map(\.brief) == [
                    "t.jsonl:1!broken JSON: a string that is not UTF-8 at column 7", "t.jsonl:2=1",
                ]
            )
            #expect(items.map(\.index) == [0, 1])
        }
    }

    @Test("Plain lines are split, and invalid lines are reported")
    func plain() async throws {
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.txt", "\u{FEFF}one\r\n\n two \n\r\nthrée\u{0}\nend")
            #expect(found == ["t.txt:1=one", "t.txt:3= two ", "t.txt:5!has a NUL byte at column 6", "t.txt:6=end"])
            try fixture.write("b.log", [0x61, 0x0A, 0xFF, 0x0A, 0x62])
            let items = try await fixture.items(fixture.configuration("b.log"))
            #expect(items.map(\.brief) == ["b.log:1=a", "b.log:2!is not UTF-8 text", "b.log:3=b"])
            #expect(items.compactMap { $0.record?.kind } == [.text, .text])
        }
    }

    @Test("A line that exceeds the limit is reported, and the next lines are read", arguments: [1, 64, 256 * 1024])
    func longLine(readSize: Int) async throws {
        var options = ReadingOptions()
        options.readSize = readSize
        options.recordLimit = 100
        let long = "\"" + String(repeating: "x", count: 98) + "\""
        try await SourceFixture.with { fixture in
            let found = try await fixture.read(
                "t.jsonl",
                "1\n\(long)\r\n\"\(long.dropFirst())x\n\"x\(long.dropFirst())\r\n4",
                options: options
            )
            let tooLong = "is 101 bytes; the limit is 100 bytes"
            #expect(found.prefix(2) == ["t.jsonl:1=1", "t.jsonl:2=\(long)"])
            #expect(found.dropFirst(2) == ["t.jsonl:3!\(tooLong)", "t.jsonl:4!\(tooLong)", "t.jsonl:5=4"])
        }
    }

    @Test("A line of two mebibytes is invalid")
    func mebibytes() async throws {
        try await SourceFixture.with { fixture in
            let text = String(repeating: "a", count: 2 << 20) + "\nb\n" + String(repeating: "c", count: 1 << 20)
            let found = try await fixture.read("t.txt", text)
            #expect(found.first == "t.txt:1!is 2.0 MiB; the limit is 1 MiB")
            #expect(found.count == 3 && found[1] == "t.txt:2=b")
            #expect(found[2].utf8.count == 8 + 1 << 20)
        }
    }

    @Test("A record whose id exceeds the limit is invalid")
    func longID() async throws {
        try await SourceFixture.with { fixture in
            let id = String(repeating: "i", count: Record.maximumIDSize)
            let found = try await fixture.read("t.jsonl", "{\"id\":\"\(id)\"}\n{\"id\":\"\(id)i\"}")
            #expect(found[0].hasPrefix("iii"))
            #expect(found[1] == "t.jsonl:2!its id is 513 bytes long; the limit is 512")
        }
    }

    @Test("Fields can be renamed and selected")
    func columns() async throws {
        try await SourceFixture.with { fixture in
            let found = try await fixture.read(
                "t.jsonl",
                "{\"x\":1.0,\"t\":{\"a\": [1]},\"id\":9}\n{\"x\":1}\n[1]\n[",
                columns: ["text": "t", "n": "x"]
            )
            #expect(
                found == [
                    "9={\"n\":1.0,\"text\":{\"a\": [1]}}", "t.jsonl:2!has no field 't'",
                    "t.jsonl:3!is not an object, so it has no fields to select",
                    "t.jsonl:4!broken JSON: the JSON ends too early at column 2",
                ]
            )
            let named = fixture.configuration("t.jsonl", idField: "n", columns: ["n": "x"], maxRecords: 1)
            #expect(try await fixture.items(named).map(\.brief) == ["1.0={\"n\":1.0}"])
            let other = fixture.configuration("t.jsonl", idField: "x", maxRecords: 1)
            #expect(try await fixture.items(other).first?.record?.id == "1.0")
        }
    }
}
