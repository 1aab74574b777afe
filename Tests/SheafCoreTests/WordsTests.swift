import SheafCore
import Testing

@Suite("Names, timestamps, policies and records") struct WordsTests {
    @Test("Valid names are accepted", arguments: ["a", "A-b_9", String(repeating: "x", count: 64)])
    func goodNames(text: String) { #expect(Name(text)?.text == text) }

    @Test(
        "Invalid names are rejected",
        arguments: ["", "last", "a.b", "a/b", "..", "ä", "a b", "a\n", String(repeating: "x", count: 65), "*", "#"]
    )
    func badNames(text: String) { #expect(Name(text) == nil) }

    @Test("A string literal is a name") func literalNames() {
        let name: Name = "word-count_9"
        #expect(name.text == "word-count_9")
        #expect(name == Name(String("word-count_9")))
    }

    @Test("A string literal that breaks the rule ends the process") func badLiteralNames() async {
        await #expect(processExitsWith: .failure) { _ = "not a name" as Name }
    }

    @Test("New batch ids are unique and sorted by time") func newBatchIdsAreSortedByTime() {
        var generator = Seeded(state: 1)
        let ids = (0..<100).map {
            Name.newBatch(at: Timestamp(milliseconds: 1_700_000_000_000 + $0 * 17), using: &generator)
        }
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == 100)
        #expect(ids.allSatisfy { Name($0.text) != nil && $0.text.count == 13 })
    }

    @Test(
        "Timestamps are written and parsed as in RFC 3339",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_399_001, "2100-02-28T23:59:59.001Z"), (-1, "1969-12-31T23:59:59.999Z"),
        ]
    )
    func timestampsAreRFC3339(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test("Timestamps are parsed as they were written") func timestampsSurviveTheirText() {
        var generator = Seeded(state: 3)
        for _ in 0..<2000 {
            let time = Timestamp(
                milliseconds: Int64.random(in: -60_000_000_000_000...250_000_000_000_000, using: &generator)
            )
            #expect(Timestamp(time.description) == time)
        }
        #expect(Timestamp("2024-01-01T00:00:00Z")?.milliseconds == 1_704_067_200_000)
        #expect(Timestamp("2024-01-01T00:00:00.5Z")?.milliseconds == 1_704_067_200_500)
        #expect(Timestamp("2024-01-01T00:00:00.123456Z")?.milliseconds == 1_704_067_200_123)
        for text in ["", "2024", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z"] {
            #expect(Timestamp(text) == nil, "\(text)")
        }
    }

    @Test("Percent-encoding leaves only unreserved characters") func percentEncoding() {
        let unreserved = "AZaz09-._~"
        #expect(PercentEncoding.encode(unreserved) == unreserved)
        #expect(PercentEncoding.encode("a b/c?d=e&f#g@h:i%j+k\n") == "a%20b%2Fc%3Fd%3De%26f%23g%40h%3Ai%25j%2Bk%0A")
        #expect(PercentEncoding.encode("ß✓") == "%C3%9F%E2%9C%93")
    }

    @Test(
        "Error policies are parsed as they are written",
        arguments: ["continue", "stop", "stop:10", "stop:5%", "stop:2.5%"]
    )
    func policiesSurviveTheirText(text: String) { #expect(ErrorPolicy(text)?.description == text) }

    @Test(
        "Invalid error policies are rejected",
        arguments: ["", "halt", "stop:", "stop:-1", "stop:101%", "stop:x%", "stop:1.5"]
    )
    func badPolicies(text: String) { #expect(ErrorPolicy(text) == nil) }

    @Test("Error policies stop a batch only above their limit") func policiesTripStrictlyAboveTheirLimit() throws {
        let cases: [(String, Int, Int?, Bool)] = [
            ("continue", 1000, 1000, false), ("stop", 0, nil, false), ("stop", 1, nil, true),
            ("stop:10", 10, nil, false),
            ("stop:10", 11, nil, true), ("stop:5%", 50, nil, false), ("stop:5%", 5, 100, false),
            ("stop:5%", 6, 100, true),
            ("stop:0%", 1, 1_000_000, true),
        ]
        for (text, failures, total, isExceeded) in cases {
            let policy = try #require(ErrorPolicy(text))
            #expect(policy.isExceeded(failures: failures, total: total) == isExceeded, "\(text) \(failures)")
        }
    }

    @Test("Lists of parameters are expanded into all combinations") func listsOfParametersAreMultipliedOut() throws {
        let defaults: JSONValue = ["lang": "en", "size": 1]
        #expect(try ParameterVariants(defaults: [:], parameters: [:]).variants == [nil])
        #expect(try ParameterVariants(defaults: defaults, parameters: [:]).variants == [#"{"lang":"en","size":1}"#])
        let variants = try ParameterVariants(defaults: defaults, parameters: ["lang": ["en", "fr"], "x": [1, [2]]])
            .variants
        #expect(
            variants == [
                #"{"lang":"en","size":1,"x":1}"#, #"{"lang":"en","size":1,"x":[2]}"#, #"{"lang":"fr","size":1,"x":1}"#,
                #"{"lang":"fr","size":1,"x":[2]}"#,
            ]
        )
        #expect(throws: ParameterError.self) { try ParameterVariants(defaults: [:], parameters: ["a": []]) }
        let long = JSONValue.array((0..<200).map { .integer($0) })
        #expect(throws: ParameterError.self) {
            try ParameterVariants(defaults: [:], parameters: ["a": long, "b": long])
        }
    }

    @Test("Binary records that are not UTF-8 become Base64") func binaryRecordsBecomeBase64() throws {
        for (bytes, text) in [
            ([0xFF], "/w=="), ([0xFF, 0xFE], "//4="), ([0xFF, 0xFE, 0xFD], "//79"), ([0xFF, 0, 0, 1], "/wAAAQ=="),
        ]
            as [([UInt8], String)]
        {
            #expect(try Record(id: "", kind: .binary, bytes: bytes).json == .string(text))
        }
        #expect(try Record(id: "", kind: .binary, bytes: Array("abc".utf8)).json == .string("abc"))
    }
}
