import Testing

@testable import SheafSources

@Suite("JSON arrays")
struct JSONFormatTests {
    private static let textBehind =
        "broken JSON: unexpected text after the value, not read (for one value per line, use the format jsonl)"

    static let cases: [(String, [String])] = [
        ("[1, 2,3]", ["t.json:1=1", "t.json:1=2", "t.json:1=3"]),
        (
            "\u{FEFF} [\n {\"id\":\"a\",\n\"b\":\"]},\\\"\"} ,\n\n[1,\n2]\n]\n",
            [
                "a={\"id\":\"a\",\n\"b\":\"]},\\\"\"}", "t.json:5=[1,\n2]",
            ]
        ),
        ("{\"id\":5,\n\"list\":[1,2]}\n", ["5={\"id\":5,\n\"list\":[1,2]}"]),
        ("{\"a\":}", ["t.json:1!broken JSON in line 1: expected a value; what follows in the file is not read"]),
        (
            "[1,\n{\"a\":\n nope},\n3]",
            [
                "t.json:1=1", "t.json:2!broken JSON in line 3: expected a value; what follows in the file is not read",
            ]
        ),
        (
            "[1 2]",
            [
                "t.json:1!broken JSON in line 1: unexpected text after the value; what follows in the file is not read"
            ]
        ),
        ("[1,\n]", ["t.json:1=1", "t.json:2!broken JSON: expected a value; what follows in the array is not read"]),
        ("[,1]", ["t.json:1!broken JSON: expected a value; what follows in the array is not read"]),
        ("[1,\n", ["t.json:1=1", "t.json:2!broken JSON: the file ends within the array"]),
        ("[1,\n{\"a\": \"b", ["t.json:1=1", "t.json:2!broken JSON: the file ends within this value"]),
        (
            "[1] x",
            [
                "t.json:1=1",
                "t.json:1!\(textBehind)",
            ]
        ),
        (
            "{}\n{}",
            [
                "t.json:1={}",
                "t.json:2!\(textBehind)",
            ]
        ),
        ("17", ["t.json:1!is neither a JSON array nor a JSON object; the file is not read"]),
        (
            "[{]}]",
            [
                "t.json:1!broken JSON in line 1: expected a member name in quotes; what follows in the file is not read"
            ]
        ),
    ]

    @Test("Elements are split, and invalid elements are reported", arguments: cases, [1, 3, 256 * 1024])
    func table(_ example: (text: String, expected: [String]), readSize: Int) async throws {
        var options = ReadingOptions()
        options.readSize = readSize
        try await SourceFixture.with { fixture in
            let found = try await fixture.read("t.json", example.text, options: options)
            #expect(found == example.expected)
            let shuffled = try await fixture.items(fixture.configuration("t.json", shuffle: true), options: options)
            #expect(shuffled.sorted { $0.index < $1.index }.map(\.brief) == example.expected)
        }
    }

    @Test("An element that exceeds the limit is reported, and the next elements are read")
    func largeElement() async throws {
        var options = ReadingOptions()
        options.readSize = 16
        options.recordLimit = 20
        try await SourceFixture.with { fixture in
            let found = try await fixture.read(
                "t.json",
                "[1,\n\"\(String(repeating: "x", count: 60))\",\n3]",
                options: options
            )
            #expect(found == ["t.json:1=1", "t.json:2!is 62 bytes; the limit is 20 bytes", "t.json:3=3"])
        }
    }

    @Test("An array without elements is an empty input", arguments: ["[]", " [ ]\n", "", "\n"])
    func empty(text: String) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.json", text)
            for shuffle in [false, true] {
                let error = await fixture.failure(fixture.configuration("t.json", shuffle: shuffle))
                #expect(error == SourceError(.empty, "t.json has no records"))
            }
        }
    }
}
